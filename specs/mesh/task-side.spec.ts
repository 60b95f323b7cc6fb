import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  attachments,
  chainRules,
  complaint,
  ECHO_PORT,
  endpoint,
  first,
  GATEWAY_BRIDGE,
  giveIpv6,
  HOST,
  HTTP_PORT,
  hostNamesOf,
  INGRESS_SANDBOX,
  ingressNetwork,
  jumpsTo,
  meshServices,
  OTHER_HTTP_PORT,
  removeAndStop,
  ruleText,
  sameMembers,
  serviceIn,
  TAKEN,
  takeAsContainer,
  takeAsProcess,
  UPLINK,
  watch,
  withoutPrefix,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('MESH-007', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const ingress = ingressNetwork(view).name;
    const { tasks } = serviceIn(view, 'vote');
    const quick = { timeoutMs: OURS.connectMs, parallel: 8 };
    const at = (ip: string | undefined, ...ports: number[]) => ports.map((port) => endpoint(ip ?? '', port));
    const own = tasks.map(({ addresses }) => addresses[ingress]);

    // What IPVS sends to a task comes in at its ingress address under the published port. The target port itself is let in,
    // too: once a packet is redirected no rule can tell the two apart. Nothing else is, whatever listens there.
    const throughMesh = await swarm.everywhere(async (node) => {
      const sandbox = node.within(INGRESS_SANDBOX);
      const to = own.flatMap((ip) => at(ip, VOTE_PORT, HTTP_PORT, OTHER_HTTP_PORT));
      const [http, udp] = await Promise.all([
        sandbox.probe({ kind: 'http', to, ...quick }),
        sandbox.probe({ kind: 'udp', to: own.flatMap((ip) => at(ip, ECHO_PORT)), ...quick }),
      ]);
      return { http, udp };
    });
    await evidence('answers at the ingress addresses', throughMesh);
    // The overlay's address knows nothing of the published port.
    const onOverlay = await (await swarm.client()).probe({
      kind: 'http',
      to: tasks.flatMap(({ addresses }) => at(addresses.front, VOTE_PORT, HTTP_PORT, OTHER_HTTP_PORT)),
      ...quick,
    });
    await evidence('answers at the addresses on the overlay', onOverlay);
    const between = await Promise.all(
      tasks.map((task) => {
        const others = own.filter((ip) => ip !== task.addresses[ingress]).flatMap((ip) => at(ip, VOTE_PORT));
        return swarm.inside(task).probe({ kind: 'http', to: others, ...quick });
      }),
    );
    await evidence('answers among the tasks themselves', between);
    const rules = await Promise.all(tasks.map((task) => swarm.taskNamespace(task, ['rules'])));
    await evidence('rules of the tasks', rules);

    for (const [node, { http, udp }] of Object.entries(throughMesh)) {
      const expected = hostNamesOf({ name: 'vote', tasks }).flatMap((name) => [
        name,
        name,
        'timeout in connect',
      ]);
      judge(
        `ports ${VOTE_PORT}, ${HTTP_PORT} and ${OTHER_HTTP_PORT} of the tasks, from ${node}`,
        inOrder(expected, answeredBy(http)),
        { node },
      );
      judge(
        `udp port ${ECHO_PORT} of the tasks, from ${node}`,
        inOrder(
          tasks.map(() => 'timeout in read'),
          answeredBy(udp),
        ),
        { node },
      );
    }
    const expected = hostNamesOf({ name: 'vote', tasks }).flatMap((name) => [
      'refused in connect',
      name,
      name,
    ]);
    judge('the same ports of their addresses on the overlay', inOrder(expected, answeredBy(onOverlay)));
    judge(
      'requests from task to task over ingress',
      inOrder(
        tasks.map(() => 'timeout in connect'),
        answeredBy(between.flat()),
      ),
    );

    for (const [i, { node, containerName, addresses }] of tasks.entries()) {
      const ip = addresses[ingress];
      const texts = (table: string, chain: string) =>
        chainRules(rules[i], table, chain).map((rule) => `${chain} ${ruleText(rule)}`);
      const redirects = [
        `PREROUTING -p tcp --dport ${VOTE_PORT} -d ${ip}/32 -j REDIRECT --to-ports ${HTTP_PORT}`,
      ];
      judge(`redirection in ${containerName}`, sameMembers(redirects, texts('nat', 'PREROUTING')), { node });
      const closed = (chain: string, way: string) =>
        ['tcp', 'udp', 'sctp'].map((protocol) => `${chain} -p ${protocol} ${way} ${ip}/32 -j DROP`);
      const filter = [
        `INPUT -p tcp --dport ${HTTP_PORT} --ctstate NEW,ESTABLISHED -d ${ip}/32 -j ACCEPT`,
        ...closed('INPUT', '-d'),
        `OUTPUT -p tcp --sport ${HTTP_PORT} --ctstate ESTABLISHED -s ${ip}/32 -j ACCEPT`,
        ...closed('OUTPUT', '-s'),
      ];
      judge(
        `filter in ${containerName}`,
        sameMembers(filter, [...texts('filter', 'INPUT'), ...texts('filter', 'OUTPUT')]),
        { node },
      );
    }
  }),
);

/** Compares what came back with what was due, place by place. */
function inOrder(expected: readonly string[], seen: readonly string[]) {
  const numbered = (all: readonly string[]) => all.map((one, i) => `${i + 1}. ${one}`);
  return sameMembers(numbered(expected), numbered(seen));
}

test(
  ...clause('MESH-012', async ({ swarm, evidence }) => {
    const tasks = hostNamesOf(await swarm.service('vote'));
    // From the node itself through nat OUTPUT. A sender on loopback needs more: docker_gwbridge must route it (route_localnet), and
    // the reply must find its way back, hence the masquerading there.
    const seen = await swarm.everywhere(async (node) => {
      const host = await node.namespace(HOST, ['links', 'rules']);
      const links = attachments(host, []).filter(({ addresses }) => addresses.length > 0);
      const own = links.flatMap(({ addresses }) => addresses.map(withoutPrefix));
      const to = ['127.0.0.1', ...own].map((ip) => endpoint(ip, VOTE_PORT));
      const samples = await node.vantage.probe({ kind: 'http', to, count: tasks.length });
      const routeLocalnet = await node.vantage.must(
        `cat /proc/sys/net/ipv4/conf/${GATEWAY_BRIDGE}/route_localnet`,
      );
      const asked = links.map(({ link }) => link);
      return { asked, own, samples, routeLocalnet, masquerading: jumpsTo(host, 'nat', 'MASQUERADE') };
    });
    await evidence('answers on every local address', seen);

    for (const [node, { asked, own, samples }] of Object.entries(seen)) {
      // Not every engine tells the gateway of docker0, and what is not told cannot be missed.
      const unasked = [UPLINK, 'docker0', GATEWAY_BRIDGE].filter((link) => !asked.includes(link));
      judge(`interfaces of ${node} not asked`, sameMembers([], unasked), { node });
      const bridges = (await swarm.node(node).network(GATEWAY_BRIDGE)).gateways;
      const docker0 = (await swarm.node(node).network('bridge')).gateways;
      const missing = [swarm.node(node).address, ...bridges, ...docker0].filter((ip) => !own.includes(ip));
      judge(`addresses of ${node} not asked`, sameMembers([], missing), { node });
      const failed = answeredBy(samples)
        .map((answer, i) => ({ answer, to: samples[i]?.to }))
        .filter(({ answer }) => !tasks.includes(answer));
      judge(
        `local addresses of ${node} on which no task answers`,
        sameMembers(
          [],
          failed.map(({ answer, to }) => `${to}: ${answer}`),
        ),
        { node },
      );
    }
  }),
);

test(
  ...clause('MESH-013', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const ports = meshServices(await swarm.view()).flatMap((service) => service.ports);
    const look = () =>
      swarm.everywhere(async (node) => ({
        listeners: await node.listeners(),
        taken: await Promise.all(ports.map((port) => takeAsProcess(node, port))),
      }));
    const before = await look();
    await evidence('sockets while the ports are published', before);
    for (const { name, generation } of swarm.nodes) {
      const { listeners = [], taken = [] } = before[name] ?? {};
      const due = generation.ingressOverIpv6 === 'hangs' ? '*' : '0.0.0.0';
      const held = listeners
        .filter(({ port, address }) => address !== '::' && ports.some(({ published }) => published === port))
        .map(({ protocol, address, port, processes }) => `${protocol} ${address}:${port} of ${processes}`);
      const expected = ports.map(({ protocol, published }) => `${protocol} ${due}:${published} of dockerd`);
      judge(`sockets on published ports of ${name}`, sameMembers(expected, held), { node: name });
      judge(`what a process of ${name} hears that wants one`, sameMembers([IN_USE], [...new Set(taken)]), {
        node: name,
      });
    }
    const worker = first(swarm.workers);
    const refusal = await takeAsContainer(worker, VOTE_PORT);
    await evidence('what a container hears that wants the port', refusal);
    judge(
      `what a container of ${worker.name} hears that publishes the port`,
      sameMembers([IN_USE], [refusal.toLowerCase().includes(IN_USE.toLowerCase()) ? IN_USE : refusal]),
      { node: worker.name },
    );

    await removeAndStop(swarm, 'vote');
    await watch(
      'the port is free again',
      {
        look,
        wrong: (seen) =>
          wrongOnEach(seen, ({ listeners, taken }) => [
            ...listeners
              .filter(({ port }) => ports.some(({ published }) => published === port))
              .map(({ address, port, processes }) => `${address}:${port} is held by ${processes}`),
            ...complaint('what a process hears', sameMembers([TAKEN], [...new Set(taken)])),
          ]),
        keep: (seen) => evidence('sockets afterwards', seen),
      },
      PROMISED.portCloses,
    );
  }),
);

/** EADDRINUSE, as Linux and Go put it. */
const IN_USE = 'Address already in use';

test(
  ...clause('MESH-014', { disturbs: true }, async ({ swarm, evidence }) => {
    await giveIpv6(swarm.outsider, swarm.outsider.address);
    // The kernel completes the handshake for the engine's own socket, which is bound to both families; only IPv4 is translated
    // before it gets there, and nobody reads from that socket.
    const seen = await swarm.everywhere(async (node) => {
      const address = await giveIpv6(node.vantage, node.address);
      const http = (to: string) =>
        ({
          kind: 'http',
          to: endpoint(to, VOTE_PORT),
          count: 3,
          parallel: 3,
          timeoutMs: OURS.hangMs,
        }) as const;
      const [loopback, outside] = await Promise.all([
        node.vantage.probe(http('::1')),
        swarm.outsider.probe(http(address)),
      ]);
      return { '::1': loopback, [`${address} from outside`]: outside };
    });
    await evidence('requests over IPv6', seen);
    const tasks = hostNamesOf(await swarm.service('vote'));
    for (const [node, requests] of Object.entries(seen)) {
      for (const [to, samples] of Object.entries(requests)) {
        const outcomes = answeredBy(samples).map((answer) => {
          if (tasks.includes(answer)) return 'answered';
          return answer === 'timeout in read' ? 'hangs' : answer;
        });
        judge(
          `requests to ${to} of ${node}`,
          sameMembers([swarm.node(node).generation.ingressOverIpv6], [...new Set(outcomes)]),
          { node },
        );
      }
    }
  }),
);
