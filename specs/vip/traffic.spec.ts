import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  assume,
  chainRules,
  complaint,
  ECHO_PORT,
  EMBEDDED_DNS,
  echoedBy,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  type HttpSample,
  hostNamesOf,
  networkIn,
  OTHER_HTTP_PORT,
  OWN_PORTS,
  ruleText,
  sameMembers,
  serviceIn,
  strictRotation,
  tally,
  taskOnEachNode,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { measureWay } from '../../fixtures/measure.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('VIP-016', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const client = await swarm.client();
    // The mark depends on the address alone, so whatever port a packet asks for, IPVS has its turn, for both protocols the same.
    // `two` publishes one of these ports, `three` none.
    for (const name of ['two', 'three']) {
      const service = serviceIn(view, name);
      const tasks = hostNamesOf(service);
      const vip = vipOf(service, 'front');
      const [http, other, echo] = [HTTP_PORT, OTHER_HTTP_PORT, ECHO_PORT].map((port) => endpoint(vip, port));
      const count = 2 * tasks.length;
      const sourcePort = OWN_PORTS['VIP-016'];
      const onHttp = await client.probe({ kind: 'http', to: `${http}`, count, sourcePort });
      const onOther = await client.probe({ kind: 'http', to: `${other}`, count, sourcePort });
      const hold = { kind: 'hold', to: `${echo}`, count, sourcePort, ms: 100, intervalMs: 20 } as const;
      const lines = await client.probe(hold);
      // UDP has no end to see: a port used again within 300 s goes where it went before, so each has one of its own.
      const datagrams = await client.probe({ kind: 'udp', to: `${echo}`, count, sourcePort: 20_000 });
      await evidence(`answers of ${name}`, { onHttp, onOther, lines, datagrams });
      const answers = {
        [`tcp/${HTTP_PORT}`]: answeredBy(onHttp),
        [`tcp/${OTHER_HTTP_PORT}`]: answeredBy(onOther),
        [`tcp/${ECHO_PORT}`]: echoedBy(lines).map((echoes) => echoes.join()),
        [`udp/${ECHO_PORT}`]: answeredBy(datagrams),
      };
      for (const [port, answered] of Object.entries(answers))
        judge(`tasks of ${name} that answer in turn on ${port}`, strictRotation(answered, tasks), client);
    }
  }),
);

test(
  ...clause('VIP-018', async ({ swarm, evidence, measure }) => {
    const view = await swarm.view();
    const front = networkIn(view, 'front');
    const three = serviceIn(view, 'three');
    const tasks = addressesOf(three, 'front').map((address) => endpoint(address, HTTP_PORT));
    const askers = taskOnEachNode(view, 'front');
    const seen = await Promise.all(
      askers.map(async (asker) => {
        const node = swarm.node(asker.node);
        const vantage = swarm.inside(asker);
        const vip = endpoint(vipOf(three, 'front'), HTTP_PORT);
        return {
          asker,
          balancer: (await node.network(front.id)).endpoints['front-endpoint'] ?? 'none',
          state: await swarm.balancerOf(asker, front, ['rules']),
          throughVip: await vantage.probe({ kind: 'http', to: vip, count: tasks.length }),
          direct: await vantage.probe({ kind: 'http', to: tasks }),
        };
      }),
    );
    await evidence('peers that the tasks saw', seen);
    // The reply has to come back through the balancer that knows the connection, so the balancer puts its own address under what
    // it passes on. What goes to a task's own address never meets it.
    for (const { asker, balancer, state, throughVip, direct } of seen) {
      const where = { node: asker.node };
      judge('peer behind the virtual IP', sameMembers([balancer], peersOf(throughVip)), where);
      const own = asker.addresses.front ?? 'none';
      judge('peer of a direct connection', sameMembers([own], peersOf(direct)), where);
      const rules = chainRules(state, 'nat', 'POSTROUTING').map(ruleText);
      expect(rules, `rules of nat on ${asker.node}`).toContain(
        `-d ${front.subnet} -m ipvs --ipvs -j SNAT --to-source ${balancer}`,
      );
    }
    const way = [endpoint(vipOf(three, 'front'), HTTP_PORT)];
    await measureWay(measure, 'vip', await swarm.client(), { way, direct: tasks });
  }),
);

/** The addresses that tasks saw at the other end, each once; where nobody answered, what happened instead. */
function peersOf(samples: readonly HttpSample[]): string[] {
  const peers = samples.map((sample) =>
    failed(sample) ? `${sample.error} in ${sample.phase}` : (sample.peer?.replace(/:\d+$/, '') ?? 'none'),
  );
  return [...new Set(peers)];
}

test(
  ...clause('VIP-022', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    // Out of the task to its node's balancer, and from there back in when the turn is its own.
    for (const name of ['two', 'three', 'four']) {
      const service = serviceIn(view, name);
      const tasks = hostNamesOf(service);
      const byNode = Object.groupBy(service.tasks, ({ node }) => node);
      // Tasks of one node share the turns of its balancer: there one asks after the other.
      const answers = await swarm.everywhere(async ({ name: node }) => {
        const asked: { task: string; answers: string[] }[] = [];
        for (const task of byNode[node] ?? []) {
          const samples = await swarm.inside(task).probe({
            kind: 'name',
            server: EMBEDDED_DNS,
            question: { name, type: 'A' },
            port: HTTP_PORT,
            count: 2 * tasks.length,
          });
          asked.push({ task: task.containerName, answers: answeredBy(samples) });
        }
        return asked;
      });
      await evidence(`who answered the tasks of ${name}`, answers);
      for (const [node, asked] of Object.entries(answers))
        for (const { task, answers } of asked)
          judge(`tasks that answer ${task} in turn`, strictRotation(answers, tasks), { node });
    }
  }),
);

test(
  ...clause('VIP-023', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const client = first(serviceIn(view, 'client').tasks);
    const three = serviceIn(view, 'three');
    const to = endpoint(vipOf(three, 'front'), HTTP_PORT);
    const balancer = swarm.insideBalancer(client, networkIn(view, 'front'));
    const mode = await balancer.must('cat /proc/sys/net/ipv4/vs/conn_reuse_mode');
    // The task closes first, so the client's port is free at once while IPVS remembers the connection for 120 s more. Each port
    // is tied to the task whose turn it was at its first use.
    const ports = [21_000, 21_001, 21_002];
    const samples = await Promise.all(
      ports.map((sourcePort) =>
        swarm
          .inside(client)
          .probe({ kind: 'http', to, count: 6, sourcePort, sourceStep: 0, intervalMs: 2000 }),
      ),
    );
    const { connections } = await swarm.balancerOf(client, networkIn(view, 'front'), ['connections']);
    const histogram = ports.map((port, i) => ({ port, ...tally([], (samples[i] ?? []).map(connectTime)) }));
    await evidence('connections from the same ports', { mode, samples, connections, histogram });
    const answers = samples.map(answeredBy);
    for (const [i, answered] of answers.entries())
      judge(
        `tasks behind port ${ports[i]}`,
        sameMembers(answered.slice(0, 1), [...new Set(answered)]),
        client,
      );
    judge('tasks behind all ports', sameMembers(hostNamesOf(three), answers.map(first)), client);
    const slowest = Math.max(...samples.flat().map((sample) => sample.connectMs ?? Number.POSITIVE_INFINITY));
    expect(slowest, 'longest time until a connection stood (ms)').toBeLessThan(OURS.noSynLostMs);
  }),
);

/** How long a connection took to stand, as it is counted in a histogram. */
function connectTime({ connectMs = Number.POSITIVE_INFINITY }: { connectMs?: number }): string {
  const bound = [10, 100, OURS.noSynLostMs].find((ms) => connectMs < ms);
  return bound === undefined ? 'longer, or never' : `below ${bound} ms`;
}

test(
  ...clause('VIP-019', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const three = serviceIn(view, 'three');
    const vip = vipOf(three, 'front');
    // The balancer has each virtual IP as an address of its own; so it is the one that answers an echo request, not a task.
    const balancers = await swarm.balancers(view, ['links']);
    await evidence('links of the balancers', balancers);
    for (const { node, network, state } of balancers) {
      const link = state.links?.find(({ name }) => name === 'eth0');
      const aliases = (link?.addresses ?? []).filter(({ prefix }) => prefix === 32);
      const due = view.services.flatMap(({ vips }) => vips[network] ?? []);
      judge(
        `addresses on eth0 for ${network}`,
        sameMembers(
          due,
          aliases.map(({ address }) => address),
        ),
        { node },
      );
    }

    await Promise.all(
      three.tasks.map((task) => swarm.inside(task).must('iptables -I INPUT -p icmp -j DROP')),
    );
    const askers = taskOnEachNode({ ...view, services: [serviceIn(view, 'four')] }, 'front');
    const ping = async (to: string | readonly string[], count: number) => {
      const asked = askers.map(async (asker) => {
        const request = { kind: 'ping', to, count, timeoutMs: OURS.connectMs } as const;
        return [asker.node, await swarm.inside(asker).probe(request)] as const;
      });
      return Object.fromEntries(await Promise.all(asked));
    };
    const tasks = await ping(addressesOf(three, 'front'), 1);
    const answered = await ping(vip, 3);
    await evidence('echo requests to the tasks, which drop them, and to the virtual IP', { tasks, answered });
    const heard = Object.values(tasks).flatMap((samples) =>
      samples.filter((one) => !failed(one)).map(({ to }) => to),
    );
    assume('tasks that still answer echo requests', sameMembers([], heard));
    for (const [node, samples] of Object.entries(answered))
      judge(
        'echo requests without a reply',
        sameMembers(
          [],
          samples.filter(failed).map(({ i }) => `${i}`),
        ),
        {
          node,
        },
      );

    await swarm.remove('three');
    await watch(
      'the virtual IP of a removed service is withdrawn',
      {
        look: () => swarm.balancers(view, ['links']),
        wrong: (seen) =>
          Object.fromEntries(
            seen
              .filter(({ network }) => network === 'front')
              .map(({ node, state }) => {
                const addresses = state.links?.flatMap((link) => link.addresses) ?? [];
                const left = addresses.map(({ address }) => address).filter((address) => address === vip);
                return [node, complaint('addresses left', sameMembers([], left))];
              }),
          ),
        keep: (seen) => evidence('links after the removal', seen),
      },
      PROMISED.serviceWithdrawn,
    );
    const after = await ping(vip, 1);
    await evidence('echo requests after the removal', after);
    for (const [node, samples] of Object.entries(after))
      expect(samples.filter(failed), `echo requests without a reply on ${node}`).toHaveLength(samples.length);
  }),
);
