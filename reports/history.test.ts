import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { VERDICTS, type Verdict, type VerdictFile } from '../helpers/verdict/model.ts';
import { exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { durations, pastOf, REMEMBERED_RUNS, readHistory, remember } from './history.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swarmproof-history-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A run of one clause, the day of which is its number. */
function run(number: number, verdict: Verdict): VerdictFile {
  const file = exampleVerdict([exampleClause({ verdict, durationMs: number * 1000 })]);
  const startedAt = new Date(Date.UTC(2026, 0, number)).toISOString();
  return { ...file, run: { ...file.run, id: `r${number}`, startedAt } };
}

function remembered(...verdicts: Verdict[]) {
  for (const [index, verdict] of verdicts.entries())
    remember(folder, readHistory(folder), run(index + 1, verdict));
  return readHistory(folder);
}

describe('what a folder remembers', () => {
  test('is what runs found out, the oldest first; a run that found nothing out is no part of it', () => {
    const history = remembered('pass', 'inconclusive', 'fail');
    assert.deepEqual(
      history.map(({ id }) => id),
      ['r1', 'r3'],
    );
    assert.deepEqual(history[0]?.cells, [{ name: 'vm', kernel: '6.12.107', engines: ['26.1.5', '28.5.2'] }]);
    assert.equal(durations(history)({ cell: 'vm', id: 'VIP-001' }), 3000);
    assert.equal(durations(history)({ cell: 'other', id: 'VIP-001' }), undefined);
  });

  test('holds a run once, however often its pages are made, and forgets the oldest runs', () => {
    remember(folder, remembered('pass'), run(1, 'pass'));
    assert.equal(readHistory(folder).length, 1);
    const many = Array.from({ length: REMEMBERED_RUNS }, (_, index) => ({
      ...readHistory(folder)[0],
      id: `x${index}`,
    }));
    remember(folder, many as never, run(2, 'fail'));
    const history = readHistory(folder);
    assert.deepEqual([history.length, history[0]?.id, history.at(-1)?.id], [REMEMBERED_RUNS, 'x1', 'r2']);
  });

  test('is not guessed at when it cannot be read', () => {
    remembered('pass');
    const file = join(folder, 'runs.jsonl');
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"id": 1}\n`);
    assert.throws(() => readHistory(folder), /^Error: line 2 of .*runs\.jsonl is not a run \(/);
  });
});

describe('the past of a clause', () => {
  const past = (now: Verdict, ...verdicts: Verdict[]) =>
    pastOf(exampleClause({ verdict: now }), remembered(...verdicts), { id: 'now' });

  test('says since which run it is as it is, and what it was before', () => {
    const { since, before, last } = past('fail', 'fail', 'pass', 'fail', 'fail');
    assert.deepEqual([since?.id, before?.verdict, before?.run.id, last?.run.id], ['r3', 'pass', 'r2', 'r4']);
  });

  test('has no beginning before this run where it just changed, and no other verdict where it always was so', () => {
    assert.equal(past('fail', 'pass').since, undefined);
    rmSync(folder, { recursive: true });
    assert.equal(past('pass', 'pass', 'pass').before, undefined);
  });

  test('a run in which it was not judged says nothing of it, nor does the run itself', () => {
    assert.deepEqual(past('pass', 'inconclusive').seen, []);
    assert.deepEqual(pastOf(exampleClause({}), remembered('pass'), { id: 'r1' }).seen, []);
  });

  test('every run from `since` on agrees with now, and the one before does not', () => {
    const known = VERDICTS.filter((verdict) => verdict !== 'inconclusive');
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...known), { maxLength: 12 }),
        fc.constantFrom(...known),
        (verdicts, now) => {
          const history = verdicts.map((verdict, index) => ({
            id: `r${index}`,
            startedAt: '2026-01-01T00:00:00Z',
            totalMs: 0,
            cells: [],
            clauses: { vm: { 'VIP-001': { verdict, durationMs: 0 } } },
          }));
          const { since, before } = pastOf(exampleClause({ verdict: now }), history, { id: 'now' });
          const from = since === undefined ? verdicts.length : history.findIndex(({ id }) => id === since.id);
          assert.ok(verdicts.slice(from).every((verdict) => verdict === now));
          assert.equal(before?.verdict, verdicts[from - 1]);
          assert.notEqual(verdicts[from - 1], now);
        },
      ),
    );
  });
});
