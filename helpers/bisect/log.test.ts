import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { BisectLog, type Judgement, type Question } from './log.ts';

const root = mkdtempSync(path.join(tmpdir(), 'swarmproof-log-'));
after(() => rmSync(root, { recursive: true }));

const question: Question = {
  schema: 'swarmproof/bisect/1',
  clause: 'VIP-015',
  varies: 'KERNEL',
  asked: 'debian:6.12..7.3',
  versions: ['debian:trixie/6.12.1', 'debian:sid/7.3.4'],
  confidence: 0.95,
  settings: {},
};

const judged = (outcome: Judgement['outcome']): Judgement => ({
  at: '2026-11-22T10:00:00.000Z',
  version: 'debian:sid/7.3.4',
  outcome,
  why: 'so it is',
  kernel: null,
  engines: null,
  folder: '001',
});

test('a range stays what it was when the log was begun, and a list is another question', () => {
  const folder = path.join(root, 'range');
  BisectLog.open(folder, question);
  const later = { ...question, versions: [...question.versions, 'debian:sid/7.3.5'] };
  assert.deepEqual(BisectLog.open(folder, later).question, question);
  assert.throws(
    () => BisectLog.open(folder, { ...later, asked: later.versions.join(',') }),
    /belongs to another question \(versions differ\)/,
  );
  // The same versions in other words are the same question.
  BisectLog.open(folder, { ...question, asked: question.versions.join(',') });
});

test('what was left open last is judged again, and what came after it stands', () => {
  const folder = path.join(root, 'open');
  const log = BisectLog.open(folder, question);
  for (const outcome of ['open', 'broken', 'open', 'open'] as const) log.add(judged(outcome));
  const outcomes = () => BisectLog.open(folder, question).judgements.map(({ outcome }) => outcome);
  assert.deepEqual(outcomes(), ['open', 'broken']);
  assert.deepEqual(outcomes(), ['open', 'broken']);
  assert.equal(readFileSync(log.file, 'utf8').trimEnd().split('\n').length, 3);
});
