import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readCells, tellCell } from './channel.ts';
import { unknownCell } from './model.ts';
import { changedLines, ruleDocumentName, tellRules } from './rule-documents.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-rules-'));
after(() => rmSync(folder, { recursive: true }));

test('one document for an engine and a series of kernels', () => {
  assert.equal(ruleDocumentName('26.1.5+dfsg1', '6.12.117+deb13-cloud-amd64'), '26.1.5-6.12.md');
  assert.equal(ruleDocumentName('28.5.2+dfsg4', '7.3-cloud-amd64'), '28.5.2-7.3.md');
});

test('lines that one of two documents has alone', () => {
  assert.deepEqual(changedLines('a\nb\nc\n', 'a\nx\nc\n').toSorted(), ['+ x', '- b']);
  assert.deepEqual(changedLines('a\n', 'a\n'), []);
});

test('a run tells of each cell whether its rules are those on record', () => {
  writeFileSync(path.join(folder, '1-1.md'), 'a\nb\n');
  tellCell(folder, unknownCell('sid on trixie'));
  const told = (text: string, name?: string) => {
    tellRules(folder, 'sid on trixie', text, name, folder);
    return readCells(folder).get('sid on trixie')?.rules;
  };
  assert.equal(told('a\nb\n', '1-1.md')?.changedLines, 0);
  assert.equal(existsSync(path.join(folder, 'rules/sid-on-trixie.diff')), false);
  const changed = told('a\nc\n', '1-1.md');
  assert.equal(changed?.changedLines, 2);
  assert.equal(readFileSync(path.join(folder, changed?.path ?? ''), 'utf8'), 'a\nc\n');
  assert.match(readFileSync(path.join(folder, 'rules/sid-on-trixie.diff'), 'utf8'), /^- b$/m);
  for (const name of ['2-2.md', undefined])
    assert.deepEqual(told('a\n', name), {
      path: 'rules/sid-on-trixie.md',
      document: null,
      changedLines: null,
    });
});
