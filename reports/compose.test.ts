import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Judged } from '../helpers/verdict/channel.ts';
import { NO_TIME, unknownCell, verdictSchema } from '../helpers/verdict/model.ts';
import { composeVerdict, type Known, type Outcome } from './compose.ts';

const run = {
  id: 'r1',
  startedAt: '2026-11-22T10:00:00.000Z',
  finishedAt: null,
  command: 'npx playwright test',
  suite: null,
  exitReason: 'running',
} as const;

function ended(outcome: Judged['outcome'], name: string): Outcome {
  const spent = { ...NO_TIME, observing: 20 };
  const judged = { clause: 'VIP-001', outcome, reason: name, spent };
  const evidence = [{ name, contentType: 'text/plain', path: `${name}.txt` }];
  const ran: Outcome['ran'] = { status: outcome === 'pass' ? 'passed' : 'failed', judged };
  return { ran, transcript: null, startedAt: run.startedAt, durationMs: 100, worker: 0, evidence };
}

function compose(facts: Partial<Known>) {
  const now = new Date('2026-11-22T10:00:05.000Z');
  const nothing = {
    selected: [],
    outcomes: new Map(),
    cells: new Map(),
    settings: new Map(),
    catalogue: new Map(),
  };
  return verdictSchema.parse(composeVerdict({ run, now, ...nothing, ...facts }));
}

test('a clause that ran several times keeps its worst verdict, and the time and evidence of all', () => {
  const selected = ['a', 'b', 'c'].map((id) => ({
    test: id,
    cell: 'vm',
    clause: 'VIP-001',
    title: 'A promise',
  }));
  const outcomes = new Map([
    ['a', ended('pass', 'first')],
    ['b', ended('fail', 'second')],
    ['c', ended('inconclusive', 'third')],
  ]);
  const { clauses, totals, time } = compose({ selected, outcomes });
  assert.equal(clauses.length, 1);
  const [clause] = clauses;
  assert.deepEqual([clause?.verdict, clause?.reason, clause?.durationMs], ['fail', 'second', 300]);
  assert.deepEqual(
    clause?.evidence.map(({ name }) => name),
    ['first', 'second', 'third'],
  );
  assert.deepEqual([clause?.runs, clause?.spent], [3, { ...NO_TIME, observing: 60 }]);
  assert.deepEqual([totals.fail, totals.pass], [1, 0]);
  assert.deepEqual(time, { ...NO_TIME, observing: 60, overhead: 4940, total: 5000 });
});

test('what the catalogue does not know is not invented', () => {
  const selected = [{ test: 'a', cell: 'vm', clause: 'NEW-001', title: 'As the spec says' }];
  const [clause] = compose({ selected }).clauses;
  assert.deepEqual([clause?.area, clause?.level, clause?.title], ['new', null, 'As the spec says']);
});

test('a cell is listed if set-up knew it or a clause was meant for it, and its set-up time counts', () => {
  const selected = [{ test: 'a', cell: 'second', clause: 'VIP-001', title: 'A promise' }];
  const cells = new Map([['first', { ...unknownCell('first', 'did not boot'), spent: { lab: 7 } }]]);
  const settings = new Map([['second', { KERNEL: 'debian:bookworm' }]]);
  const verdict = compose({ selected, cells, settings });
  assert.deepEqual(verdict.cells, [
    unknownCell('first', 'did not boot'),
    // Its turn never came: whoever repeats it needs to know what it was to be.
    {
      ...unknownCell('second', 'set-up recorded nothing about this cell'),
      settings: { KERNEL: 'debian:bookworm' },
    },
  ]);
  assert.equal(verdict.time.lab, 7);
});
