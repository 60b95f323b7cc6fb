import { OURS } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  answeredBy,
  assume,
  complaint,
  converge,
  endpoint,
  evenCounts,
  first,
  HTTP_PORT,
  hostNamesOf,
  markOfVip,
  networkIn,
  sameMembers,
  serviceIn,
  tally,
  vipOf,
} from '../../fixtures/domain.ts';
import { lifecycle } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

/** So many at once, from so many ports of their own: what IPVS remembers of a port for two minutes would choose the task. */
const MANY = { count: 2000, parallel: 100, sourcePort: 20_000 };
const FEW = { count: 60, parallel: 10, sourcePort: 30_000 };

test(
  ...clause('SCALE-001', { limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const web = serviceIn(view, 'web');
    const clients = serviceIn(view, 'client').tasks;
    const vip = vipOf(web, 'front');
    // Under so many, an answer takes what the emulated processors take; none may be lost.
    const request = { kind: 'http', to: endpoint(vip, HTTP_PORT), timeoutMs: OURS.crowdedMs } as const;
    const client = first(clients);
    const counted = async () => {
      const state = await swarm.balancerOf(client, networkIn(view, 'front'), ['stats', 'rules']);
      const mark = markOfVip(state, vip, swarm.node(client.node).generation.vipMark.chain);
      const service = state.stats?.find((one) => one.kind === 'fwmark' && one.fwmark === mark);
      return new Map(service?.realServers.map(({ address, stats }) => [address, stats.connections]));
    };

    const before = await counted();
    const many = await swarm.inside(client).probe({ ...request, ...MANY });
    const latencies = many.map(({ ms }) => ms).toSorted((a, b) => a - b);
    const shares = tally(hostNamesOf(web), answeredBy(many));
    await evidence('many connections', {
      shares,
      'ms in the middle, of the slowest hundredth and at most': [0.5, 0.99, 1].map(
        (part) => latencies[Math.ceil(part * latencies.length) - 1],
      ),
      before: [...before],
      many,
    });
    judge('many connections', allAnswered(many, MANY.count));
    judge('tasks that answered them', evenCounts(answeredBy(many), hostNamesOf(web)));
    const due = web.tasks.map(
      ({ container, addresses }) => `${addresses.front} ${shares[container.slice(0, 12)]}`,
    );
    const wrong = async () => {
      const after = await counted();
      const seen = [...after].map(([address, count]) => `${address} ${count - (before.get(address) ?? 0)}`);
      return complaint('connections by task', sameMembers(due, seen));
    };
    await converge('IPVS has counted the same', wrong, OURS.countersStandStill);

    // Each node's balancer has a turn of its own: together they are as even as each of them.
    const fromEach = await swarm.everywhere(
      (node) =>
        swarm.inside(first(clients.filter((task) => task.node === node.name))).probe({ ...request, ...FEW }),
      swarm.nodes,
    );
    await evidence('connections from each node', fromEach);
    for (const [node, samples] of Object.entries(fromEach)) {
      judge('connections', allAnswered(samples, FEW.count), { node });
      judge('tasks that answered', evenCounts(answeredBy(samples), hostNamesOf(web)), { node });
    }
    const sources = new Set([...many, ...(fromEach[client.node] ?? [])].map(({ source }) => source));
    assume('source ports, all different', {
      ok: sources.size === MANY.count + FEW.count,
      expected: String(MANY.count + FEW.count),
      seen: String(sources.size),
    });
  }),
);
