import { PROMISED } from '../../fixtures/bounds.ts';
import {
  chainRules,
  converge,
  endpoint,
  HOST,
  INGRESS_CHAIN,
  INGRESS_SANDBOX,
  jumpsTo,
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
} from '../../fixtures/domain.ts';
import { AGENT_PORT, STORE_PORT, spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('NODE-005', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const w1 = swarm.node('w1');
    const settings = { HostConfig: { NetworkMode: 'back', RestartPolicy: { Name: 'always' } } };
    const alone = await runStandalone(w1, settings);
    const first = await swarm.view();
    const before = await rulesOf(w1, first);
    const standing = await viewStandalone(w1, alone);
    await evidence('before', { rules: before, standing, view: first });

    await w1.endEngine('TERM');
    await w1.startEngine();
    const times: Record<string, number> = {};
    times['w1 ready'] = await converge(
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
    );
    times['settled, after that'] = await swarm.settled(PROMISED.reunited);
    await evidence('settled', times);

    // nat PREROUTING -> DOCKER-INGRESS -> ingress_sbox: each step of the way was made anew by the engine, none may be there twice.
    const ports = [VOTE_PORT, AGENT_PORT, STORE_PORT];
    times['ports answer, after that'] = await converge(
      'w1 answers on every published port',
      async () => {
        const to = ports.map((port) => endpoint(w1.address, port));
        const samples = await swarm.outsider.probe({
          kind: 'http',
          to,
          count: 6,
          rounds: true,
          timeoutMs: 2000,
        });
        return samples.flatMap((sample) => ('error' in sample ? [`${sample.to}: ${sample.error}`] : []));
      },
      PROMISED.portAnswers,
    );
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
    const view = await swarm.view();
    const after = await rulesOf(w1, view);
    await evidence('after', { times, rules: after, pid, view });

    for (const [where, rules] of Object.entries(before))
      judge(`${where} of w1`, sameMembers(rules, after[where] ?? []), { node: 'w1' });
    expect(pid, 'process of the container that no service made').not.toBe(Object(standing).pid);
    const asker = w1.inside(pid, 'the container that no service made');
    const heard = (await asker.addresses(['store'])).get('store') ?? [];
    judge('what it hears of store', sameMembers([vipOf(serviceIn(view, 'store'), 'back')], heard), {
      node: 'w1',
    });
  }),
);

/**
 * The rules of the way of published packets and of virtual IPs on a node, one line each, without marks and translated
 * addresses, which are each engine's own choice.
 */
async function rulesOf(node: Node, view: SwarmView): Promise<Record<string, string[]>> {
  const balancer = lbNamespace(networkIn(view, 'front'), node.generation);
  const states = await node.observe(['rules'], [HOST, INGRESS_SANDBOX, balancer]);
  const state = (name: string) => states.find((one) => one.name === name);
  const host = state(HOST) ?? { name: HOST, inode: 0 };
  const texts = (of: string, table: string, chain: string) =>
    chainRules(state(of), table, chain).map((rule) =>
      ruleText(rule).replace(/ --(?:set-xmark|to-destination) \S+/, ''),
    );
  const { filterIngressJump: parent, vipMark } = node.generation;
  const marked = (of: string) =>
    ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].flatMap((chain) =>
      texts(of, 'mangle', chain).map((text) => `${chain} ${text}`),
    );
  return {
    'jumps to DOCKER-INGRESS in nat': jumpsTo(host, 'nat', INGRESS_CHAIN),
    'jumps to DOCKER-INGRESS in filter': jumpsTo(host, 'filter', INGRESS_CHAIN),
    'first jump in filter': numbered(texts(HOST, 'filter', parent)).slice(0, 2),
    'DOCKER-INGRESS in nat': texts(HOST, 'nat', INGRESS_CHAIN),
    'DOCKER-INGRESS in filter': texts(HOST, 'filter', INGRESS_CHAIN),
    'marks in ingress_sbox': marked(INGRESS_SANDBOX),
    [`marks in the balancer of front, chain ${vipMark.chain}`]: marked(balancer),
  };
}

function numbered(lines: readonly string[]): string[] {
  return lines.map((line, i) => `${i + 1}. ${line}`);
}
