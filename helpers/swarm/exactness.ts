import type { Generation } from '../catalogue/catalogue.ts';
import type { NamespaceState } from '../observe/node.ts';
import type { Link } from '../observe/parse/ip-address.ts';
import { destination, destinationPort, protocol, rulesOf, setMark } from '../observe/parse/iptables.ts';
import { differs, lbNamespace, markOfPort, markOfVip, overlayNamespace, withoutEpoch } from './agreement.ts';
import { type NetworkView, networkOf, type ServiceView, type SwarmView } from './view.ts';

/** What the tables of one node hold. */
export interface NodeTables {
  node: string;
  /** At which the others reach it: where their VXLAN sends what is for its endpoints. */
  address: string;
  generation: Generation;
  /** Balancers with `ipvs`, `rules` and `links`, overlays with `forwarding` and `neighbours`. */
  namespaces: NamespaceState[];
}

/**
 * What the tables of nodes hold that no running task needs, and where their overlays would send packets that are for one, by member;
 * empty when they are exact. Where `disagreements` asks whether what serves is there, this asks whether anything else is: a
 * balancer's rules that mark for nobody, IPVS services without such a rule, real servers of whatever weight that are no task,
 * and endpoints that are behind another node or gone. A balancer that is not there is not missed: `disagreements` tells of it.
 */
export function inexact(view: SwarmView, tables: readonly NodeTables[]): string[] {
  return tables.flatMap((mine) =>
    view.networks.flatMap((network) => [
      ...balancerProblems(view, network, mine),
      ...overlayProblems(view, network, mine, tables),
    ]),
  );
}

/** The address an interface was given on an overlay, not a virtual IP that it answers for; nothing where it is on another. */
export function ownAddress({ addresses }: Link, network: NetworkView): string | undefined {
  return addresses.find(
    ({ address, prefix }) => prefix < 32 && networkOf(address, [network]) === network.name,
  )?.address;
}

function balancerProblems(view: SwarmView, network: NetworkView, mine: NodeTables): string[] {
  const name = lbNamespace(network, mine.generation);
  const state = mine.namespaces.find((one) => one.name === name);
  if (!state) return [];
  const where = `${mine.node}: ${name}`;
  const serving = view.services.filter(({ tasks }) => tasks.length > 0);
  const due = network.ingress ? duePorts(state, serving) : dueVips(state, serving, network, mine.generation);
  const marks = new Map(due.flatMap(({ mark, service }) => (mark === undefined ? [] : [[mark, service]])));
  const servers = (state.ipvs ?? []).flatMap((one) => {
    const service = one.kind === 'fwmark' ? marks.get(one.fwmark) : undefined;
    const what = one.kind === 'fwmark' ? `FWM ${one.fwmark}` : `${one.kind} ${one.address}:${one.port}`;
    if (!service) return [`${where}: IPVS service ${what}, which nothing is marked for`];
    return differs(
      `${where}: real servers of ${service.name}, of any weight`,
      service.tasks.map(({ addresses }) => addresses[network.name] ?? 'none'),
      one.realServers.map(({ address }) => address),
    );
  });
  return [
    ...differs(
      `${where}: what is marked`,
      due.map(({ what }) => what),
      network.ingress ? markedPorts(state) : markedVips(state, mine.generation),
    ),
    ...servers,
  ];
}

interface Due {
  /** Virtual IP, or protocol and port. */
  what: string;
  service: ServiceView;
  mark: number | undefined;
}

function dueVips(
  state: NamespaceState,
  services: readonly ServiceView[],
  network: NetworkView,
  { vipMark }: Generation,
): Due[] {
  return services.flatMap((service) => {
    const vip = service.endpointMode === 'vip' ? service.vips[network.name] : undefined;
    return vip ? [{ what: vip, service, mark: markOfVip(state, vip, vipMark.chain) }] : [];
  });
}

function duePorts(state: NamespaceState, services: readonly ServiceView[]): Due[] {
  return services.flatMap((service) =>
    service.ports
      .filter(({ mode }) => mode === 'ingress')
      .map((port) => ({
        what: `${port.protocol} ${port.published}`,
        service,
        mark: markOfPort(state, port),
      })),
  );
}

function markedVips(state: NamespaceState, { vipMark }: Generation): string[] {
  return marking(state, vipMark.chain).map((rule) => destination(rule)?.value.replace('/32', '') ?? 'any');
}

function markedPorts(state: NamespaceState): string[] {
  return marking(state, 'PREROUTING').map(
    (rule) => `${protocol(rule)?.value ?? 'any'} ${destinationPort(rule)?.value ?? 'any'}`,
  );
}

function marking({ rules }: NamespaceState, chain: string) {
  const all = rulesOf(rules ?? { tables: {}, warnings: [] }, 'mangle', chain) ?? [];
  return all.filter((rule) => setMark(rule) !== undefined);
}

function overlayProblems(
  view: SwarmView,
  network: NetworkView,
  mine: NodeTables,
  all: readonly NodeTables[],
): string[] {
  const state = mine.namespaces.find(
    ({ name }) => withoutEpoch(name, [network]) === overlayNamespace(network),
  );
  const tasksOn = (node: string) =>
    view.services
      .flatMap((service) => service.tasks)
      .filter((task) => task.node === node)
      .flatMap(({ addresses }) => addresses[network.name] ?? []);
  if (!state) return tasksOn(mine.node).length > 0 ? [`${mine.node}: no namespace of ${network.name}`] : [];
  const due = all
    .filter(({ node }) => node !== mine.node)
    .flatMap((other) => {
      const balancer = other.namespaces.find(({ name }) => name === lbNamespace(network, other.generation));
      return [
        ...tasksOn(other.node),
        ...(balancer?.links ?? []).flatMap((link) => ownAddress(link, network) ?? []),
      ].map((address) => `${address} at ${other.address}`);
    });
  const { forwarding = [], neighbours = [] } = state;
  const remote = forwarding.filter(({ node }) => node);
  const known = neighbours.filter(({ link, mac }) => mac && remote.some((entry) => entry.link === link));
  const told = [
    ...known.map(({ address, mac }) => {
      const nodes = remote.filter((entry) => entry.mac === mac).map(({ node }) => node);
      return `${address} at ${nodes.join(' and ') || 'no node'}`;
    }),
    ...remote
      .filter(({ mac }) => !known.some((neighbour) => neighbour.mac === mac))
      .map(({ mac, node }) => `${mac} at ${node}`),
  ];
  return differs(`${mine.node}: endpoints of ${network.name} on other nodes`, due, told);
}
