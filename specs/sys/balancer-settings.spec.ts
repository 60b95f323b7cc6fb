import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  assume,
  balancerSettings,
  complaint,
  converge,
  ECHO_PORT,
  endpoint,
  first,
  INGRESS_SANDBOX,
  type IpvsConnection,
  lbNamespace,
  meanwhile,
  mountedNamespaces,
  type Node,
  networkIn,
  pairs,
  sameMembers,
  serviceIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('SYS-006', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const balancers = await swarm.balancers(view, ['timeouts']);
    await evidence('time-outs of the balancers', balancers);
    for (const { node, network, state } of balancers)
      judge(
        `time-outs of ${network} on ${node}`,
        sameMembers(['tcp=900', 'tcpFin=120', 'udp=300'], pairs({ ...state.timeouts })),
        { node },
      );

    // What they mean to a connection: client -> balancer of its own node, which keeps an entry until it expires.
    const client = first(serviceIn(view, 'client').tasks);
    const inside = swarm.inside(client);
    const to = endpoint(vipOf(serviceIn(view, 'vote'), 'front'), ECHO_PORT);
    const datagram = async () => first(await inside.probe({ kind: 'udp', to }));
    const looks: Awaited<ReturnType<typeof datagram>>[] = [];
    let entries: IpvsConnection[] = [];
    const { held } = await meanwhile(
      { held: inside.sending({ kind: 'hold', to, ms: OURS.holdMs, everyMs: 100 }) },
      async () => {
        looks.push(await datagram());
        entries =
          (await swarm.balancerOf(client, networkIn(view, 'front'), ['connections'])).connections ?? [];
        looks.push(await datagram());
      },
      (seen) => evidence('a held connection, datagrams and entries', { ...seen, looks, entries }),
    );
    const [open, close] = [
      first(held.filter(({ event }) => event === 'open')),
      first(held.filter(({ event }) => event === 'close')),
    ];
    const [, later] = looks;
    assume(
      'the connection outlives the look at its entry',
      sameMembers(['yes'], [later && later.at < close.at + close.ms ? 'yes' : 'no']),
    );
    for (const { source, state, limit } of [
      { source: 'source' in open ? open.source : undefined, state: 'ESTABLISHED', limit: 900 },
      { source: looks[0]?.source, state: 'UDP', limit: 300 },
    ]) {
      const entry = first(
        entries.filter(({ client: { address, port } }) => endpoint(address, port) === source),
      );
      judge(`state of the entry of ${source}`, sameMembers([state], [entry.state]), { node: client.node });
      expect(entry.expiresSeconds, `seconds left to the entry of ${source}`).toBeLessThanOrEqual(limit);
      expect(entry.expiresSeconds, `seconds left to the entry of ${source}`).toBeGreaterThan(limit - 60);
    }
  }),
);

test(
  ...clause('SYS-005', { disturbs: true }, async ({ swarm, evidence }) => {
    const [w1, w2] = [swarm.node('w1'), swarm.node('w2')];
    const settingsAreRight = async (when: string) => {
      const balancers = await swarm.balancers(await swarm.view(), ['sysctls']);
      await evidence(`settings of the balancers ${when}`, balancers);
      for (const { node, network, state } of balancers) {
        const due = balancerSettings(swarm.node(node).generation);
        const seen = Object.keys(due).map((name) => `${name}=${state.sysctls?.[name] ?? 'absent'}`);
        judge(`settings of ${network} on ${node} ${when}`, sameMembers(pairs(due), seen), { node });
      }
    };
    await settingsAreRight('at first');

    // With its last task on the overlay w1 loses its balancer there, and w2 loses all of them with its engine.
    const { id } = networkIn(await swarm.view(), 'front');
    const balancer = lbNamespace({ id, ingress: false }, w1.generation);
    await swarm.scale('vote', 0);
    await converge(
      'the balancer goes with the last task',
      async () => {
        const mounted = await mountedNamespaces(w1.toolbox);
        const left = mounted.filter((name) => name === balancer);
        return complaint('balancer of front on w1', sameMembers([], left));
      },
      PROMISED.networkGone,
    );
    const spoilt = await spoil(w2, [balancer, INGRESS_SANDBOX]);
    await evidence('settings spoilt on w2', spoilt);
    await w2.endEngine('TERM');
    await w2.startEngine();
    await swarm.scale('vote', 2);
    await swarm.settled();
    await settingsAreRight('when all were made anew');
  }),
);

/** Gives the settings of namespaces the other value each, so that one which is not made anew, or remembers it, is found out. */
async function spoil(node: Node, namespaces: readonly string[]): Promise<string> {
  const wrong = pairs(balancerSettings(node.generation)).map((pair) =>
    pair.replace(/\d$/, (one) => `${1 - Number(one)}`),
  );
  const said = namespaces.map((name) => node.within(name).must(`sysctl -w ${wrong.join(' ')}`));
  return (await Promise.all(said)).join('\n');
}
