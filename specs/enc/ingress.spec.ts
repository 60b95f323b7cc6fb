import {
  answeredBy,
  askEveryNode,
  carries,
  endpoint,
  endsOf,
  failed,
  first,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  marker,
  network,
  networkIn,
  type Packet,
  packetLine,
  removeWithPort,
  type Swarm,
  sameMembers,
  service,
  serviceIn,
  VXLAN_PORT,
  vxlanIds,
  waysBetween,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('ENC-005', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const text = { ingress: marker(), front: marker() };
    const filter = `udp port ${VXLAN_PORT} or esp`;
    const traffic = async () => {
      const view = await swarm.view();
      const client = first(serviceIn(view, 'client').tasks);
      const { tasks } = serviceIn(view, 'vote');
      return {
        mesh: await askEveryNode(swarm, VOTE_PORT, { count: 2 * tasks.length, path: `/${text.ingress}` }),
        front: await swarm.inside(client).probe({
          kind: 'http',
          to: tasks.map(({ addresses }) => endpoint(addresses.front ?? 'none', HTTP_PORT)),
          path: `/${text.front}`,
        }),
      };
    };

    // The manager runs no task: its share of the mesh crosses the ingress network to the workers.
    const plain = await swarm.uplinks(filter, traffic);
    await keep('the default ingress', plain);
    const [plainVni] = await ingressVni(swarm);
    judgeAnswers(plain.result, hostNamesOf(await swarm.service('vote')));
    for (const { name } of swarm.nodes)
      expect(
        plain.packets[name]?.filter(
          (packet) => packet.vxlan?.vni === plainVni && carries(packet, text.ingress),
        ).length,
        `packets of the default ingress on ${name} in which its text can be read`,
      ).toBeGreaterThan(0);
    judge(
      'ESP packets without an encrypted network',
      sameMembers(
        [],
        lines(plain.packets, ({ esp }) => esp !== undefined),
      ),
    );

    await removeWithPort(swarm, 'vote', VOTE_PORT);
    await swarm.removeNetwork(ingressNetwork(await swarm.view()).name);
    // From before the network is made: what it sends first must not be in the clear either.
    const secret = await swarm.uplinks(filter, async () => {
      await swarm.createNetwork(network('mesh', { Ingress: true, Options: { encrypted: '' } }));
      // A task on every node: only that brings a new ingress network there for certain (REG-041).
      await swarm.create(service('vote', { replicas: 'global', publish: VOTE_PORT }));
      await swarm.settled();
      return traffic();
    });
    await keep('an encrypted ingress', secret);
    const [vni] = await ingressVni(swarm);
    judgeAnswers(secret.result, hostNamesOf(await swarm.service('vote')));
    judge(
      'packets in clear of the encrypted ingress',
      sameMembers(
        [],
        lines(secret.packets, ({ vxlan }) => vxlan?.vni === vni),
      ),
    );
    judge(
      'packets in which its text can be read',
      sameMembers(
        [],
        lines(secret.packets, (packet) => carries(packet, text.ingress)),
      ),
    );
    for (const node of swarm.nodes) {
      const sealed = (secret.packets[node.name] ?? []).filter(({ esp }) => esp);
      judge('ESP packets, by their ends', sameMembers(waysBetween(node, swarm.nodes), endsOf(sealed)), {
        node: node.name,
      });
    }
    expect(
      lines(secret.packets, (packet) => packet.vxlan !== undefined && carries(packet, text.front)).length,
      'packets of an ordinary overlay in which its text can be read',
    ).toBeGreaterThan(0);

    async function keep(what: string, { packets, result }: typeof plain): Promise<void> {
      await evidence(`answers with ${what}`, result);
      for (const [node, seen] of Object.entries(packets))
        await evidence(`packets on the uplink of ${node} with ${what}`, seen.map(packetLine).join('\n'));
    }
  }),
);

/** Both tasks answer through every node and by address. */
function judgeAnswers(
  {
    mesh,
    front,
  }: { mesh: Awaited<ReturnType<typeof askEveryNode>>; front: Parameters<typeof answeredBy>[0] },
  tasks: string[],
): void {
  for (const [node, samples] of Object.entries(mesh))
    judge('tasks that answer on the published port', sameMembers(tasks, [...new Set(answeredBy(samples))]), {
      node,
    });
  judge('tasks that answer on the ordinary overlay', sameMembers(tasks, answeredBy(front)));
  expect(front.filter(failed).length, 'requests that failed').toBe(0);
}

async function ingressVni(swarm: Swarm): Promise<number[]> {
  const { name } = ingressNetwork(await swarm.view());
  return vxlanIds(await swarm.manager.network(networkIn(await swarm.view(), name).id));
}

/** Packets of a kind, on any node, in one line each. */
function lines(
  packets: Readonly<Record<string, readonly Packet[]>>,
  are: (packet: Packet) => boolean,
): string[] {
  return Object.entries(packets).flatMap(([node, seen]) =>
    seen.filter(are).map((packet) => `${node}: ${packetLine(packet)}`),
  );
}
