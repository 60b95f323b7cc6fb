import {
  askEachOther,
  atTheEdge,
  LARGE_ANSWER,
  type Link,
  networkIn,
  ownAddress,
  type Packet,
  packetLine,
  sameMembers,
  serviceIn,
  type TaskView,
  tasksIn,
  unanswered,
  VXLAN_PORT,
  vxlanIds,
} from '../../fixtures/domain.ts';
import { overlays } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(overlays);

test(
  ...clause('OVERLAY-002', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const front = networkIn(view, 'front');
    const tasks = [...serviceIn(view, 'client').tasks, ...serviceIn(view, 'ends').tasks];
    const [vni] = vxlanIds(await swarm.manager.network(front.id));
    const addressOf = new Map(swarm.nodes.map(({ name, address }) => [name, address]));

    // Task -> bridge of the overlay's namespace -> vxlan0 -> UDP from node to node -> vxlan0 -> bridge -> task; two of the tasks
    // share a node, and what they say to each other stays on its bridge.
    const { packets, result: questions } = await swarm.uplinks(`udp port ${VXLAN_PORT}`, () =>
      askEachOther(swarm, tasks, 'front'),
    );
    await evidence('questions', questions);
    for (const [node, seen] of Object.entries(packets))
      await evidence(`packets on the uplink of ${node}`, seen.map(packetLine).join('\n'));
    judge('questions that were not answered', sameMembers([], unanswered(questions)));

    for (const node of swarm.nodes) {
      const due = tasks.flatMap((from) =>
        tasks
          .filter((to) => to.node !== from.node && [from.node, to.node].includes(node.name))
          .flatMap((to) => {
            const outside = `${addressOf.get(from.node)} > ${addressOf.get(to.node)} vni ${vni}`;
            return ['icmp', 'tcp', 'udp'].map(
              (what) => `${outside} [${from.addresses.front} > ${to.addresses.front} ${what}]`,
            );
          }),
      );
      const seen = new Set((packets[node.name] ?? []).flatMap((packet) => carried(packet, tasks)));
      judge('what passed between tasks over the uplink', sameMembers(due, [...seen]), { node: node.name });
    }

    // The same from the kernel's tables: each node knows behind which other node every endpoint is, and its hardware address.
    const endpoints = await Promise.all([
      ...tasks.map(async (task) => ({
        node: task.node,
        links: (await swarm.taskNamespace(task, ['links'])).links,
      })),
      ...swarm.nodes.map(async ({ name }) => {
        const task = tasks.find(({ node }) => node === name);
        return { node: name, links: task && (await swarm.balancerOf(task, front, ['links'])).links };
      }),
    ]);
    const tables = await swarm.everywhere(({ name }) =>
      swarm.overlay(name, front, ['forwarding', 'neighbours']),
    );
    await evidence('endpoints and tables', { endpoints, tables });
    for (const { name } of swarm.nodes) {
      const elsewhere = endpoints
        .filter(({ node }) => node !== name)
        .flatMap(({ node, links = [] }) =>
          links.map((link) => ({ node, mac: link.mac, address: ownAddress(link, front) })),
        )
        .filter(({ address }) => address);
      const { forwarding = [], neighbours = [] } = tables[name] ?? {};
      judge(
        `nodes by hardware address on ${front.name}`,
        sameMembers(
          elsewhere.map(({ mac, node }) => `${mac} at ${addressOf.get(node)}`),
          forwarding.flatMap((entry) => (entry.node ? [`${entry.mac} at ${entry.node}`] : [])),
        ),
        { node: name },
      );
      judge(
        `hardware addresses on ${front.name}`,
        sameMembers(
          elsewhere.map(({ mac, address }) => `${address} is ${mac}`),
          neighbours.flatMap(({ link, address, mac }) => (link === 'vxlan0' ? [`${address} is ${mac}`] : [])),
        ),
        { node: name },
      );
    }
  }),
);

/** What a packet on an uplink carries between two of these tasks, with who carries it; nothing for any other packet. */
function carried({ ip, vxlan }: Packet, tasks: readonly TaskView[]): string[] {
  const inner = vxlan?.inner;
  const isTask = (address?: string) => tasks.some(({ addresses }) => addresses.front === address);
  if (!vxlan || !inner?.ip || !isTask(inner.ip.from) || !isTask(inner.ip.to)) return [];
  const what = inner.icmp ? 'icmp' : inner.tcp ? 'tcp' : inner.udp ? 'udp' : inner.ip.protocol;
  return [`${ip?.from} > ${ip?.to} vni ${vxlan.vni} [${inner.ip.from} > ${inner.ip.to} ${what}]`];
}

test(
  ...clause('OVERLAY-005', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    for (const [name, service, mtu, nodes] of [
      ['front', 'ends', 1450, swarm.nodes.length],
      ['narrow', 'apart', 1150, 2],
    ] as const) {
      // A full packet of the overlay makes one of the underlay: 50 bytes of VXLAN, UDP, IP and Ethernet around it.
      const edge = await atTheEdge(swarm, networkIn(view, name), serviceIn(view, service).tasks, mtu);
      await evidence(`${name} at its edge`, edge);
      // From each of its nodes to every other one; three sizes of echo requests.
      const ways = nodes * (nodes - 1);
      expect(edge.echoes.length, `echo requests on ${name}`).toBe(3 * ways);
      expect(Object.keys(edge.transfers).length, `large answers on ${name}`).toBe(ways);
      judge(`MTUs of ${name}`, sameMembers([], others(edge.mtus, mtu)));
      const wrong = edge.echoes.filter(
        ({ bytes, result }) => result !== (bytes + 28 <= mtu ? 'reply' : 'toobig'),
      );
      judge(
        `echoes on ${name} with another result than their size demands`,
        sameMembers(
          [],
          wrong.map(({ from, to, bytes, result }) => `${from} > ${to} ${bytes} bytes: ${result}`),
        ),
      );
      judge(`fragments on the uplinks`, sameMembers([], [...new Set(edge.fragments)]));
      judge(`large answers on ${name}`, sameMembers([], others(edge.transfers, LARGE_ANSWER)));
    }
  }),
);

/** The entries that are not what they shall be, at least one being looked at. */
function others(seen: Readonly<Record<string, number | string>>, due: number): string[] {
  const entries = Object.entries(seen);
  expect(entries.length, 'things looked at').toBeGreaterThan(0);
  return entries.filter(([, value]) => value !== due).map(([what, value]) => `${what} ${value}`);
}

test(
  ...clause('OVERLAY-013', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const tasks = tasksIn(view);
    const lowest = 4096;
    const told = await Promise.all(
      view.networks.map(async (network) => {
        const users = swarm.nodes.filter(
          ({ name }) =>
            network.ingress || tasks.some((task) => task.node === name && task.addresses[network.name]),
        );
        const nodes = [...new Set([swarm.manager, ...users])];
        const ids = await swarm.everywhere(async (node) => vxlanIds(await node.network(network.id)), nodes);
        const links = await swarm.everywhere(
          async ({ name }) => (await swarm.overlay(name, network, ['links'])).links ?? [],
          users,
        );
        return { network: network.name, ids, links };
      }),
    );
    await evidence('identifiers and interfaces', told);

    const all = told.map(({ network, ids }) => `${ids[swarm.manager.name]?.join()} of ${network}`);
    const numbers = told.flatMap(({ ids }) => ids[swarm.manager.name] ?? []);
    expect(new Set(numbers).size, `different identifiers among ${all.join(', ')}`).toBe(view.networks.length);
    expect(Math.min(...numbers), 'lowest identifier').toBeGreaterThanOrEqual(lowest);
    for (const { network, ids, links } of told) {
      const [id] = ids[swarm.manager.name] ?? [];
      for (const [node, seen] of Object.entries(ids))
        judge(`identifiers of ${network}`, sameMembers([String(id)], seen.map(String)), { node });
      for (const [node, seen] of Object.entries(links)) {
        const devices = seen.filter(({ kind }) => kind === 'vxlan' || kind === 'bridge');
        judge(
          `bridges and VXLAN interfaces of ${network}`,
          sameMembers([`br0 bridge`, `vxlan0 vxlan ${id} udp/${VXLAN_PORT} in br0`], devices.map(device)),
          { node },
        );
      }
    }
  }),
);

function device({ name, kind, master, vxlan }: Link): string {
  return vxlan ? `${name} ${kind} ${vxlan.vni} udp/${vxlan.port} in ${master}` : `${name} ${kind}`;
}
