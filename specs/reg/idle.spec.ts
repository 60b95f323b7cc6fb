import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  complaint,
  converge,
  ECHO_PORT,
  endpoint,
  first,
  hostNamesOf,
  ingressSandbox,
  networkIn,
  now,
  pass,
  sameMembers,
  serviceIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { judgeForgotten, judgeKept, statesOf } from '../../fixtures/silence.ts';
import { lifecycle, WEB_ECHO_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

/** So long IPVS remembers an established TCP connection (linux net/netfilter/ipvs/ip_vs_proto_tcp.c, tcp_timeouts); s. */
const REMEMBERED_S = 900;

/** Ours: nobody has forgotten anything this long before, and the silence ends this long after; s. */
const EARLIER_S = 30;
const SILENT_S = REMEMBERED_S + 90;

const MINUTE_MS = 60_000;
const NEEDED_MIN = 18;

test(
  ...clause('REG-001', { limitMs: 2 * NEEDED_MIN * MINUTE_MS }, async ({ swarm, evidence, soakMs, skip }) => {
    if (soakMs < NEEDED_MIN * MINUTE_MS)
      skip(`soak-too-short: IPVS remembers for 15 minutes, so SOAK=${NEEDED_MIN}m is the least`);
    const view = await swarm.view();
    const asker = first(serviceIn(view, 'client').tasks);
    const client = swarm.inside(asker);
    const front = networkIn(view, 'front');
    const web = serviceIn(view, 'web');
    const { manager, outsider } = swarm;

    const ms = SILENT_S * 1000;
    const line = { kind: 'hold', ms: ms + 500, everyMs: ms, timeoutMs: 5000 } as const;
    const keepaliveS = REMEMBERED_S / 3;
    // client -> balancer of its node -> task, and outsider -> ingress_sbox of m1 -> task: an IPVS of its own each.
    const vip = { ...line, to: endpoint(vipOf(web, 'front'), ECHO_PORT) };
    const mesh = { ...line, to: endpoint(manager.address, WEB_ECHO_PORT) };
    const started = now();
    const byVip = {
      'silent through the virtual IP': await client.underway(vip),
      'kept through the virtual IP': await client.underway({ ...vip, keepaliveS }),
    };
    const byMesh = {
      'silent through the mesh': await outsider.underway(mesh),
      'kept through the mesh': await outsider.underway({ ...mesh, keepaliveS }),
    };
    const underway = { ...byVip, ...byMesh };
    const timeline: Record<string, string[]> = {};
    const known = async () => {
      const [balancer, sandbox] = await Promise.all([
        swarm.balancerOf(asker, front, ['connections']),
        ingressSandbox(manager, ['connections']),
      ]);
      const seen = [
        ...(await statesOf(byVip, balancer.connections ?? [])),
        ...(await statesOf(byMesh, sandbox.connections ?? [])),
      ];
      timeline[`after ${Math.round((now() - started) / 1000)} s`] = seen;
      return seen;
    };
    const becomes = (due: readonly string[]) => async () =>
      complaint('connections in IPVS', sameMembers(due, await known()));
    const established = Object.keys(underway).map((name) => `${name} ESTABLISHED`);
    const forgotten = Object.keys(underway).map(
      (name) => `${name} ${name.startsWith('silent') ? 'not there' : 'ESTABLISHED'}`,
    );
    await converge('all connections stand', becomes(established), { ...PROMISED.servesAgain, holdMs: 0 });
    await pass(Math.max(0, (REMEMBERED_S - EARLIER_S) * 1000 - (now() - started)));
    judge(`connections in IPVS, ${EARLIER_S} s before their time`, sameMembers(established, await known()));
    await converge('IPVS forgets the silent ones', becomes(forgotten), OURS.silentForgotten);
    const samples = Object.fromEntries(
      await Promise.all(
        Object.entries(underway).map(async ([name, { ended }]) => [name, await ended()] as const),
      ),
    );
    await evidence('connections', { timeline, samples });
    for (const [name, events] of Object.entries(samples))
      if (name.startsWith('silent')) judgeForgotten(`connection ${name}`, events, hostNamesOf(web));
      else judgeKept(`connection ${name}`, events, hostNamesOf(web));
  }),
);
