import {
  addressesOf,
  attachments,
  chainRules,
  endpoint,
  fileOf,
  GATEWAY_BRIDGE,
  HOST,
  INGRESS_CHAIN,
  INGRESS_SANDBOX,
  ingressNetwork,
  ingressSandbox,
  jumpsTo,
  meshServices,
  networkOf,
  pairs,
  ruleText,
  sameMembers,
  serviceIn,
  tasksIn,
  translatedBy,
  viewSandboxes,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('MESH-003', async ({ swarm, evidence }) => {
    const ports = meshServices(await swarm.view()).flatMap((service) => service.ports);
    const look = () =>
      swarm.everywhere(async (node) => {
        const host = await node.namespace(HOST, ['rules']);
        const nat = chainRules(host, 'nat', INGRESS_CHAIN);
        const filter = chainRules(host, 'filter', INGRESS_CHAIN);
        const { endpoints } = await node.network(GATEWAY_BRIDGE);
        const { links = [] } = await ingressSandbox(node, ['links']);
        return { gateway: endpoints['gateway_ingress-sbox'] || 'none', links, nat, filter };
      });
    const before = await look();
    await evidence('rules and addresses before the requests', before);
    for (const { address } of swarm.nodes) {
      await swarm.outsider.probe({ kind: 'http', to: endpoint(address, VOTE_PORT), count: REQUESTS });
    }
    const after = await look();
    await evidence('rules and addresses after the requests', after);

    for (const [node, { gateway, links, nat, filter }] of Object.entries(after)) {
      const addresses = links.flatMap((link) => link.addresses.map(({ address }) => address));
      const there = addresses.filter((address) => address === gateway);
      judge(`gateway_ingress-sbox in ingress_sbox on ${node}`, sameMembers([gateway], there), { node });

      // Only the address changes, from the node's to that of ingress_sbox: the port becomes the target port in the task.
      const dnat = ports.map((port) => `${to(port)} -j DNAT --to-destination ${gateway}:${port.published}`);
      judge(`rules of nat on ${node}`, sameMembers([...dnat, '-j RETURN'], nat.map(ruleText)), { node });
      const accept = ports.flatMap((port) => [`${to(port)} -j ACCEPT`, `${replyFrom(port)} -j ACCEPT`]);
      judge(`rules of filter on ${node}`, sameMembers([...accept, '-j RETURN'], filter.map(ruleText)), {
        node,
      });

      // The nat table sees the first packet of a connection only, so its rule counts connections.
      const counted = translatedBy(nat, VOTE_PORT) - translatedBy(before[node]?.nat ?? [], VOTE_PORT);
      judge(`connections counted on ${node}`, sameMembers([`${REQUESTS}`], [`${counted}`]), { node });
    }
  }),
);

/** Requests that each node's rule has to count. */
const REQUESTS = 3;

interface Port {
  published: number;
  protocol: string;
}
const to = ({ protocol, published }: Port) => `-p ${protocol} --dport ${published}`;
const replyFrom = ({ protocol, published }: Port) =>
  `-p ${protocol} --sport ${published} --ctstate RELATED,ESTABLISHED`;

test(
  ...clause('MESH-004', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const ingress = ingressNetwork(view);
    const sandboxes = await swarm.everywhere((node) => ingressSandbox(node, ['rules', 'ipvs']));
    await evidence('services', view.services);
    await evidence('marks and IPVS in ingress_sbox', sandboxes);

    // A packet for a published port is marked when it comes in; IPVS, behind INPUT, chooses by nothing but the mark.
    for (const [node, state] of Object.entries(sandboxes)) {
      const { chain } = swarm.node(node).generation.vipMark;
      const expected = meshServices(view).map(({ ports, vips }) =>
        group([...ports.map((port) => `PREROUTING ${to(port)}`), `${chain} -d ${vips[ingress.name]}/32`]),
      );
      const marking = jumpsTo(state, 'mangle', 'MARK').map((rule) => rule.split(' -j MARK --set-xmark '));
      const alike = Map.groupBy(marking, ([, mark = 'none']) => mark);
      const groups = [...alike.values()].map((rules) => group(rules.map(([packets = '']) => packets)));
      judge(`packets marked alike in ingress_sbox of ${node}`, sameMembers(expected, groups), { node });

      const services = (state.ipvs ?? []).map((one) =>
        one.kind === 'fwmark' ? `0x${one.fwmark.toString(16)}/0xffffffff` : one.kind,
      );
      judge(`marks of IPVS in ingress_sbox of ${node}`, sameMembers([...alike.keys()], services), { node });
    }
  }),
);

test(
  ...clause('MESH-005', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const ingress = ingressNetwork(view);
    const sandboxes = await swarm.everywhere((node) => ingressSandbox(node, ['ipvs']));
    await evidence('services', view.services);
    await evidence('IPVS in ingress_sbox', sandboxes);

    // Wherever a packet comes in, it goes on to the same addresses; only the mark is each node's own number.
    const published = meshServices(view);
    const expected = published.map((service) => {
      const servers = addressesOf(service, ingress.name).map((address) => `${address}:0 Masq weight 1`);
      return group(['scheduler rr', ...servers]);
    });
    for (const [node, { ipvs = [] }] of Object.entries(sandboxes)) {
      const seen = ipvs.map(({ scheduler, flags, realServers }) => {
        const servers = realServers.map((to) => `${to.address}:${to.port} ${to.method} weight ${to.weight}`);
        return group([['scheduler', scheduler, ...flags].join(' '), ...servers]);
      });
      judge(`IPVS services in ingress_sbox of ${node}`, sameMembers(expected, seen), { node });
    }

    const { defaultIngressSubnet } = swarm.manager.generation;
    judge('subnet of ingress', sameMembers([defaultIngressSubnet], [ingress.subnet]));
    const addresses = published.flatMap((service) => addressesOf(service, ingress.name));
    const within = addresses.filter((address) => networkOf(address, [ingress]) === ingress.name);
    judge('addresses in that subnet', sameMembers(addresses, within));
  }),
);

/** What belongs together, as one member: in any order the same. */
function group(members: readonly string[]): string {
  return `{ ${members.toSorted().join(' + ')} }`;
}

test(
  ...clause('MESH-006', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const ingress = ingressNetwork(view);
    const seen = await swarm.everywhere(async (node) => ({
      bridge: await node.network(GATEWAY_BRIDGE),
      sandboxes: await viewSandboxes(node.api),
      namespaces: await node.observe(['links']),
    }));
    await evidence('services', view.services);
    await evidence('docker_gwbridge, sandboxes and links', seen);

    for (const [node, { bridge, sandboxes, namespaces }] of Object.entries(seen)) {
      const networks = [...view.networks, bridge];
      const linksIn = (name: string) => {
        const namespace = namespaces.find((one) => one.name === name);
        return attachments(namespace, networks);
      };

      // The mesh reaches a task through ingress, other tasks through their overlay, and it the world through docker_gwbridge.
      for (const task of tasksIn(view).filter((one) => one.node === node)) {
        const { networks: overlays, ports } = serviceIn(view, task.service);
        const attached = ports.length > 0 ? [...overlays, ingress.name] : overlays;
        const given = Object.keys(task.addresses);
        judge(`attachments of ${task.containerName}`, sameMembers(attached, given), { node });

        const container = sandboxes.find(({ container }) => container === task.container);
        judge(
          `addresses of ${task.containerName}, as its engine tells them`,
          sameMembers(pairs(task.addresses), pairs(container?.addresses ?? {})),
          { node },
        );
        const sandbox = fileOf(container?.key ?? 'none');
        const own = { ...task.addresses, [bridge.name]: bridge.endpoints[`gateway_${sandbox}`] ?? 'none' };
        const expected = networks
          .filter(({ name }) => own[name])
          .map(({ name, subnet }) => `${name}: ${own[name]}/${subnet.split('/')[1]}`);
        const links = linksIn(sandbox).map(
          (link) => `${link.networks.join('+')}: ${link.addresses.join('+')}`,
        );
        judge(`interfaces of ${task.containerName}`, sameMembers(expected, links), { node });
      }

      // A published packet comes in by one and goes on by the other; ingress also holds virtual IPs there.
      const ways = linksIn(INGRESS_SANDBOX).map(({ link, networks }) => `${link} in ${networks.join('+')}`);
      judge(
        `interfaces of ingress_sbox on ${node}`,
        sameMembers([`eth0 in ${ingress.name}`, `eth1 in ${bridge.name}`], ways),
        { node },
      );
    }
  }),
);
