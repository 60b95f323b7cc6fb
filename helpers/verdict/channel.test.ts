import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileName, type Judged, judgementAttachment, readCells, readJudgement, tellCell } from './channel.ts';
import { NO_TIME, unknownCell } from './model.ts';

const judged: Judged = { clause: 'VIP-001', outcome: 'fail', reason: 'two-vips', node: 'w1', spent: NO_TIME };

function attached(judgement: Judged) {
  const [name, { body, contentType }] = judgementAttachment(judgement);
  return { name, contentType, body: Buffer.from(body) };
}

test('a judgement survives the way from worker to reporter', () => {
  assert.deepEqual(readJudgement([attached(judged)], 'VIP-001'), judged);
});

test('the last judgement on a clause counts, and one on another clause does not', () => {
  const other = attached({ ...judged, clause: 'VIP-002' });
  const later = { ...judged, outcome: 'pass' } as const;
  assert.deepEqual(readJudgement([attached(judged), attached(later), other], 'VIP-001'), later);
  assert.equal(readJudgement([other], 'VIP-001'), undefined);
  assert.equal(
    readJudgement([{ name: 'ipvs', contentType: 'text/plain', body: Buffer.from('') }], 'VIP-001'),
    undefined,
  );
});

test('what only looks like a judgement is refused', () => {
  const forged = { ...attached(judged), body: Buffer.from('{"clause":"VIP-001","outcome":"maybe"}') };
  assert.throws(() => readJudgement([forged], 'VIP-001'), /outcome/);
});

test('facts about cells are found again, whatever their names hold, and a broken file says so', (t) => {
  const outDir = mkdtempSync(join(tmpdir(), 'swarmproof-cells-'));
  t.after(() => rmSync(outDir, { recursive: true }));
  assert.equal(readCells(outDir).size, 0);

  const facts = { ...unknownCell('6.12 x 26.1.5/28.5.2'), kernel: '6.12.1', spent: { lab: 900 } };
  tellCell(outDir, facts);
  mkdirSync(join(outDir, 'cells'), { recursive: true });
  writeFileSync(join(outDir, 'cells', 'broken.json'), '{"name":"broken"}');

  const cells = readCells(outDir);
  assert.deepEqual(cells.get('6.12 x 26.1.5/28.5.2'), facts);
  assert.match(cells.get('broken')?.error ?? '', /cells\/broken\.json .*kernel/s);
});

test('file names cannot leave their folder', () => {
  assert.equal(fileName('../up'), '--up');
  assert.equal(fileName('a/b c'), 'a-b-c');
  assert.equal(fileName('..'), '-');
  assert.equal(fileName(''), '-');
});
