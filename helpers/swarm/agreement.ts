import type { Generation } from '../catalogue/catalogue.ts';
import { sameMembers } from '../judge/sets.ts';
import type { NamespaceState } from '../observe/node.ts';
import { destination, destinationPort, protocol, rulesOf, setMark } from '../observe/parse/iptables.ts';
import type { VirtualService } from '../observe/parse/ipvsadm.ts';
import type { NetworkView, ServiceView, SwarmView } from './view.ts';

/** What one node shows: the kernel state of its load-balancer namespaces, and DNS as one of its tasks hears it. */
export interface NodeWitness {
  node: string;
  generation: Generation;
  namespaces: NamespaceState[];
  /** Addresses by network name and DNS name; only for networks on which the node has a task. */
  dns: Record<string, Record<string, string[]>>;
}

/** Name of the namespace that balances a network's VIPs on a node. */
export function lbNamespace(network: Pick<NetworkView, 'id' | 'ingress'>, generation: Generation): string {
  if (network.ingress) return INGRESS_SANDBOX;
  const rule = generation.lbNamespaceName;
  if (rule?.of !== 'network')
    throw new RangeError('this engine generation has no load-balancer namespace of a known name');
  return `${rule.prefix}${network.id.slice(0, rule.characters)}`;
}

/**
 * Name of an overlay's own namespace, `<epoch>-<network id>` cut after 12 characters, with the epoch left out, which counts
 * what the engine has done before and may be any number. Any other name comes back as it is.
 */
export function withoutEpoch(name: string, networks: readonly Pick<NetworkView, 'id'>[]): string {
  const [, epoch] = /^(\d+)-/.exec(name) ?? [];
  const network = networks.find(({ id }) => `${epoch}-${id}`.slice(0, NAMESPACE_NAME) === name);
  return network ? overlayNamespace(network) : name;
}

/** What {@link withoutEpoch} makes of the name of an overlay's own namespace. */
export function overlayNamespace({ id }: Pick<NetworkView, 'id'>): string {
  return `<epoch>-${id}`;
}

/** Names of namespaces are cut after so many characters (moby libnetwork/osl/namespace_linux.go, GenerateKey). */
export const NAMESPACE_NAME = 12;

/** The ingress network's own namespace (moby daemon/libnetwork/controller.go, NewSandbox). */
export const INGRESS_SANDBOX = 'ingress_sbox';

/** The IPVS service of a mark. */
export function virtualService(state: NamespaceState, mark: number): VirtualService | undefined {
  return state.ipvs?.find((one) => one.kind === 'fwmark' && one.fwmark === mark);
}

/** The addresses that get new connections under a mark: those of its real servers whose weight is not 0. */
export function serversOf(state: NamespaceState, mark: number | undefined): string[] {
  const { realServers = [] } = (mark !== undefined && virtualService(state, mark)) || {};
  return realServers.filter(({ weight }) => weight > 0).map(({ address }) => address);
}

/** A rule of the mangle table that marks packets. */
export interface MarkRule {
  chain: string;
  /** Address with prefix, as in `10.0.1.2/32`, or `any`. */
  destination: string;
  /** null when the mark also depends on the packet. */
  mark: number | null;
  /** Packets it marked so far. */
  packets: number;
}

/** Every rule of the mangle table that marks packets, whatever else it matches; MARK rules of all chains by default. */
export function markRules(state: NamespaceState, chain?: string): MarkRule[] {
  const chains = Object.entries(state.rules?.tables.mangle?.chains ?? {});
  return chains
    .filter(([name]) => !chain || name === chain)
    .flatMap(([name, { rules }]) =>
      rules
        .filter(({ jump }) => jump === 'MARK')
        .map((rule) => {
          const address = destination(rule);
          const written = address ? `${address.negated ? '! ' : ''}${address.value}` : 'any';
          return { chain: name, destination: written, mark: setMark(rule), packets: rule.packets ?? 0 };
        }),
    );
}

/** Mark that the mangle table sets for a VIP, or undefined when no rule does. */
export function markOfVip(state: NamespaceState, vip: string, chain: string): number | undefined {
  const rule = rulesOf(state.rules ?? { tables: {}, warnings: [] }, 'mangle', chain)?.find(
    (one) => destination(one)?.value === `${vip}/32`,
  );
  return rule ? (setMark(rule) ?? undefined) : undefined;
}

/** Mark that the ingress sandbox sets for a published port, or undefined when no rule does. */
export function markOfPort(
  state: NamespaceState,
  port: { published: number; protocol: string },
): number | undefined {
  const rule = rulesOf(state.rules ?? { tables: {}, warnings: [] }, 'mangle', 'PREROUTING')?.find(
    (one) => destinationPort(one)?.value === String(port.published) && protocol(one)?.value === port.protocol,
  );
  return rule ? (setMark(rule) ?? undefined) : undefined;
}

/**
 * Where API, DNS, firewall marks and IPVS disagree, by member, on every node; empty when all witnesses tell the same.
 */
export function disagreements(view: SwarmView, witnesses: readonly NodeWitness[]): string[] {
  const problems = unfinished(view);
  for (const witness of witnesses) {
    for (const service of view.services) {
      problems.push(
        ...dnsProblems(witness, service),
        ...overlayProblems(witness, service, view),
        ...ingressProblems(witness, service, view),
      );
    }
  }
  return problems;
}

/** Services of which more or fewer tasks run than shall, one line each. */
export function unfinished({ services }: SwarmView): string[] {
  return services
    .filter(({ replicas, tasks }) => replicas !== tasks.length)
    .map(({ name, replicas, tasks, underway = [] }) => {
      const others = underway.length > 0 ? `, others are ${underway.join(', ')}` : '';
      return `API: ${name} wants ${replicas} tasks, ${tasks.length} run${others}`;
    });
}

function dnsProblems({ node, dns }: NodeWitness, service: ServiceView): string[] {
  return service.networks
    .filter((network) => dns[network] && service.tasks.length > 0)
    .flatMap((network) => {
      const tasks = service.tasks.map(({ addresses }) => addresses[network] ?? 'none');
      const own = service.endpointMode === 'vip' ? [service.vips[network] ?? 'none'] : tasks;
      return [
        ...differs(`${node}: DNS ${service.name} on ${network}`, own, dns[network]?.[service.name] ?? []),
        ...differs(
          `${node}: DNS tasks.${service.name} on ${network}`,
          tasks,
          dns[network]?.[`tasks.${service.name}`] ?? [],
        ),
      ];
    });
}

function overlayProblems(witness: NodeWitness, service: ServiceView, view: SwarmView): string[] {
  if (service.endpointMode !== 'vip' || service.tasks.length === 0) return [];
  return service.networks.flatMap((name) => {
    const network = view.networks.find((one) => one.name === name);
    const vip = service.vips[name];
    if (!network || !vip || !witness.dns[name]) return [];
    const namespace = lbNamespace(network, witness.generation);
    const state = witness.namespaces.find((one) => one.name === namespace);
    const where = `${witness.node}: ${namespace}`;
    if (!state) return [`${where} is not there`];
    const mark = markOfVip(state, vip, witness.generation.vipMark.chain);
    if (mark === undefined) return [`${where}: no mark for VIP ${vip} of ${service.name}`];
    return serverProblems(where, state, mark, service, name);
  });
}

function ingressProblems(witness: NodeWitness, service: ServiceView, view: SwarmView): string[] {
  const ingress = view.networks.find((one) => one.ingress);
  if (!ingress || service.tasks.length === 0) return [];
  return service.ports
    .filter(({ mode }) => mode === 'ingress')
    .flatMap((port) => {
      const state = witness.namespaces.find((one) => one.name === INGRESS_SANDBOX);
      const where = `${witness.node}: ${INGRESS_SANDBOX}`;
      if (!state) return [`${where} is not there`];
      const mark = markOfPort(state, port);
      if (mark === undefined)
        return [`${where}: no mark for ${port.protocol} port ${port.published} of ${service.name}`];
      return serverProblems(where, state, mark, service, ingress.name);
    });
}

function serverProblems(
  where: string,
  state: NamespaceState,
  mark: number,
  service: ServiceView,
  network: string,
): string[] {
  const ipvs = virtualService(state, mark);
  if (!ipvs) return [`${where}: mark ${mark} of ${service.name} has no IPVS service`];
  const tasks = service.tasks.map(({ addresses }) => addresses[network] ?? 'none');
  // A real server of weight 0 gets no new connections: it is on its way out.
  const serving = ipvs.realServers.filter(({ weight }) => weight > 0).map(({ address }) => address);
  return differs(`${where}: real servers of ${service.name}`, tasks, serving);
}

/** What is wrong if these are not the same members, in one line; nothing if they are. */
export function differs(what: string, expected: readonly string[], seen: readonly string[]): string[] {
  // Sorted: the same state must read the same each time, or a timeline of it grows for nothing.
  const judgement = sameMembers(expected.toSorted(), seen.toSorted());
  return judgement.ok ? [] : [`${what}: expected ${judgement.expected}, saw ${judgement.seen}`];
}
