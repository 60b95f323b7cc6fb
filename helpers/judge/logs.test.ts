import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineTells, unexplained } from './logs.ts';

const policy = {
  counts: [
    { where: 'kernel', lines: /./ },
    { where: 'engine', lines: /level=error/ },
  ],
  exceptions: [{ where: 'engine', lines: /no such task/ }],
} as const;

test('a line counts unless an exception of the same log explains it', () => {
  const lines = ['level=info msg=a', 'level=error msg=b', 'level=error msg="no such task"'];
  assert.deepEqual(unexplained(policy, 'engine', lines), ['level=error msg=b']);
  assert.deepEqual(unexplained(policy, 'kernel', ['IPVS: no such task']), ['IPVS: no such task']);
});

test('what no rule speaks of does not count', () => {
  assert.deepEqual(unexplained({ counts: [], exceptions: [] }, 'engine', ['level=error']), []);
});

test('what an engine tells of is found by the rules for that, whatever else counts', () => {
  const told = {
    ...policy,
    stalls: [{ where: 'engine', lines: /Marking \S+ as failed/ }],
    symptoms: [{ where: 'kernel', lines: /Marking/ }],
  } as const;
  const lines = ['level=info msg=a', 'msg="memberlist: Marking b7 as failed"'];
  assert.deepEqual(engineTells(told, 'stalls', lines), lines.slice(1));
  assert.deepEqual(engineTells(told, 'symptoms', lines), []);
});
