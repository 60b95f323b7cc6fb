import ipaddr from 'ipaddr.js';
import { type Aspect, HOST, type NamespaceState } from './node.ts';
import type { Ruleset } from './parse/iptables.ts';
import type { VirtualService } from './parse/ipvsadm.ts';

/** What a rule document is made of. */
export const RULE_ASPECTS = [
  'rules',
  'ipvs',
  'links',
  'sysctls',
  'settings',
  'tables',
] as const satisfies Aspect[];

/** One node as it was read with {@link RULE_ASPECTS}. */
export interface NodeRules {
  name: string;
  namespaces: readonly NamespaceState[];
}

/**
 * What one engine made of one kernel on each node: packet filter, IPVS, settings and interfaces of every network namespace, without
 * counters, ids, marks, addresses or anything else that differs from run to run. Two documents are the same unless the engine programs, or
 * the kernel offers, something else.
 */
export function ruleDocument(nodes: readonly NodeRules[]): string {
  return `${nodes.map(nodeSection).join('\n\n')}\n`;
}

function nodeSection({ name, namespaces }: NodeRules): string {
  const known = namespaces.filter(
    ({ inode }, i) => namespaces.findIndex((other) => other.inode === inode) === i,
  );
  const plain = plainer(known);
  const sections = known.map((namespace) => ({
    title: kindOf(namespace.name),
    text: plain(contentOf(namespace)),
  }));
  // Tasks of one kind look the same, and come in no particular order.
  const alike = [...Map.groupBy(sections, ({ title, text }) => `${title}\n${text}`).values()];
  const listed = alike
    .map((group) => ({ ...(group[0] as (typeof sections)[number]), times: group.length }))
    .toSorted((a, b) => order(a).localeCompare(order(b)));
  return [
    `## ${name}`,
    ...listed.map(
      ({ title, text, times }) =>
        `### ${title}${times > 1 ? `, ${times} times` : ''}\n\n\`\`\`\n${text}\n\`\`\``,
    ),
  ].join('\n\n');
}

function order({ title, text }: { title: string; text: string }): string {
  return `${KINDS.findIndex(([kind]) => kind === title)} ${text}`;
}

/** Network namespaces by the names that the engine gives them (moby daemon/libnetwork: sandbox.go, drivers/overlay). */
const KINDS: [kind: string, name: RegExp][] = [
  ['the node itself', new RegExp(`^${HOST}$`)],
  ['ingress_sbox', /^ingress_sbox$/],
  ['balancer of a network', /^lb_/],
  ['overlay network', /^\d+-/],
  ['container', /^[0-9a-f]{12}$/],
  ['another namespace', /./],
];

function kindOf(name: string): string {
  return KINDS[rank(name)]?.[0] ?? name;
}

function rank(name: string): number {
  return KINDS.findIndex(([, pattern]) => pattern.test(name));
}

function contentOf({
  rules,
  ipvs = [],
  links = [],
  sysctls = {},
  settings = {},
  tables = [],
}: NamespaceState): string {
  const interfaces = links
    .map(
      ({ name, kind = 'plain', mtu, vxlan }) =>
        `interface ${name} ${kind} mtu ${mtu}${vxlan ? ` port ${vxlan.port}` : ''}`,
    )
    .map(withoutIds)
    .toSorted();
  return [
    ...counted(interfaces),
    ...tables.map(({ family, name }) => `nft table ${family} ${name}`).toSorted(),
    ...(rules ? rulesOf(rules) : []),
    ...ipvsOf(ipvs),
    ...Object.entries({ ...settings, ...sysctls })
      .filter(([name]) => !OF_THE_MACHINE.includes(name))
      .map(([name, value]) => `${name} = ${value}`)
      .toSorted(),
  ].join('\n');
}

/** Settings that follow from the memory and the cores of a machine (net/netfilter/ipvs/ip_vs_ctl.c). */
const OF_THE_MACHINE = ['net.ipv4.vs.sync_qlen_max', 'net.ipv4.vs.est_cpulist'];

/** Chains by name; the rules of each in the order in which packets meet them. */
function rulesOf({ tables, warnings }: Ruleset): string[] {
  const chains = Object.entries(tables).flatMap(([table, { chains }]) =>
    Object.entries(chains).map(([chain, { policy, rules }]) => ({
      head: `iptables ${table} ${chain}${policy === null ? '' : ` (${policy})`}`,
      lines: rules.map(({ raw }) => `  ${raw.replace(/^\[\d+:\d+\] /, '').replace(/^-A \S+ ?/, '')}`),
    })),
  );
  return [
    ...warnings,
    ...chains.toSorted((a, b) => a.head.localeCompare(b.head)).flatMap(({ head, lines }) => [head, ...lines]),
  ];
}

function ipvsOf(services: readonly VirtualService[]): string[] {
  return services
    .map(({ kind, scheduler, flags, realServers }) => {
      const servers = realServers
        .map(({ method, weight, port }) => `${method} weight ${weight} port ${port}`)
        .toSorted();
      return [
        ['ipvs', kind, scheduler, ...flags].join(' '),
        ...counted(servers).map((line) => `  ${line}`),
      ].join('\n');
    })
    .toSorted();
}

/** Lines that come several times, once with their number. */
function counted(lines: readonly string[]): string[] {
  return [...Map.groupBy(lines, (line) => line)].map(([line, { length }]) =>
    length === 1 ? line : `${line}, ${length} times`,
  );
}

/** Names of interfaces that hold an id or a number of chance (moby daemon/libnetwork: netutils.GenerateIfaceName, overlay). */
function withoutIds(text: string): string {
  return text
    .replaceAll(/\bveth[0-9a-f]+\b/g, 'veth<id>')
    .replaceAll(/\bvx-[0-9a-f]+-\w+/g, 'vx-<id>')
    .replaceAll(/\bbr-[0-9a-f]{12}\b/g, 'br-<id>');
}

/** Writes what differs from run to run by what it stands for; addresses by the network they are of. */
function plainer(namespaces: readonly NamespaceState[]): (text: string) => string {
  // The node's own networks first, then ingress: containers have interfaces in both.
  const known = namespaces.toSorted((a, b) => rank(a.name) - rank(b.name));
  const networks = known.flatMap(({ name, links = [] }) =>
    links.flatMap(({ name: device, addresses }) =>
      addresses
        // A virtual IP has a prefix of its own length and says nothing of its network.
        .filter(({ address, prefix }) => device !== 'lo' && ipaddr.IPv4.isValid(address) && prefix < 32)
        .map(({ address, prefix }) => ({
          range: [ipaddr.IPv4.networkAddressFromCIDR(`${address}/${prefix}`), prefix] as [
            ipaddr.IPv4,
            number,
          ],
          label: labelOf(kindOf(name), device),
        })),
    ),
  );
  const labelled = (text: string) => {
    const address = ipaddr.IPv4.parse(text);
    return networks.find(({ range }) => address.match(range))?.label;
  };
  return (text) =>
    withoutIds(text)
      // The embedded DNS server listens on ports of chance, under an address that is always the same.
      .replaceAll(/(127\.0\.0\.11:)\d+/g, '$1<port>')
      .replaceAll(/(-s 127\.0\.0\.11\/32 .*--sport )\d+/g, '$1<port>')
      .replaceAll(/(--set-x?mark|--mark) 0x[0-9a-f]+/g, '$1 <mark>')
      .replaceAll(/\b\d+\.\d+\.\d+\.\d+\b/g, (address) =>
        ipaddr.IPv4.isValid(address) ? (labelled(address) ?? address) : address,
      )
      .replaceAll(/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b/g, '<id>');
}

function labelOf(kind: string, device: string): string {
  if (/^docker/.test(device)) return `<${device}>`;
  if (kind === 'the node itself') return '<node>';
  if (kind === 'ingress_sbox') return device === 'eth0' ? '<ingress>' : '<docker_gwbridge>';
  return '<overlay>';
}
