import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineTells, unexplained } from '../judge/logs.ts';
import { loadCatalogue } from './catalogue.ts';
import { loadLogPolicy } from './log-policy.ts';

const policy = loadLogPolicy('26.1.5');
const CALM = { clause: 'VIP-015', hurt: false };
/** What is left of an engine's lines. */
const left = (lines: readonly string[], meanwhile = CALM, of = policy) =>
  unexplained(of, 'engine', lines, meanwhile);

test('whatever the kernel warns of counts; what the lab says on the same console does not', () => {
  const splat =
    '[  144.111198] WARNING: CPU: 1 PID: 812 at net/netfilter/ipvs/ip_vs_core.c:100 ip_vs_in+0x1/0x2';
  assert.deepEqual(unexplained(policy, 'kernel', [splat], CALM), [splat]);
  const lab = 'WARN[2026-11-24T15:44:56.758030719Z] cleaning up after shim disconnected';
  assert.deepEqual(unexplained(policy, 'kernel', [lab], CALM), []);
});

test('what an engine dies of and what it calls an error counts, and nothing milder', () => {
  const said = (level: string) => `time="2026-11-23T00:00:00Z" level=${level} msg="something new"`;
  const deaths = ['panic: runtime error', 'failed to start daemon: no', 'node: the engine ended with 2'];
  const lines = [said('info'), said('warning'), said('error'), said('fatal'), ...deaths];
  assert.deepEqual(left(lines), lines.slice(2));
});

test('a warning counts where it tells that networking state is not what it should be', () => {
  const peer = (why: string) =>
    `time="2026-11-30T04:50:07.024463329Z" level=warning msg="Peer add operation failed" error="could not add neighbor entry for nid:upwfbbcm3h8mmu2aujaj1xqd1 eid:0b4681e1136cdfe4b564ee54cd9a1374be36c9915bc8465f25793ba7dccf122e into the sandbox:${why}"`;
  const known = 'Search neighbor failed for IP 10.0.0.12, mac 02:42:0a:00:00:0c, present in db:';
  const lines = [peer(`${known}true`), peer(`${known}false`), peer('no such device')];
  assert.deepEqual(left(lines), lines.slice(1));
});

test('what a healthy engine calls an error is explained, and the like of it is not', () => {
  const bulk = (end: string) =>
    `time="2026-11-29T19:26:03.624509312Z" level=error msg="Bulk sync to node 12c06b6268d4 ${end}"`;
  assert.deepEqual(left([bulk('timed out'), bulk('was refused')]), [bulk('was refused')]);
  // Recorded in DNS-020: names that go with a network; the same of another cause would be news.
  const gone = (err: string) =>
    `time="2026-11-24T19:09:43.379166769Z" level=error msg="failed removing service binding for 2bc8f3d4157fbc5372aa87aff8dc1326f73aa230839735c59b3066b1e7442b04 epRec:{web.2.7beamey1sbty353n5422f5yaj web dzzr1lhznc972s5ec146o49fk 10.0.3.2 10.0.3.11 [] [depot] [0b4f5b83336a] false} err:${err}"`;
  const lines = [gone('network zmf2lz2q7cxefe6m2av6njqon not found'), gone('invalid address')];
  assert.deepEqual(left(lines), lines.slice(1));
});

test('what goes with a broken node is explained where a clause broke one, and nowhere else', () => {
  const lines = [
    'time="2026-11-30T04:46:03.743778750Z" level=error msg="agent: session failed" backoff=300ms error="rpc error: code = Unavailable desc = connection error: desc = \\"transport: Error while dialing: dial tcp 192.168.83.11:2377: connect: connection refused\\"" module=node/agent node.id=irdv2so6bgpa0gety0q5bpw4s',
    'node: the engine ended with 0',
  ];
  assert.deepEqual(left(lines), lines);
  assert.deepEqual(left(lines, { clause: 'NODE-006', hurt: true }), []);
});

test('a container whose removal ended with its engine is known, one that cannot be loaded otherwise is not', () => {
  // Recorded in NODE-008, after the engine was forced to end.
  const container = '17386ebfbc5dc31ea006c4797051ba64a40901637fdc9beb969b79756ffc7b2a';
  const load = (why: string) =>
    `time="2026-12-01T00:51:05.088132054Z" level=error msg="failed to load container" container=${container} error="open /var/lib/docker/containers/${container}/config.v2.json: ${why}"`;
  const lines = [load('no such file or directory'), load('permission denied')];
  assert.deepEqual(left(lines, { clause: 'NODE-008', hurt: true }), lines.slice(1));
  assert.deepEqual(left(lines), lines);
});

test('what nobody has explained is let pass in its clause until its day, and counts from then on', () => {
  const said = (day: string) => `time="${day}T05:25:14.556Z" level=error msg="something unheard of"`;
  const lines = [said('2026-11-30'), said('2026-12-31')];
  const exception = {
    where: 'engine',
    lines: /unheard of/,
    during: ['NODE-005'],
    ends: '2026-12-31',
  } as const;
  const withIt = { ...policy, exceptions: [...policy.exceptions, exception] };
  assert.deepEqual(left(lines, { clause: 'NODE-005', hurt: true }, withIt), lines.slice(1));
  assert.deepEqual(left(lines, CALM, withIt), lines);
});

test('a virtual IP that is taken from a balancer without it is explained, one that cannot be put into it is not', () => {
  const gone =
    'time="2026-11-30T20:32:43.503Z" level=error msg="Failed to delete real server 10.0.1.9 for vip 10.0.1.4 fwmark 256 in sbox lb_wq6l (lb-fron): no such process"';
  const missing = gone.replace('Failed to delete', 'Failed to create');
  assert.deepEqual(left([gone, missing]), [missing]);
});

test('what a manager that was removed has still to say may be refused, what it could not send may not', () => {
  const refused =
    'time="2026-11-30T22:45:56.654Z" level=error msg="failed to drain message queue" error="send drain message: rpc error: code = NotFound desc = raft: member was removed from the cluster" peer_id=6e4ed4a9e7a50e21';
  const unsent = refused.replace(/rpc error.*cluster/, 'context deadline exceeded');
  assert.deepEqual(left([refused, unsent]), [unsent]);
});

test('a wait for a certificate that was cancelled is explained, a certificate that is not valid is not', () => {
  const cancelled =
    'time="2026-11-30T20:27:21.220Z" level=error msg="failed to renew the certificate" error="no certificates to validate" module=node/tls node.role=swarm-manager';
  const refused = cancelled.replace(
    'no certificates to validate',
    'x509: certificate signed by unknown authority',
  );
  assert.deepEqual(left([cancelled, refused]), [refused]);
});

test('an exception ends with the engine version that needs it no more', () => {
  const line =
    'time="2026-11-29T21:48:53.323299034Z" level=error msg="Unexpected update table event for 02d6884f2266b856e703917980e5231b711f7d08b322af9b8d59706b09a17349 epRec:{ingress-endpoint   <nil> 10.0.0.3 [] [] [] true {} 0}"';
  const meanwhile = { clause: 'ENC-005', hurt: false };
  assert.deepEqual(left([line], meanwhile, loadLogPolicy('20.10.24')), []);
  assert.deepEqual(left([line], meanwhile), [line]);
});

test('the clauses that exceptions name are in the catalogue', () => {
  const known = loadCatalogue();
  const named = loadLogPolicy('20.10.24').exceptions.flatMap(({ during = [] }) => during);
  assert.deepEqual(
    named.filter((name) => name !== 'hurt' && !known.has(name)),
    [],
  );
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
  assert.deepEqual(left([...lost, ...harmless]), [], 'and is held against the lab alone');
});

test('a task that is taken in although it is known already is a symptom; one that has gone already is none', () => {
  const again =
    'time="2026-11-29T14:54:23.913353642Z" level=warning msg="addServiceBinding 93ff10cb36fe41c603b58ac27ece27230fa6de8700efdaefcf265dc65e20e45d possible transient state ok:false entries:1 set:true Set{93ff10cb36fe41c603b58ac27ece27230fa6de8700efdaefcf265dc65e20e45d}"';
  const gone =
    'time="2026-11-29T14:54:29.900007735Z" level=warning msg="rmServiceBinding 27eb37a08f18571fab46688adfb6e105ee8f3876aaa1224e6bbd6071f8abdfd2 possible transient state ok:false entries:0 set:false "';
  assert.deepEqual(engineTells(policy, 'symptoms', [gone, again]), [again]);
  assert.deepEqual(left([again]), []);
});
