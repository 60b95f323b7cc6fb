import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClauseVerdict, VerdictFile } from '../helpers/verdict/model.ts';
import { exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { line, oneCheck, sum, type Tally, tallyOf } from './tally.ts';

const clauses = (...verdicts: ClauseVerdict['verdict'][]) =>
  exampleVerdict(verdicts.map((verdict) => exampleClause({ verdict })));
const killed: VerdictFile = {
  ...clauses('pass'),
  run: { ...clauses().run, exitReason: 'running', finishedAt: null },
};

const RUNS: [name: string, verdict: VerdictFile | undefined, exitCode: number | undefined, tally: Tally][] = [
  ['all passed', clauses('pass', 'pass'), 0, { passed: 2, failed: 0, skipped: 0 }],
  [
    'one of each',
    clauses('pass', 'fail', 'inconclusive', 'skipped', 'expected-fail'),
    1,
    { passed: 2, failed: 2, skipped: 1 },
  ],
  ['no verdict was written', undefined, 0, { passed: 0, failed: 1, skipped: 0 }],
  ['nothing was judged', clauses(), 0, { passed: 0, failed: 1, skipped: 0 }],
  ['the runner failed for another reason', clauses('pass'), 1, { passed: 1, failed: 1, skipped: 0 }],
  ['the runner was killed', killed, undefined, { passed: 1, failed: 1, skipped: 0 }],
];
for (const [name, verdict, exitCode, tally] of RUNS) {
  test(`a run of the suite in which ${name}`, () => assert.deepEqual(tallyOf(verdict, exitCode), tally));
}

test('the closing line sums the stages and names skipped ones only when there are some', () => {
  assert.equal(line(sum([oneCheck(true), oneCheck(false)])), '1 passed, 1 failed');
  assert.equal(
    line(sum([{ passed: 3, failed: 0, skipped: 2 }, oneCheck(true)])),
    '4 passed, 0 failed, 2 skipped',
  );
});
