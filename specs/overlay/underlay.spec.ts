import {
  answeredBy,
  askEachOther,
  ECHO_HEADERS,
  endpoint,
  failed,
  first,
  giveIpv6,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  type Node,
  networkIn,
  type Swarm,
  type SwarmView,
  sameMembers,
  serviceIn,
  stack,
  strictRotation,
  UPLINK,
  unanswered,
  VXLAN_PORT,
  viewDataPathPort,
  vipOf,
  vxlanIds,
} from '../../fixtures/domain.ts';
import { ENDS_PORT, endToEnd, endToEndSecret, unjoined } from '../../fixtures/stacks.ts';
import { clause, type Evidence, judge, startWith, test } from '../../fixtures/test.ts';
import { bothWays, DATA, listen, MANAGEMENT, ways } from '../../fixtures/underlay.ts';

// By which address and port nodes carry their overlays is said when a Swarm is founded: each clause founds its own.
startWith(stack(), unjoined);

/** Ours: a Swarm of two is founded in 5 s, and its first tasks run half a minute later, or more on a loaded host. */
const FOUNDING = { disturbs: true, limitMs: 420_000 };

test(
  ...clause('OVERLAY-003', FOUNDING, async ({ swarm: lab, evidence }) => {
    const port = 7777;
    const swarm = await lab.foundOfSpares({ init: { DataPathPort: port }, role: 'manager' });
    await swarm.deploy(endToEndSecret);
    await swarm.settled();
    const view = await swarm.view();

    const told = await swarm.everywhere(({ api }) => viewDataPathPort(api));
    const vxlans = await swarm.everywhere(async (node) => {
      const states = await node.observe(['links'], OVERLAYS);
      return states.flatMap(({ links = [] }) => links.flatMap(({ vxlan }) => vxlan ?? []));
    });
    await evidence('port in the info, and VXLAN interfaces', { told, vxlans });
    const ids = await Promise.all(
      [ingressNetwork(view), ...['front', 'secret'].map((name) => networkIn(view, name))].map(async (one) =>
        first(vxlanIds(await swarm.manager.network(one.id))),
      ),
    );
    for (const { name: node } of swarm.nodes) {
      judge(`data path port in the info of ${node}`, sameMembers([`${port}`], [`${told[node]}`]), { node });
      const due = ids.map((vni) => `vni ${vni} port ${port}`);
      const seen = (vxlans[node] ?? []).map((vxlan) => `vni ${vxlan.vni} port ${vxlan.port}`);
      judge(`VXLAN interfaces on ${node}`, sameMembers(due, seen), { node });
    }

    // Task -> bridge of the overlay -> vxlan0 -> UDP to 7777, or ESP around it -> vxlan0 -> bridge -> task.
    const passes = await listen(swarm, { filter: '(udp and not port 7946) or esp', vxlanPort: port }, () => [
      UPLINK,
    ]);
    await talk(swarm, view, ['front', 'secret'], evidence);
    const [ingress, front] = ids;
    for (const { node, packets } of await passes.end(evidence)) {
      const due = bothWays(swarm.nodes, ({ address }) => address, [`udp to ${port}`, 'esp']);
      judge(`what passes the uplink of ${node}`, sameMembers(due, ways(packets)), { node });
      const readable = new Set(packets.flatMap(({ vxlan }) => (vxlan ? [`${vxlan.vni}`] : [])));
      judge('overlays that can be read', sameMembers([`${ingress}`, `${front}`], [...readable]), { node });
    }
  }),
);

test(
  ...clause('OVERLAY-004', FOUNDING, async ({ swarm: lab, evidence }) => {
    const plugs = await lab.cable({ name: 'swarmproof-data', subnet: '192.168.84.0/24' });
    const data = ({ name }: Node) => plugs[name]?.address ?? 'none';
    const passesUplink = await listen(lab, { filter: `${MANAGEMENT} or ${DATA}` }, () => [UPLINK]);
    const passesCable = await listen(lab, { filter: 'ip' }, ({ name }) => [plugs[name]?.link ?? '']);

    const swarm = await lab.foundOfSpares({ each: (node) => ({ DataPathAddr: data(node) }) });
    await swarm.deploy(endToEnd);
    await swarm.settled();
    const view = await swarm.view();
    // Raft, dispatcher and gossip by the first interface; what one task says to another, the mesh's too, by the second.
    await talk(swarm, view, ['front'], evidence);

    for (const { node, packets } of await passesUplink.end(evidence)) {
      const due = bothWays(swarm.nodes, ({ address }) => address, ['management']);
      judge(`what passes the uplink of ${node}`, sameMembers(due, ways(packets)), { node });
    }
    for (const { node, packets } of await passesCable.end(evidence)) {
      const due = bothWays(swarm.nodes, data, [`udp to ${VXLAN_PORT}`]);
      judge(`what passes the second interface of ${node}`, sameMembers(due, ways(packets)), { node });
    }
    await judgeForwarding(swarm, view, data, evidence);
  }),
);

test(
  ...clause('OVERLAY-016', FOUNDING, async ({ swarm: lab, evidence }) => {
    const passes = await listen(lab, { filter: `${MANAGEMENT} or ${DATA}` }, () => [UPLINK]);
    const { swarm, own } = await foundByIpv6(lab);
    const view = await swarm.view();
    // IPv4 inside, between tasks and from outside; IPv6 around it, between the nodes.
    await talk(swarm, view, ['front', 'secret'], evidence);
    await transfer(swarm, view, 'front', evidence);

    for (const { node, packets } of await passes.end(evidence)) {
      const due = bothWays(swarm.nodes, own, ['management', `udp to ${VXLAN_PORT}`, 'esp']);
      judge(`what passes the uplink of ${node}`, sameMembers(due, ways(packets)), { node });
    }
    await judgeForwarding(swarm, view, own, evidence);
  }),
);

test(
  ...clause('OVERLAY-018', FOUNDING, async ({ swarm: lab, evidence }) => {
    const { swarm } = await foundByIpv6(lab);
    const view = await swarm.view();
    await talk(swarm, view, ['secret'], evidence);
    // Task -> vxlan0 -> UDP over IPv6 -> ESP around that: only then is it known how large the packet has become.
    const [one, other] = serviceIn(view, 'ends').tasks;
    if (!one || !other) throw new Error('both nodes run a task');
    const to = other.addresses.secret ?? '';
    const echoes = await swarm
      .inside(one)
      .ping(EDGE_OF_IPV6.map((size) => ({ to, bytes: size - ECHO_HEADERS })));
    await evidence('echoes by size', echoes);
    await transfer(swarm, view, 'secret', evidence);
  }),
);

/** A Swarm of both nodes, founded by IPv6 addresses that the lab gives them beside their own; `own` tells each node's. */
async function foundByIpv6(lab: Swarm) {
  const six = await lab.everywhere(({ vantage, address }) => giveIpv6(vantage, address), lab.everyone);
  const own = ({ name }: Node) => six[name] ?? 'none';
  const founder = first(lab.spares);
  const swarm = await lab.foundOfSpares({
    each: (node) => ({
      ListenAddr: '[::]:2377',
      AdvertiseAddr: `[${own(node)}]:2377`,
      // Of no meaning to the one that founds it.
      RemoteAddrs: [`[${own(founder)}]:2377`],
    }),
  });
  await swarm.deploy(endToEndSecret);
  await swarm.settled();
  return { swarm, own };
}

/** Namespaces of overlays, by the beginning of their names (see withoutEpoch). */
const OVERLAYS = ['[0-9]*-*'];
/** Bytes of an answer that takes more than a hundred full packets. */
const LARGE = 200_000;

/**
 * Sizes of packets inside an encrypted overlay with IPv6 around it: the second just fits into 1500 bytes on the uplink, and the third is
 * what the engine allows for IPv4, whose header is 20 bytes shorter (moby libnetwork/drivers/overlay/encryption.go maxMTU).
 */
const EDGE_OF_IPV6 = [1300, 1404, 1424];

/** Each task gets a large answer from the other by its address on this network: full packets pass, or what is too large is told of. */
async function transfer(swarm: Swarm, view: SwarmView, network: string, evidence: Evidence) {
  const [one, other] = serviceIn(view, 'ends').tasks;
  if (!one || !other) throw new Error('both nodes run a task');
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const samples = await swarm.inside(from).probe({
      kind: 'http',
      to: endpoint(to.addresses[network] ?? '', HTTP_PORT),
      path: `/bytes?n=${LARGE}`,
      timeoutMs: 20_000,
    });
    await evidence(`large answer to ${from.node} on ${network}`, samples);
    const got = samples.map((sample) => (failed(sample) ? sample.error : `${sample.bytes} bytes`));
    judge(`large answer from ${to.node} to ${from.node} on ${network}`, sameMembers([`${LARGE} bytes`], got));
  }
}

/** Every task asks every other, and every virtual IP; someone outside asks the published port of every node. All must answer, in turn. */
async function talk(swarm: Swarm, view: SwarmView, networks: readonly string[], evidence: Evidence) {
  const ends = serviceIn(view, 'ends');
  const turns = { kind: 'http', count: 4 } as const;
  for (const name of networks) {
    const questions = await askEachOther(swarm, ends.tasks, name);
    await evidence(`questions on ${name}`, questions);
    judge(`questions on ${name} that were not answered`, sameMembers([], unanswered(questions)));
    for (const task of ends.tasks) {
      const samples = await swarm
        .inside(task)
        .probe({ ...turns, to: endpoint(vipOf(ends, name), HTTP_PORT) });
      await evidence(`requests from ${task.node} to the virtual IP on ${name}`, samples);
      judge(
        `tasks that answer ${task.node} in turn on ${name}`,
        strictRotation(answeredBy(samples), hostNamesOf(ends)),
      );
    }
  }
  for (const { name: node, address } of swarm.nodes) {
    const samples = await swarm.outsider.probe({ ...turns, to: endpoint(address, ENDS_PORT) });
    await evidence(`requests from outside to ${node}`, samples);
    judge(
      `tasks that answer in turn through ${node}`,
      strictRotation(answeredBy(samples), hostNamesOf(ends)),
      {
        node,
      },
    );
  }
}

/** In each overlay's namespace the forwarding table knows the other node by this address and by no other. */
async function judgeForwarding(
  swarm: Swarm,
  view: SwarmView,
  address: (node: Node) => string,
  evidence: Evidence,
) {
  for (const network of view.networks) {
    const tables = await swarm.everywhere(async ({ name }) => {
      const { forwarding = [] } = await swarm.overlay(name, network, ['forwarding']);
      return [...new Set(forwarding.flatMap((entry) => entry.node ?? []))];
    });
    await evidence(`nodes in the forwarding tables of ${network.name}`, tables);
    for (const { name: node } of swarm.nodes) {
      const others = swarm.nodes.filter(({ name }) => name !== node).map(address);
      judge(`nodes in the forwarding table of ${network.name}`, sameMembers(others, tables[node] ?? []), {
        node,
      });
    }
  }
}
