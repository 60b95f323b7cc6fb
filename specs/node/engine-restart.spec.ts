import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  answeredBy,
  assume,
  chainRules,
  converge,
  endpoint,
  HOST,
  HTTP_PORT,
  hostNamesOf,
  INGRESS_CHAIN,
  INGRESS_SANDBOX,
  type ListedNode,
  lbNamespace,
  type Node,
  networkIn,
  ruleText,
  runStandalone,
  type SwarmView,
  sameMembers,
  serviceIn,
  tasksIn,
  unready,
  viewNodes,
  viewStandalone,
  vipOf,
  waysIntoIngress,
} from '../../fixtures/domain.ts';
import { AGENT_PORT, STORE_PORT, spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('NODE-005', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const w1 = swarm.node('w1');
    const settings = { HostConfig: { NetworkMode: 'back', RestartPolicy: { Name: 'always' } } };
    const alone = await runStandalone(w1, settings);
    const nodes = await viewNodes(swarm.manager.api);
    const first = await swarm.view();
    const before = await tablesOf(w1, first);
    const standing = await viewStandalone(w1, alone);
    await evidence('before', { tables: before, standing, nodes, view: first });

    await w1.endEngine('TERM');
    await w1.startEngine();
    const to = [VOTE_PORT, AGENT_PORT, STORE_PORT].map((port) => endpoint(w1.address, port));
    const times: Record<string, number> = {};
    [times['w1 ready'] = 0, times['ports answer'] = 0] = await Promise.all([
      converge(
        'w1 is ready, and its tasks are replaced',
        async () => {
          const former = tasksIn(first).filter(({ node }) => node === 'w1');
          const now = tasksIn(await swarm.view()).map(({ id }) => id);
          const left = former
            .filter(({ id }) => now.includes(id))
            .map(({ containerName }) => `${containerName} is listed`);
          return [...unready(await viewNodes(swarm.manager.api), ['w1']), ...left];
        },
        PROMISED.nodeBack,
      ),
      // nat PREROUTING -> DOCKER-INGRESS -> ingress_sbox: each step of the way is made anew, and leads to tasks elsewhere at first.
      converge(
        'w1 answers on every published port',
        async () => {
          const samples = await swarm.outsider.probe({ kind: 'http', to, timeoutMs: 2000 });
          return samples.flatMap((sample) => ('error' in sample ? [`${sample.to}: ${sample.error}`] : []));
        },
        PROMISED.nodeBack,
      ),
    ]);
    times['settled, after that'] = await swarm.settled(PROMISED.reunited);
    const answers = await swarm.outsider.probe({ kind: 'http', to, count: 6, rounds: true });
    let pid = 0;
    times['container of its own, after that'] = await converge(
      'the container that no service made runs again',
      async () => {
        const seen = await viewStandalone(w1, alone);
        if (typeof seen === 'string') return [seen];
        pid = seen.pid;
        return seen.running ? [] : ['it does not run'];
      },
      PROMISED.nodeBack,
    );
    const [view, nodesAfter, containers] = await Promise.all([
      swarm.view(),
      viewNodes(swarm.manager.api),
      w1.api.listContainers(),
    ]);
    const after = await tablesOf(w1, view);
    await evidence('after', { times, tables: after, pid, view, nodes: nodesAfter, containers, answers });

    const onW1 = { node: 'w1' };
    judge('nodes', sameMembers(nodes.map(identity), nodesAfter.map(identity)));
    judge('requests to its published ports', allAnswered(answers, 18), onW1);
    const own = tasksIn(view).filter(({ node }) => node === 'w1');
    const ran = containers.map(({ Id }) => Id);
    judge('containers on w1', sameMembers([...own.map(({ container }) => container), alone], ran), onW1);
    for (const [what, judgement] of Object.entries(after.ways)) judge(`${what} on w1`, judgement, onW1);
    // Whatever the engine made before is there again, and once.
    for (const [where, rules] of Object.entries(before.rules)) {
      assume(`${where} of w1 before`, { ok: rules.length > 0, expected: 'some', seen: 'none' });
      judge(`${where} of w1`, sameMembers(rules, after.rules[where] ?? []), onW1);
    }
    judge('kinds of real servers on w1', sameMembers([SERVER], after.servers), onW1);
    const [smallest] = after.marks.toSorted((one, other) => one - other);
    expect(smallest, 'smallest mark on w1').toBeGreaterThanOrEqual(FIRST_MARK);
    expect(smallest, 'smallest mark on w1').toBeLessThan(FIRST_MARK + before.marks.length);

    expect(pid, 'process of the container that no service made').not.toBe(Object(standing).pid);
    const asker = w1.inside(pid, 'the container that no service made');
    const store = serviceIn(view, 'store');
    const heard = (await asker.addresses(['store'])).get('store') ?? [];
    const served = await asker.probe({
      kind: 'http',
      to: endpoint(vipOf(store, 'back'), HTTP_PORT),
      count: 4,
    });
    await evidence('what it hears, and who answers it', { heard, served });
    judge('what it hears of store', sameMembers([vipOf(store, 'back')], heard), onW1);
    judge('who answers it', sameMembers(hostNamesOf(store), [...new Set(answeredBy(served))]), onW1);
  }),
);

/** Scheduler of a balancer, and method, weight and port of a real server, as Swarm makes all of them (moby libnetwork/service_linux.go, addLBBackend). */
const SERVER = 'rr: Masq, weight 1, port 0';

/** Marks are counted from here in each life of an engine (moby libnetwork/service_common.go, fwMarkCtr). */
const FIRST_MARK = 256;

function identity({ id, name, role }: ListedNode): string {
  return `${name} ${id} ${role}`;
}

/** What an engine has made of a Swarm on its node: whatever leads packets to published ports and virtual IPs. */
async function tablesOf(node: Node, view: SwarmView) {
  const [front = '', back = ''] = ['front', 'back'].map((name) =>
    lbNamespace(networkIn(view, name), node.generation),
  );
  const states = await node.observe(['rules', 'ipvs'], [HOST, INGRESS_SANDBOX, front, back]);
  const state = (name: string) => states.find((one) => one.name === name);
  const host = state(HOST) ?? { name: HOST, inode: 0 };
  // Without marks and translated addresses, which are each engine's own choice.
  const texts = (of: string, table: string, chain: string) =>
    chainRules(state(of), table, chain).map((rule) =>
      ruleText(rule).replace(/ --(?:set-xmark|to-destination) \S+/, ''),
    );
  const marked = (of: string) =>
    ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].flatMap((chain) =>
      texts(of, 'mangle', chain).map((text) => `${chain} ${text}`),
    );
  const ipvs = states.flatMap((one) => one.ipvs ?? []);
  return {
    ways: waysIntoIngress(host, node.generation),
    rules: {
      'DOCKER-INGRESS in nat': texts(HOST, 'nat', INGRESS_CHAIN),
      'DOCKER-INGRESS in filter': texts(HOST, 'filter', INGRESS_CHAIN),
      'marks in ingress_sbox': marked(INGRESS_SANDBOX),
      'marks in the balancer of front': marked(front),
      'marks in the balancer of back': marked(back),
    } as Record<string, string[]>,
    servers: [
      ...new Set(
        ipvs.flatMap(({ scheduler, realServers }) =>
          realServers.map(
            ({ method, weight, port }) => `${scheduler}: ${method}, weight ${weight}, port ${port}`,
          ),
        ),
      ),
    ],
    marks: ipvs.flatMap((one) => (one.kind === 'fwmark' ? [one.fwmark] : [])),
  };
}
