import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../errors.ts';
import { readVerdict } from './read.ts';
import { exampleClause, exampleVerdict } from './testing/example.ts';

const good = exampleVerdict([exampleClause({})]);

test('a verdict is read from its file and from the folder that holds it', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-verdict-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(path.join(folder, 'verdict.json'), JSON.stringify(good));
  assert.deepEqual(readVerdict(folder), good);
  assert.deepEqual(readVerdict(path.join(folder, 'verdict.json')), good);
});

const BROKEN: Record<string, [content: string | undefined, said: RegExp]> = {
  'no file': [undefined, /does not exist: name the verdict\.json/],
  'no JSON': ['<testsuites/>', /is no verdict file: .*JSON/],
  'JSON of something else': ['{"name":"swarmproof"}', /is no verdict file: its field schema/],
  'not even an object': ['3', /is no verdict file: its field schema/],
  'another version': [
    JSON.stringify({ ...good, schema: 'swarmproof/verdict/7' }),
    /has the schema swarmproof\/verdict\/7; this swarmproof reads swarmproof\/verdict\/1\./,
  ],
  'a broken field': [
    JSON.stringify({ ...good, clauses: [{ ...good.clauses[0], verdict: 'maybe' }] }),
    /breaks the schema .*: clauses\.0\.verdict: /,
  ],
};
for (const [name, [content, said]] of Object.entries(BROKEN)) {
  test(`${name}: one sentence that names the file`, (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-verdict-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'some.json');
    if (content !== undefined) writeFileSync(file, content);
    assert.throws(
      () => readVerdict(file),
      (error) => error instanceof UsageError && error.message.startsWith(file) && said.test(error.message),
    );
  });
}
