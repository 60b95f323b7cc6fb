import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineTells, unexplained } from '../judge/logs.ts';
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

test('a member that gossip or its manager takes for lost tells of a stall; a suspicion that was refuted does not', () => {
  const lost = [
    'time="2026-11-28T13:24:46.263433324Z" level=info msg="memberlist: Marking f55c10cfaf42 as failed, suspect timeout reached (0 peer confirmations)"',
    'time="2026-11-28T13:24:49.661447669Z" level=error msg="heartbeat to manager { } failed" error="rpc error: code = DeadlineExceeded desc = context deadline exceeded" method="(*session).heartbeat"',
  ];
  const harmless = [
    'time="2026-11-28T13:24:12.247605969Z" level=info msg="memberlist: Suspect 30822391e2e3 has failed, no acks received"',
    'time="2026-11-28T13:24:19.112566787Z" level=warning msg="memberlist: Refuting a suspect message (from: f55c10cfaf42)"',
  ];
  assert.deepEqual(engineTells(policy, 'stalls', [...lost, ...harmless]), lost);
});

test('a task that is taken in although it is known already is a symptom; one that has gone already is none', () => {
  const again =
    'time="2026-11-29T14:54:23.913353642Z" level=warning msg="addServiceBinding 93ff10cb36fe41c603b58ac27ece27230fa6de8700efdaefcf265dc65e20e45d possible transient state ok:false entries:1 set:true Set{93ff10cb36fe41c603b58ac27ece27230fa6de8700efdaefcf265dc65e20e45d}"';
  const gone =
    'time="2026-11-29T14:54:29.900007735Z" level=warning msg="rmServiceBinding 27eb37a08f18571fab46688adfb6e105ee8f3876aaa1224e6bbd6071f8abdfd2 possible transient state ok:false entries:0 set:false "';
  assert.deepEqual(engineTells(policy, 'symptoms', [gone, again]), [again]);
  assert.deepEqual(unexplained(policy, 'engine', [again]), []);
});
