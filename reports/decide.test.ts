import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TIME } from '../helpers/verdict/model.ts';
import { decide, type Ran } from './decide.ts';

const notRun = { reason: 'interrupted', message: 'the run was interrupted' };

function judged(outcome: 'pass' | 'fail' | 'inconclusive') {
  return { clause: 'VIP-001', outcome, reason: `judged-${outcome}`, spent: NO_TIME };
}

const cases: [string, Ran | undefined, string][] = [
  ['passed and judged so', { status: 'passed', judged: judged('pass') }, 'pass: judged-pass'],
  ['passed with no judgement', { status: 'passed' }, 'inconclusive: nothing-was-judged'],
  ['judged a failure', { status: 'failed', judged: judged('fail') }, 'fail: judged-fail'],
  ['judged a failure that nothing raised', { status: 'passed', judged: judged('fail') }, 'fail: judged-fail'],
  ['judged a failure, then stuck', { status: 'timedOut', judged: judged('fail') }, 'fail: judged-fail'],
  [
    'judged inconclusive',
    { status: 'failed', judged: judged('inconclusive') },
    'inconclusive: judged-inconclusive',
  ],
  ['failed before judging', { status: 'failed', error: 'no node' }, 'inconclusive: set-up-broke'],
  ['failed after judging', { status: 'failed', judged: judged('pass') }, 'inconclusive: broke-after-judging'],
  ['stuck', { status: 'timedOut' }, 'inconclusive: timed-out'],
  ['interrupted', { status: 'interrupted' }, 'inconclusive: interrupted'],
  [
    'crashed',
    { status: 'failed', error: 'worker process exited unexpectedly' },
    'inconclusive: worker-crashed',
  ],
  ['skipped for a reason', { status: 'skipped', skip: 'needs-ipv6' }, 'skipped: needs-ipv6'],
  ['skipped by the runner', { status: 'skipped' }, 'inconclusive: interrupted'],
  ['never started', undefined, 'inconclusive: interrupted'],
  [
    'a known defect',
    { status: 'failed', knownDefect: 'moby 1', judged: judged('fail') },
    'expected-fail: moby 1',
  ],
  [
    'a known defect, uncited',
    { status: 'failed', knownDefect: '', judged: judged('fail') },
    'expected-fail: judged-fail',
  ],
  [
    'a mended defect',
    { status: 'passed', knownDefect: 'moby 1', judged: judged('pass') },
    'fail: unexpectedly-conforming',
  ],
  ['a known defect, not judged', { status: 'failed', knownDefect: 'moby 1' }, 'inconclusive: set-up-broke'],
  [
    'a known defect, no judgement',
    { status: 'passed', knownDefect: 'moby 1' },
    'inconclusive: nothing-was-judged',
  ],
  [
    'a known defect, inconclusive',
    { status: 'failed', knownDefect: 'moby 1', judged: judged('inconclusive') },
    'inconclusive: judged-inconclusive',
  ],
];

for (const [name, ran, expected] of cases) {
  test(`${name}: ${expected}`, () => {
    const { verdict, reason } = decide(ran, notRun);
    assert.equal(`${verdict}: ${reason}`, expected);
  });
}

test('a verdict keeps the words and the node of its judgement', () => {
  const ran: Ran = {
    status: 'failed',
    error: 'shorter',
    judged: { ...judged('fail'), message: 'w1 has two', node: 'w1' },
  };
  const { message, node } = decide(ran, notRun);
  assert.deepEqual({ message, node }, { message: 'w1 has two', node: 'w1' });
});

test('a clause that never started says why', () => {
  assert.equal(decide(undefined, notRun).message, 'the run was interrupted');
});
