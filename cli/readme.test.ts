import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { settingsTable } from './settings.ts';

test("the README's table of settings is the one the code reads", async () => {
  const file = path.join(path.dirname(import.meta.dirname), 'README.md');
  const rows = (await fs.readFile(file, 'utf8')).split('\n').filter((line) => line.startsWith('|'));
  const start = rows.indexOf(settingsTable().split('\n')[0] ?? '');
  const expected = settingsTable().split('\n');
  assert.deepEqual(
    rows.slice(start, start + expected.length),
    expected,
    `put this into README.md:\n\n${settingsTable()}\n`,
  );
});
