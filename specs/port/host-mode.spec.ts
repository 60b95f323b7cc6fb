import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  askEveryNode,
  chainRules,
  complaint,
  destinationPort,
  endpoint,
  HOST,
  HTTP_PORT,
  type HttpSample,
  hostNamesOf,
  INGRESS_CHAIN,
  ingressNetwork,
  ingressSandbox,
  jumpsTo,
  markOfPort,
  meshServices,
  ruleText,
  type ServiceView,
  type Swarm,
  sameMembers,
  sameOnEveryNode,
  service,
  serviceIn,
  type TaskRecord,
  viewTaskPorts,
  watch,
} from '../../fixtures/domain.ts';
import { measureWay } from '../../fixtures/measure.ts';
import { PUBLISHED, publishing } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(publishing);

/** Requests to each node's port in host mode, which all must reach the node's own task. */
const REQUESTS = 10;

/** What each node owes on a port published in host mode: its own task for every request, or a refusal where none runs. */
function judgeHostMode({ nodes }: Swarm, { name, tasks }: ServiceView, seen: Record<string, HttpSample[]>) {
  for (const { name: node } of nodes) {
    const own = tasks.filter((task) => task.node === node);
    const due = own.length > 0 ? hostNamesOf({ name, tasks: own }) : ['refused in connect'];
    judge(`answers for ${name} on ${node}`, sameMembers(due, [...new Set(answeredBy(seen[node] ?? []))]), {
      node,
    });
  }
}

test(
  ...clause('PORT-003', async ({ swarm, evidence, measure }) => {
    const view = await swarm.view();
    const hosted = serviceIn(view, 'hosted');
    const seen = await askEveryNode(swarm, PUBLISHED.hosted, { count: REQUESTS });
    const kernel = await swarm.everywhere(async (node) => ({
      host: await node.namespace(HOST, ['rules']),
      sandbox: await ingressSandbox(node, ['rules', 'ipvs']),
    }));
    await evidence('the service', hosted);
    await evidence('answers', seen);
    await evidence('rules, and IPVS of the mesh', kernel);

    // One task on each worker, none on the manager, where nothing listens.
    judge(
      'nodes with a task',
      sameMembers(
        ['w1', 'w2'],
        hosted.tasks.map(({ node }) => node),
      ),
    );
    judgeHostMode(swarm, hosted, seen);
    judge('networks on which it has a virtual IP', sameMembers(['front'], Object.keys(hosted.vips)));
    const ingress = ingressNetwork(view).name;
    const balanced = meshServices(view).flatMap((one) => addressesOf(one, ingress));
    for (const [node, { host, sandbox }] of Object.entries(kernel)) {
      const rules = [
        ...chainRules(host, 'nat', INGRESS_CHAIN)
          .filter((rule) => destinationPort(rule)?.value === String(PUBLISHED.hosted))
          .map(ruleText),
        ...jumpsTo(sandbox, 'mangle', 'MARK').filter((rule) => rule.includes(`--dport ${PUBLISHED.hosted} `)),
      ];
      judge(`rules of the mesh for the port on ${node}`, sameMembers([], rules), { node });
      const marks = meshServices(view).flatMap(({ ports }) => ports.map((port) => markOfPort(sandbox, port)));
      const balancing = (sandbox.ipvs ?? []).map((one) => (one.kind === 'fwmark' ? one.fwmark : one.kind));
      judge(
        `IPVS services of the mesh on ${node}`,
        sameMembers([...new Set(marks)].map(String), balancing.map(String)),
        { node },
      );
      const servers = (sandbox.ipvs ?? []).flatMap((one) => one.realServers.map(({ address }) => address));
      judge(`real servers of the mesh on ${node}`, sameMembers(balanced, servers), { node });
    }
    // The same node's own task in host mode, and the mesh where it has to cross to another node.
    const way = swarm.managers.map(({ address }) => endpoint(address, PUBLISHED.both));
    const direct = swarm.workers.map(({ address }) => endpoint(address, PUBLISHED.hosted));
    await measureWay(measure, 'mesh', swarm.outsider, { way, direct });
  }),
);

test(
  ...clause('PORT-004', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const plain = serviceIn(view, 'plain');
    const seen = await askEveryNode(swarm, PUBLISHED.plain, { count: REQUESTS });
    const heard = await swarm.hear(view, 'front', ['plain']);
    await evidence('the service', plain);
    await evidence('answers', seen);
    await evidence('addresses behind the name', heard);

    judge('endpoint mode', sameMembers(['dnsrr'], [plain.endpointMode]));
    judge('virtual IPs', sameMembers([], Object.keys(plain.vips)));
    judge(
      'ports in the API',
      sameMembers(
        [`${PUBLISHED.plain} host`],
        plain.ports.map(({ published, mode }) => `${published} ${mode}`),
      ),
    );
    judgeHostMode(swarm, plain, seen);
    judge(
      'addresses behind the name',
      sameOnEveryNode(
        addressesOf(plain, 'front'),
        Object.fromEntries(Object.entries(heard).map(([node, names]) => [node, names.plain ?? []])),
      ),
    );
  }),
);

test(
  ...clause('PORT-005', { disturbs: true }, async ({ swarm, evidence }) => {
    // `hosted` has the port on both workers already, so of the three nodes one is free.
    const replicas = swarm.nodes.length + 1;
    const late = service('late', {
      replicas,
      publish: [{ published: PUBLISHED.hosted, target: HTTP_PORT, mode: 'host' }],
    });
    await swarm.create(late);
    const waiting = (nodes: readonly string[], reason: RegExp) => (records: readonly TaskRecord[]) => {
      const shall = records.filter(({ desired }) => desired === 'running');
      const pending = shall.filter(({ state }) => state === 'pending');
      const run = shall.filter(({ state }) => state === 'running').map(({ node }) => node);
      return [
        ...complaint('nodes with a running task', sameMembers(nodes, run)),
        ...complaint('tasks that wait', sameMembers([`${replicas - nodes.length}`], [`${pending.length}`])),
        ...pending
          .filter(({ error }) => !reason.test(error ?? ''))
          .map(({ id, error }) => `${id} waits: ${error}`),
      ];
    };
    const settle = (what: string, wrong: (records: readonly TaskRecord[]) => string[]) =>
      watch(
        what,
        {
          look: () => swarm.history('late'),
          wrong: (records) => ({ [swarm.manager.name]: wrong(records) }),
          keep: (seen) => evidence(what, seen),
        },
        { ...OURS.taskReplaced, holdMs: PROMISED.taskWaitsMs },
      );
    await settle(
      'one task runs, three wait for a node',
      waiting(['m1'], /host-mode port already in use on 3 nodes/),
    );

    await swarm.remove('hosted');
    await settle(
      'two of them run where the port was set free',
      // Told is how many nodes were refused in the round in which the scheduler looked last: if both were free then, only m1 was.
      waiting(['m1', 'w1', 'w2'], /host-mode port already in use on (?:1 node|[23] nodes)/),
    );
    const running = await swarm.service('late');
    const seen = await askEveryNode(swarm, PUBLISHED.hosted, { count: REQUESTS });
    await evidence('answers', seen);
    judgeHostMode(swarm, running, seen);
  }),
);

test(
  ...clause('PORT-006', async ({ swarm, evidence }) => {
    const several = await swarm.service('several');
    const ports = await viewTaskPorts(swarm.manager.api, 'several');
    const w1 = swarm.node('w1');
    const range = await w1.vantage.must('cat /proc/sys/net/ipv4/ip_local_port_range');
    const asked = await Promise.all(
      several.tasks.map(async ({ id }) => {
        const [, port = ''] = /^tcp (\d+)->80$/.exec(ports[id]?.join() ?? '') ?? [];
        expect(port, `port of task ${id} in ${JSON.stringify(ports)}`).toMatch(/^\d+$/);
        const to = endpoint(w1.address, Number(port));
        return {
          port: Number(port),
          samples: await swarm.outsider.probe({ kind: 'http', to, count: REQUESTS }),
        };
      }),
    );
    await evidence('the service and its ports', { several, ports, range });
    await evidence('answers', asked);

    judge(
      'nodes of the two tasks',
      sameMembers(['w1 w1'], [several.tasks.map(({ node }) => node).join(' ')]),
    );
    judge('different ports', sameMembers(['2'], [String(new Set(asked.map(({ port }) => port)).size)]));
    const [low = Number.NaN, high = Number.NaN] = range.trim().split(/\s+/).map(Number);
    for (const [i, { port, samples }] of asked.entries()) {
      const name = hostNamesOf(several)[i] ?? '';
      judge(`answers on port ${port} of w1`, sameMembers([name], [...new Set(answeredBy(samples))]), {
        node: 'w1',
      });
      expect(port, 'within the range of ports that the node gives by itself').toBeGreaterThanOrEqual(low);
      expect(port, 'within the range of ports that the node gives by itself').toBeLessThanOrEqual(high);
    }
  }),
);
