import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  assume,
  awake,
  type Balancer,
  clockAt,
  complaint,
  converge,
  ECHO_PORT,
  echoedBy,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  hostNamesOf,
  meanwhile,
  networkIn,
  now,
  OWN_PORTS,
  pass,
  sameMembers,
  serviceIn,
  since,
  strictRotation,
  taskOnEachNode,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { judgeForgotten, judgeKept, statesOf } from '../../fixtures/silence.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

/** A held connection carries so many lines at least, and one so often. */
const LINES = 200;
const EVERY_MS = 75;

test(
  ...clause('VIP-017', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const client = await swarm.client();
    const two = serviceIn(view, 'two');
    const vip = vipOf(two, 'front');
    // Two connections, so that each task has one: whichever task is stopped later, one of them is none of its business.
    const to = endpoint(vip, ECHO_PORT);
    const fresh: Record<string, string[]> = {};
    let rescaledAt = Number.POSITIVE_INFINITY;
    const rescale = async () => {
      const begun = now();
      for (const replicas of [4, 3]) {
        await swarm.scale('two', replicas);
        const wrong = async () => {
          const { tasks } = await swarm.service('two');
          return tasks.length === replicas
            ? (await swarm.agreement()).problems
            : [`${tasks.length} tasks run`];
        };
        await converge(`${replicas} tasks serve`, wrong, OURS.taskReplaced);
        const tasks = hostNamesOf(await swarm.service('two'));
        const request = {
          kind: 'http',
          to: endpoint(vip, HTTP_PORT),
          count: 2 * replicas,
          sourcePort: OWN_PORTS['VIP-017'] + 10 * replicas,
        } as const;
        const answers = answeredBy(await client.probe(request));
        fresh[`with ${replicas} tasks`] = answers;
        judge(
          `tasks that answer new connections, ${replicas} of them`,
          strictRotation(answers, tasks),
          client,
        );
      }
      rescaledAt = await clockAt(client);
      await pass(OURS.afterwardsMs + Math.max(0, LINES * EVERY_MS - (now() - begun)));
    };
    const held = client.sending({ kind: 'hold', to, count: 2, ms: 170_000, everyMs: EVERY_MS });
    const { samples } = await meanwhile({ samples: held }, rescale, (seen) =>
      evidence('connections', { ...seen, fresh, rescaledAt }),
    );
    const left = hostNamesOf(await swarm.service('two'));
    await evidence('tasks that are left', left);

    const connections = echoedBy(samples);
    judge('tasks that took the connections', sameMembers(hostNamesOf(two), connections.map(first)), client);
    const lasting = connections.filter((echoes) => left.includes(first(echoes)));
    first(lasting);
    const late = echoedBy(since(samples, rescaledAt)).flat();
    for (const echoes of lasting) {
      judge('who answered on one connection', sameMembers([first(echoes)], [...new Set(echoes)]), client);
      expect(late, 'who answered on the connections after the last change').toContain(first(echoes));
      const enough = echoes.length >= LINES;
      assume('lines on one connection', {
        ok: enough,
        expected: `at least ${LINES}`,
        seen: String(echoes.length),
      });
    }
  }),
);

/** Balancers, by node, in which an address is still behind a virtual IP. */
function stillThere(balancers: readonly Balancer[], address: string) {
  return Object.fromEntries(
    balancers.map(({ node, state }) => {
      const servers = (state.ipvs ?? []).flatMap(({ realServers }) => realServers);
      const left = servers.filter((server) => server.address === address);
      return [node, left.map(({ weight }) => `${address} with weight ${weight}`)];
    }),
  );
}

test(
  ...clause('VIP-021', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const three = serviceIn(view, 'three');
    const to = endpoint(vipOf(three, 'front'), HTTP_PORT);
    const dead = first(three.tasks);
    const address = dead.addresses.front ?? 'none';
    const look = async () =>
      (await swarm.balancers(view, ['ipvs'])).filter(({ network }) => network === 'front');
    const askers = taskOnEachNode({ ...view, services: [serviceIn(view, 'four')] }, 'front');
    /** From each node: connections from ports that every task was reached from before, and from fresh ones. */
    const ask = async () => {
      const asked = askers.map(async (asker) => {
        const request = { kind: 'http', to, timeoutMs: OURS.connectMs } as const;
        const vantage = swarm.inside(asker);
        const known = await vantage.probe({ ...request, count: 2 * three.tasks.length, sourcePort: 22_000 });
        const fresh = await vantage.probe({ ...request, count: 4 * (three.tasks.length - 1) });
        return [asker.node, { known: answeredBy(known), fresh: answeredBy(fresh) }] as const;
      });
      return Object.fromEntries(await Promise.all(asked));
    };
    const answersBefore = await ask();
    const before = await look();
    await evidence('before', { answers: answersBefore, balancers: before, dead });
    const without = Object.entries(stillThere(before, address)).filter(([, left]) => left.length === 0);
    assume(
      'balancers without the task',
      sameMembers(
        [],
        without.map(([node]) => node),
      ),
    );
    const [name] = hostNamesOf({ name: 'three', tasks: [dead] });
    for (const { known } of Object.values(answersBefore))
      expect(known, 'tasks reached from ports that will be used again').toContain(name);

    const asked = now();
    await swarm.kill(dead);
    await watch(
      'the dead task leaves every balancer',
      {
        look,
        wrong: (balancers) => stillThere(balancers, address),
        keep: (balancers) => evidence('balancers after', balancers),
      },
      { ...PROMISED.balancersFollowTasks, everyMs: 200 },
    );
    const seconds = (now() - asked - PROMISED.balancersFollowTasks.holdMs) / 1000;
    // IPVS still remembers that some ports belong to the dead task; a SYN from there must find another one all the same.
    const answers = await ask();
    const { tasks } = await swarm.service('three');
    await evidence('answers after', { secondsFromKillToRemoval: seconds, answers, tasks });
    const alive = hostNamesOf({ name: 'three', tasks: tasks.filter(({ id }) => id !== dead.id) });
    for (const [node, { known, fresh }] of Object.entries(answers)) {
      const others = (given: readonly string[]) => given.filter((one) => !alive.includes(one));
      judge('what became of new connections, if not answered', sameMembers([], others(fresh)), { node });
      judge('what became of those from the same ports', sameMembers([], others(known)), { node });
    }
  }),
);

/** How long a held connection is silent; its task dies and is taken out of the balancers meanwhile. */
const SILENT_MS = 12_000;

test(
  ...clause('VIP-025', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const asker = first(serviceIn(view, 'client').tasks);
    const client = swarm.inside(asker);
    const front = networkIn(view, 'front');
    const two = serviceIn(view, 'two');
    const to = endpoint(vipOf(two, 'front'), ECHO_PORT);
    const option = await swarm
      .insideBalancer(asker, front)
      .must('cat /proc/sys/net/ipv4/vs/expire_nodest_conn');

    const started = now();
    const lines = { kind: 'hold', to, count: 2, ms: SILENT_MS + 1000, everyMs: SILENT_MS } as const;
    const held = await client.underway({ ...lines, timeoutMs: 20_000 });
    const one = { kind: 'udp', to, sourcePort: 23_000, sourceStep: 0 } as const;
    const flow = await client.underway({ ...one, count: 100_000, intervalMs: 100, timeoutMs: 500 });
    const silent = async () => ((await flow.soFar()).length > 0 ? [] : ['no datagram came back']);
    await converge('the first datagram comes back', silent, PROMISED.servesAgain);
    const name = first(answeredBy(await flow.soFar()));
    const dead = first(
      two.tasks.filter((task) => hostNamesOf({ name: 'two', tasks: [task] }).includes(name)),
    );
    const address = dead.addresses.front ?? 'none';

    // It dies without a word, as a node does that loses its power: otherwise its own kernel would end the connection.
    await swarm.inside(dead).must(`iptables -I OUTPUT -p tcp --sport ${ECHO_PORT} -j DROP`);
    await swarm.kill(dead);
    const gone = async () => {
      const { ipvs = [] } = await swarm.balancerOf(asker, front, ['ipvs']);
      const servers = ipvs.flatMap(({ realServers }) => realServers.map((server) => server.address));
      return servers.includes(address) ? [`${address} is still a destination`] : [];
    };
    await converge('the dead task leaves the balancer', gone, {
      ...PROMISED.balancersFollowTasks,
      holdMs: 0,
    });
    const removedMs = now() - started;

    // A datagram from the same port: IPVS finds the connection, sees that its destination is gone, forgets it, and the next one
    // has its turn anew. A line on the connection: the same, but what follows is no SYN, so the virtual IP's owner resets it.
    const survivor = first(hostNamesOf(two).filter((other) => other !== name));
    const elsewhere = async () => {
      const last = answeredBy(await flow.soFar()).at(-1);
      return complaint('who answers the latest datagram', sameMembers([survivor], [last ?? 'nobody']));
    };
    const moved = await converge('the datagrams reach another task', elsewhere, PROMISED.deadFlowsEnd)
      .then((ms) => ms / 1000)
      .finally(() => flow.stop().then((samples) => evidence('datagrams from one port', samples)));
    const connections = (await swarm.balancerOf(asker, front, ['connections'])).connections ?? [];
    const events = await held.ended();
    await evidence('connections', { option, removedMs, moved, dead, events, connections });

    assume(
      'what was sent on the connections while the task died',
      sameMembers([], removedMs < SILENT_MS ? [] : [`a line, since the removal took ${removedMs} ms`]),
    );
    const left = connections.filter(
      ({ client: from, destination }) => from.port === one.sourcePort && destination.address === address,
    );
    judge(
      'entries that lead to the dead task',
      sameMembers(
        [],
        left.map(({ protocol, state }) => `${protocol} ${state}`),
      ),
      client,
    );
    const [[, ...onDead] = [], [, ...onOther] = []] = [name, survivor].map((task) =>
      echoedBy(events).find((echoes) => first(echoes) === task),
    );
    judge('what came of the other connection', sameMembers([survivor], onOther), client);
    const broken = events.find((event) => event.event === 'echo' && event.k === 1 && failed(event));
    expect(onDead, 'what came of a line on the connection to the dead task').not.toEqual([]);
    expect(onDead[0], 'what came of a line on the connection to the dead task').toMatch(/^(reset|closed) /);
    expect(awake(broken), 'time until the connection was told to be dead (ms)').toBeLessThan(
      PROMISED.deadFlowsEnd.withinMs,
    );
  }),
);

/** IPVS forgets an idle connection after so long, for this clause; and so long is the silence that it watches (s). */
const SHORTENED_S = 8;
const IDLE_S = 18;

test(
  ...clause('VIP-024', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const asker = first(serviceIn(view, 'client').tasks);
    const client = swarm.inside(asker);
    const front = networkIn(view, 'front');
    const two = serviceIn(view, 'two');
    const balancer = swarm.insideBalancer(asker, front);
    const timeouts = await balancer.must('ipvsadm -Ln --timeout');
    expect(timeouts.trim(), 'timeouts of IPVS').toBe('Timeout (tcp tcpfin udp): 900 120 300');
    await balancer.must(`ipvsadm --set ${SHORTENED_S} 120 300`);

    const line = { kind: 'hold', ms: IDLE_S * 1000 + 500, everyMs: IDLE_S * 1000, timeoutMs: 5000 } as const;
    const vip = endpoint(vipOf(two, 'front'), ECHO_PORT);
    const underway = {
      direct: await client.underway({ ...line, to: endpoint(first(addressesOf(two, 'front')), ECHO_PORT) }),
      kept: await client.underway({ ...line, to: vip, keepaliveS: 2 }),
      // Last, since from now on IPVS forgets it.
      idle: await client.underway({ ...line, to: vip }),
    };
    const known = async () => {
      const { connections = [] } = await swarm.balancerOf(asker, front, ['connections']);
      return statesOf(underway, connections);
    };
    const timeline: string[][] = [];
    const becomes = (due: readonly string[]) => async () => {
      const seen = await known();
      timeline.push(seen);
      return complaint('connections in IPVS', sameMembers(due, seen));
    };
    const established = ['idle ESTABLISHED', 'kept ESTABLISHED', 'direct not there'];
    await converge('two connections stand', becomes(established), { ...PROMISED.servesAgain, holdMs: 0 });
    // The kernel's keepalive is a packet like any other: it sets the timer anew. Silence does not.
    const forgotten = ['idle not there', 'kept ESTABLISHED', 'direct not there'];
    await converge('IPVS forgets the silent one', becomes(forgotten), OURS.idleForgotten);
    const [idle, kept, direct] = await Promise.all([
      underway.idle.ended(),
      underway.kept.ended(),
      underway.direct.ended(),
    ]);
    await evidence('connections', { timeouts, timeline, idle, kept, direct });

    const tasks = hostNamesOf(two);
    judgeForgotten('silent connection', idle, tasks, client);
    judgeKept('connection that is kept alive', kept, tasks);
    judgeKept('connection that is direct', direct, tasks);
  }),
);
