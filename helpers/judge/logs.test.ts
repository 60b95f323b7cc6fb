import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unexplained } from './logs.ts';

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
