import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unexplained } from '../judge/logs.ts';
import { loadLogPolicy } from './log-policy.ts';

const policy = loadLogPolicy('26.1.5');

test('whatever the kernel warns of counts; what the lab says on the same console does not', () => {
  const splat =
    '[  144.111198] WARNING: CPU: 1 PID: 812 at net/netfilter/ipvs/ip_vs_core.c:100 ip_vs_in+0x1/0x2';
  assert.deepEqual(unexplained(policy, 'kernel', [splat]), [splat]);
  const lab = 'WARN[2026-11-24T15:44:56.758030719Z] cleaning up after shim disconnected';
  assert.deepEqual(unexplained(policy, 'kernel', [lab]), []);
});

test('what an engine dies of counts, and nothing milder', () => {
  const said = (level: string) => `time="2026-11-23T00:00:00Z" level=${level} msg="something new"`;
  const lines = [said('info'), said('warning'), said('error'), said('fatal'), 'panic: runtime error'];
  assert.deepEqual(unexplained(policy, 'engine', lines), lines.slice(3));
});
