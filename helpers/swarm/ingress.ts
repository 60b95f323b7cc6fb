import type { Generation } from '../catalogue/catalogue.ts';
import { Inconclusive } from '../errors.ts';
import type { Judgement } from '../judge/judgement.ts';
import { sameMembers } from '../judge/sets.ts';
import type { Aspect, NamespaceState } from '../observe/node.ts';
import { destinationPort, options, type Rule, rulesOf } from '../observe/parse/iptables.ts';
import { INGRESS_SANDBOX } from './agreement.ts';
import type { Node } from './node.ts';
import type { NetworkView, ServiceView, SwarmView } from './view.ts';

/** Chain of the same name in nat and filter that holds the rules of published ports (moby libnetwork/service_linux.go). */
export const INGRESS_CHAIN = 'DOCKER-INGRESS';

/** The services that publish ports through the mesh, with those ports. @throws Inconclusive when none does: nothing would be judged. */
export function meshServices({ services }: SwarmView): ServiceView[] {
  const found = services
    .map((service) => ({ ...service, ports: service.ports.filter(({ mode }) => mode === 'ingress') }))
    .filter(({ ports }) => ports.length > 0);
  if (found.length === 0) throw new Inconclusive('lab', 'no service publishes a port');
  return found;
}

/** The network of the mesh, whatever it is called. @throws Inconclusive when the Swarm has none. */
export function ingressNetwork({ networks }: SwarmView): NetworkView {
  const found = networks.find(({ ingress }) => ingress);
  if (!found) throw new Inconclusive('lab', 'the Swarm has no ingress network');
  return found;
}

/** Kernel state of a node's ingress sandbox. A node without one has nothing to show, which no expectation accepts. */
export async function ingressSandbox(node: Node, aspects: readonly Aspect[]): Promise<NamespaceState> {
  const [state] = await node.observe(aspects, [INGRESS_SANDBOX]);
  return state ?? { name: INGRESS_SANDBOX, inode: 0 };
}

/** The rules of a chain, in order; none when it is not there. */
export function chainRules(state: NamespaceState | undefined, table: string, chain: string): Rule[] {
  return (state?.rules && rulesOf(state.rules, table, chain)) ?? [];
}

/** Every rule of a table that jumps to a chain, as `CHAIN conditions -j TARGET`. */
export function jumpsTo(state: NamespaceState, table: string, target: string): string[] {
  const chains = Object.entries(state.rules?.tables[table]?.chains ?? {});
  return chains.flatMap(([chain, { rules }]) =>
    rules
      .filter((rule) => rule.jump === target || rule.goto === target)
      .map((rule) => `${chain} ${ruleText(rule)}`),
  );
}

/**
 * The rules of a table that a packet meets on its way through chains, each of which jumps to the next for all packets; what
 * is missing on that way is told in place of a rule.
 */
export function rulesOnTheWay(state: NamespaceState, table: string, ...chains: readonly string[]): string[] {
  return chains.slice(0, -1).flatMap((chain, i) => {
    const jump = `-j ${chains[i + 1]}`;
    const texts = chainRules(state, table, chain).map(ruleText);
    const before = texts.includes(jump) ? texts.slice(0, texts.indexOf(jump)) : [`without ${jump}`];
    return before.map((text) => `${chain} ${text}`);
  });
}

/**
 * Judges how packets come to the rules of published ports on a node, and past them, one judgement for each table and step.
 *
 * @param host the node's own namespace, with its `rules`.
 * @returns by what is judged, as in `ways into nat DOCKER-INGRESS`.
 */
export function waysIntoIngress(
  host: NamespaceState,
  { filterIngressJump: chain, mayPrecedeIngressJump }: Generation,
): Record<string, Judgement> {
  // To an address of the node, packets from elsewhere come through PREROUTING, the node's own through OUTPUT.
  const entries = ['PREROUTING', 'OUTPUT'].map((from) => `${from} --dst-type LOCAL -j ${INGRESS_CHAIN}`);
  // On to ingress_sbox they are forwarded: before that, only the administrator's own rules may drop them.
  const allowed = ['FORWARD -j DOCKER-USER', ...mayPrecedeIngressJump.map((name) => `${chain} -j ${name}`)];
  const met = rulesOnTheWay(host, 'filter', ...new Set(['FORWARD', chain]), INGRESS_CHAIN);
  const lastOf = (table: string) => chainRules(host, table, INGRESS_CHAIN).slice(-1).map(ruleText);
  return {
    [`ways into nat ${INGRESS_CHAIN}`]: sameMembers(entries, jumpsTo(host, 'nat', INGRESS_CHAIN)),
    [`ways into filter ${INGRESS_CHAIN}`]: sameMembers(
      [`${chain} -j ${INGRESS_CHAIN}`],
      jumpsTo(host, 'filter', INGRESS_CHAIN),
    ),
    [`rules before filter ${INGRESS_CHAIN}`]: sameMembers(
      [],
      met.filter((rule) => !allowed.includes(rule)),
    ),
    [`last rule of nat ${INGRESS_CHAIN}`]: sameMembers(['-j RETURN'], lastOf('nat')),
    [`last rule of filter ${INGRESS_CHAIN}`]: sameMembers(['-j RETURN'], lastOf('filter')),
  };
}

/** Packets that the rule of a published port has translated so far. */
export function translatedBy(rules: readonly Rule[], port: number): number {
  const rule = rules.find((one) => one.jump === 'DNAT' && destinationPort(one)?.value === String(port));
  return rule?.packets ?? 0;
}

/**
 * A rule without counters, in one spelling for all engines: protocol, ports, state, other conditions, target.
 *
 * Engines before 25.0 match `-m state --state`, later ones `-m conntrack --ctstate`, and iptables prints modules in the order
 * in which they were asked for. A module that its options imply is left out.
 */
export function ruleText(rule: Rule): string {
  const words = options(rule)
    .filter(({ name, values }) => name !== '-m' || !IMPLIED.has(values[0] ?? ''))
    .map(({ name, ...rest }) => ({ name: name === '--state' ? '--ctstate' : name, ...rest }));
  const target = words.findIndex(({ name }) => name === '-j' || name === '-g');
  const end = target < 0 ? words.length : target;
  const conditions = words.slice(0, end).toSorted((one, other) => rank(one.name) - rank(other.name));
  return [...conditions, ...words.slice(end)]
    .map(({ name, values, negated }) => [...(negated ? ['!'] : []), name, ...values].join(' '))
    .join(' ');
}

const IMPLIED = new Set(['tcp', 'udp', 'sctp', 'state', 'conntrack', 'addrtype']);
const ORDER = ['-p', '--sport', '--dport', '--ctstate'];

function rank(name: string): number {
  return ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length;
}
