import {
  askEachOther,
  assume,
  atTheEdge,
  carries,
  condition,
  destinationPort,
  endpoint,
  endsOf,
  failed,
  first,
  HOST,
  HTTP_PORT,
  LARGE_ANSWER,
  marker,
  networkIn,
  packetLine,
  rulesOf,
  type SecurityAssociation,
  type ServiceView,
  sameMembers,
  serviceIn,
  unanswered,
  VXLAN_PORT,
  vxlanIds,
  vxlanPayload,
  waysBetween,
} from '../../fixtures/domain.ts';
import { overlays } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(overlays);

/** What the driver marks as its own, in packets, associations and policies (moby libnetwork/drivers/overlay/encryption.go, mark). */
const DRIVER_MARK = 0xd0c4e3;
/** Keys in force at a time: the one sent with, the one before it and the one after it (swarmkit manager/keymanager, keyRingSize). */
const KEYS = 3;

test(
  ...clause('ENC-001', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const [sealed, ends] = [serviceIn(view, 'sealed'), serviceIn(view, 'ends')];
    const [secretVni, frontVni] = await Promise.all(
      ['secret', 'front'].map(
        async (name) => vxlanIds(await swarm.manager.network(networkIn(view, name).id))[0],
      ),
    );
    const text = { secret: marker(), front: marker() };
    const ask = async (service: ServiceView, network: 'secret' | 'front', count: number) => {
      const asked = service.tasks.map((from) => {
        const others = service.tasks.filter(({ id }) => id !== from.id);
        const to = others.map(({ addresses }) => endpoint(addresses[network] ?? 'none', HTTP_PORT));
        return swarm
          .inside(from)
          .probe({ kind: 'http', to, count, path: `/${text[network]}`, parallel: to.length });
      });
      return (await Promise.all(asked)).flat();
    };

    // Task -> vxlan0 -> UDP, marked on its way out because of its VNI -> ESP in its place. Every node listens on its uplink.
    const { packets, result } = await swarm.uplinks(`udp port ${VXLAN_PORT} or esp`, async () => ({
      secret: await ask(sealed, 'secret', 4),
      front: await ask(ends, 'front', 1),
    }));
    await evidence('requests', result);
    for (const [node, seen] of Object.entries(packets))
      await evidence(`packets on the uplink of ${node}`, seen.map(packetLine).join('\n'));
    for (const samples of Object.values(result))
      judge(
        'requests that failed',
        sameMembers(
          [],
          samples.filter(failed).map(({ to, error }) => `${to}: ${error}`),
        ),
      );

    for (const node of swarm.nodes) {
      const seen = packets[node.name] ?? [];
      const where = { node: node.name };
      const ways = waysBetween(node, swarm.nodes);
      judge('ESP packets, by their ends', sameMembers(ways, endsOf(seen.filter(({ esp }) => esp))), where);
      const clear = seen.filter(({ vxlan }) => vxlan?.vni === secretVni);
      judge('packets in clear of the encrypted network', sameMembers([], clear.map(packetLine)), where);
      const readable = seen.filter((packet) => carries(packet, text.secret));
      judge('packets in which its text can be read', sameMembers([], readable.map(packetLine)), where);
      const plain = seen.filter((packet) => packet.vxlan?.vni === frontVni && carries(packet, text.front));
      judge('packets in which that of another network can be read', sameMembers(ways, endsOf(plain)), where);
    }
  }),
);

test(
  ...clause('ENC-002', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const node = swarm.node('w1');
    const text = marker();
    const [port, count] = [5555, 5];
    const dropped = async () => {
      const { rules } = await node.namespace(HOST, ['rules']);
      const dropping = (rules && rulesOf(rules, 'filter', 'INPUT'))?.filter(
        (rule) =>
          rule.jump === 'DROP' &&
          condition(rule, '--pol')?.value === 'none' &&
          destinationPort(rule)?.value === String(VXLAN_PORT),
      );
      expect(dropping?.length, 'rules that drop VXLAN that was not encrypted').toBe(1);
      return first(dropping ?? []);
    };
    const forge = async (service: ServiceView, network: string) => {
      const target = service.tasks.find((task) => task.node === node.name);
      const { links = [] } = await swarm.taskNamespace(first(target ? [target] : []), ['links']);
      const own = links.find(({ addresses }) =>
        addresses.some(({ address }) => address === target?.addresses[network]),
      );
      const from = service.tasks.find((task) => task.node !== node.name)?.addresses[network] ?? 'none';
      const [vni = 0] = vxlanIds(await node.network(networkIn(view, network).id));
      const frame = vxlanPayload(vni, {
        fromMac: '02:42:0a:ff:ff:fe',
        toMac: own?.mac ?? 'none',
        from,
        to: target?.addresses[network] ?? 'none',
        fromPort: port,
        port,
        payload: text,
      });
      // A host that is no member sends what looks like a task's packet, in the clear, to the node's data path port.
      const capture = await swarm
        .inside(first(target ? [target] : []))
        .listen({ filter: `udp port ${port}` });
      const before = await dropped();
      await swarm.outsider.send({ address: node.address, port: VXLAN_PORT }, frame, count);
      // On an ordinary network the same has arrived by now, or never will: the sender is done, and nothing queues on the way.
      const after = await dropped();
      const arrived = (await capture.stop()).filter((packet) => carries(packet, text));
      return { before, after, arrived: arrived.map(packetLine), vni };
    };

    const plain = await forge(serviceIn(view, 'ends'), 'front');
    const secret = await forge(serviceIn(view, 'sealed'), 'secret');
    await evidence('forged datagrams', { plain, secret });
    assume(
      'forged datagrams that reach a task of an ordinary network',
      plain.arrived.length === count
        ? { ok: true }
        : { ok: false, expected: String(count), seen: String(plain.arrived.length) },
    );
    judge('forged datagrams that reach a task of the encrypted network', sameMembers([], secret.arrived));
    expect(
      Number(secret.after.packets) - Number(secret.before.packets),
      'packets that the rule dropped',
    ).toBe(count);
    expect(
      Number(plain.after.packets) - Number(plain.before.packets),
      'packets of the other that it dropped',
    ).toBe(0);
  }),
);

test(
  ...clause('ENC-003', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const tasks = serviceIn(view, 'sealed').tasks;
    const look = () =>
      swarm.everywhere((node) => node.namespace(HOST, ['associations', 'policies', 'ipsecErrors']));
    const before = await look();
    const questions = await askEachOther(swarm, tasks, 'secret');
    const seen = await look();
    await evidence('associations, policies and error counters', { before, after: seen });
    judge('questions that were not answered', sameMembers([], unanswered(questions)));

    for (const node of swarm.nodes) {
      const where = { node: node.name };
      const others = swarm.nodes.filter(({ name }) => name !== node.name);
      const { associations = [], policies = [], ipsecErrors = {} } = seen[node.name] ?? {};
      const kinds = associations.map(
        ({ from, to, protocol, mode, aead, reqid }) => `${from} > ${to} ${protocol} ${mode} ${aead} ${reqid}`,
      );
      const kind = (from: string, to: string) =>
        `${from} > ${to} esp transport rfc4106(gcm(aes)) ${DRIVER_MARK}`;
      judge(
        'associations, by their ends and kind',
        sameMembers(
          others.flatMap(({ address }) => [
            `1 × ${kind(node.address, address)}`,
            `${KEYS} × ${kind(address, node.address)}`,
          ]),
          [...new Set(kinds)].map((one) => `${kinds.filter((other) => other === one).length} × ${one}`),
        ),
        where,
      );
      judge(
        'associations of their own index',
        sameMembers(associations.map(identity), [...new Set(associations.map(identity))]),
        where,
      );
      // What it sends with, the other end must be able to read: same index, same key.
      for (const peer of others) {
        const outbound = associations.filter(({ to }) => to === peer.address).map(sealed);
        const readable = (seen[peer.name]?.associations ?? [])
          .filter(({ from }) => from === node.address)
          .map(sealed);
        judge(
          `what ${peer.name} cannot read of it`,
          sameMembers(
            [],
            outbound.filter((one) => !readable.includes(one)),
          ),
          where,
        );
      }
      const due = others.map(({ address }) => {
        const spi = associations.find(({ to }) => to === address)?.spi;
        return [
          `src ${node.address}/32 dst ${address}/32 proto udp dport ${VXLAN_PORT} out`,
          `mark 0x${DRIVER_MARK.toString(16)}/0xffffffff`,
          `by ${node.address} > ${address} esp transport ${spi} ${DRIVER_MARK}`,
        ].join(' ');
      });
      judge(
        'policies',
        sameMembers(
          due,
          policies.map(({ selector, direction, mark, templates }) => {
            const by = templates.map(
              ({ from, to, protocol, mode, spi, reqid }) =>
                `${from} > ${to} ${protocol} ${mode} ${spi} ${reqid}`,
            );
            return `${selector} ${direction} mark ${mark} by ${by}`;
          }),
        ),
        where,
      );
      const grown = Object.entries(ipsecErrors).filter(
        ([name, count]) => count !== before[node.name]?.ipsecErrors?.[name],
      );
      judge(
        'error counters that grew',
        sameMembers(
          [],
          grown.map(([name, count]) => `${name} ${count}`),
        ),
        where,
      );
    }
  }),
);

/** By which the kernel tells associations apart. */
function identity({ to, protocol, spi }: SecurityAssociation): string {
  return `${to} ${protocol} ${spi}`;
}

function sealed({ spi, keyDigest }: SecurityAssociation): string {
  return `index ${spi} key ${keyDigest}`;
}

test(
  ...clause('ENC-004', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const mtu = 1424;
    // VXLAN takes 50 bytes of the 1500, ESP up to 26, and its padding goes by fours.
    const edge = await atTheEdge(swarm, networkIn(view, 'secret'), serviceIn(view, 'sealed').tasks, mtu);
    await evidence('secret at its edge', edge);
    expect(Object.keys(edge.mtus).length, 'interfaces looked at').toBeGreaterThanOrEqual(
      3 * swarm.nodes.length,
    );
    // From each node to every other one; three sizes of echo requests.
    const ways = swarm.nodes.length * (swarm.nodes.length - 1);
    expect(edge.echoes.length, 'echo requests').toBe(3 * ways);
    expect(Object.keys(edge.transfers).length, 'large answers').toBe(ways);
    judge(
      'MTUs',
      sameMembers(
        [],
        Object.entries(edge.mtus).flatMap(([link, seen]) => (seen === mtu ? [] : [`${link} ${seen}`])),
      ),
    );
    const wrong = edge.echoes.filter(
      ({ bytes, result }) => result !== (bytes + 28 <= mtu ? 'reply' : 'toobig'),
    );
    judge(
      'echoes with another result than their size demands',
      sameMembers(
        [],
        wrong.map(({ from, to, bytes, result }) => `${from} > ${to} ${bytes} bytes: ${result}`),
      ),
    );
    judge('fragments on the uplinks', sameMembers([], [...new Set(edge.fragments)]));
    const short = Object.entries(edge.transfers).filter(([, bytes]) => bytes !== LARGE_ANSWER);
    judge(
      'large answers that did not arrive whole',
      sameMembers(
        [],
        short.map(([way, bytes]) => `${way}: ${bytes}`),
      ),
    );
  }),
);

test(
  ...clause('ENC-006', async ({ swarm, evidence, skip }) => {
    const versions = [...new Set(swarm.nodes.map(({ engine }) => engine))];
    if (versions.length === 1)
      skip(
        `one-engine-version: all nodes run ${versions.join()}; what different ones make of it is not seen`,
      );
    const view = await swarm.view();
    const ask = async (service: string, network: string): Promise<string[]> => {
      const questions = await askEachOther(swarm, serviceIn(view, service).tasks, network);
      await evidence(`questions on ${network}`, questions);
      return unanswered(questions);
    };
    await evidence(
      'associations',
      await swarm.everywhere((node) => node.namespace(HOST, ['associations', 'policies'])),
    );
    assume(
      'questions on an ordinary overlay that were not answered',
      sameMembers([], await ask('ends', 'front')),
    );
    judge(
      'questions on the encrypted overlay that were not answered',
      sameMembers([], await ask('sealed', 'secret')),
    );
  }),
);
