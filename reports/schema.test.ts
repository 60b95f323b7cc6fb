import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { verdictJsonSchema } from '../helpers/verdict/model.ts';
import { SCHEMA_FILE } from './schema/generate.ts';

test('the published schema of verdict.json is the one the suite writes by', () => {
  const published = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8'));
  assert.deepEqual(
    published,
    JSON.parse(verdictJsonSchema()),
    'stale: run npx node reports/schema/generate.ts',
  );
});
