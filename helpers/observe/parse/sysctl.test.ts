import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSysctls } from './sysctl.ts';
import { UnknownLine } from './text.ts';

test('values by name, as they are printed', () => {
  const text = 'net.ipv4.vs.conntrack = 1\nnet.ipv4.vs.sync_threshold = 3\t50\nnet.ipv4.vs.est_cpulist = \n';
  assert.deepEqual(parseSysctls(text), {
    'net.ipv4.vs.conntrack': '1',
    'net.ipv4.vs.sync_threshold': '3\t50',
    'net.ipv4.vs.est_cpulist': '',
  });
});

test('no other line is taken for a setting', () => {
  for (const text of [
    '',
    'sysctl: cannot stat /proc/sys/net/ipv4/vs: No such file or directory\n',
    'net.ipv4.vs.conntrack 1\n',
    'net.ipv4.vs.conntrack = 1\n\nnet.ipv4.vs.drop_entry = 0\n',
    'net.ipv4.vs.conntrack = 1\nnet.ipv4.vs.conntrack = 0\n',
  ])
    assert.throws(() => parseSysctls(text), UnknownLine, text);
});
