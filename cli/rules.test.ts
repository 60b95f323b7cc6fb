import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { exampleCell, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { rules } from './rules.ts';

const root = mkdtempSync(path.join(tmpdir(), 'swarmproof-rules-'));
after(() => rmSync(root, { recursive: true }));
const run = path.join(root, 'run');
const documents = path.join(root, 'documents');
mkdirSync(path.join(run, 'rules'), { recursive: true });

/** Leaves what a run leaves whose only cell met these rules. */
function left(text: string, engines: Record<string, string> = { m1: '26.1.5+dfsg1' }): void {
  const told = { path: 'rules/vm.md', document: null, changedLines: null };
  const cells = [{ ...exampleCell, engines, rules: told }];
  writeFileSync(path.join(run, 'verdict.json'), JSON.stringify(exampleVerdict([], { cells })));
  writeFileSync(path.join(run, told.path), text);
}

test('rules are put on record, and from then on what differs is told', () => {
  left('a\nb\n');
  assert.equal(rules({ run, documents }), 0, 'nothing on record is no drift');
  assert.equal(rules({ run, documents, record: true }), 0);
  assert.equal(readFileSync(path.join(documents, '26.1.5-6.12.md'), 'utf8'), 'a\nb\n');
  assert.equal(rules({ run, documents }), 0);
  left('a\nc\n');
  assert.equal(rules({ run, documents }), 1);
  left('a\nc\n', { m1: '26.1.5', w1: '28.5.2' });
  assert.equal(rules({ run, documents, record: true }), 0, 'several engines are compared with nothing');
  assert.equal(readFileSync(path.join(documents, '26.1.5-6.12.md'), 'utf8'), 'a\nb\n');
});
