import { Inconclusive, messageOf } from '../errors.ts';
import { type ForwardingEntry, parseForwarding } from './parse/bridge-fdb.ts';
import { type Link, parseIpAddresses } from './parse/ip-address.ts';
import { type Neighbour, parseNeighbours } from './parse/ip-neighbour.ts';
import { parseRoutes, type Route } from './parse/ip-route.ts';
import {
  parseSecurityAssociations,
  parseSecurityPolicies,
  parseXfrmStatistics,
  type SecurityAssociation,
  type SecurityPolicy,
} from './parse/ip-xfrm.ts';
import { parseIptablesSave, type Ruleset } from './parse/iptables.ts';
import { type IpvsConnection, parseIpvsConnections } from './parse/ipvs-connections.ts';
import {
  type IpvsTimeouts,
  parseIpvsStats,
  parseIpvsTable,
  parseIpvsTimeouts,
  type VirtualService,
  type VirtualServiceStats,
} from './parse/ipvsadm.ts';
import { type NftTable, parseNftTables } from './parse/nft-tables.ts';
import { parseSysctls } from './parse/sysctl.ts';
import { quote, type Toolbox } from './shell.ts';

/** What is read in a network namespace unless told otherwise. */
export const ASPECTS = ['ipvs', 'stats', 'connections', 'rules', 'links'] as const;
/** What can be read in a network namespace. */
export type Aspect =
  | (typeof ASPECTS)[number]
  | 'forwarding'
  | 'neighbours'
  | 'routes'
  | 'associations'
  | 'policies'
  | 'ipsecErrors'
  | 'timeouts'
  | 'sysctls'
  | 'settings'
  | 'tables';

/** Kernel state of one network namespace of a node; only what was asked for is there. */
export interface NamespaceState {
  /** File name under /run/docker/netns, `host` for the node's own, or the path it was asked for by. */
  name: string;
  /** Inode of the namespace: two files with the same one are the same namespace. */
  inode: number;
  ipvs?: VirtualService[];
  stats?: VirtualServiceStats[];
  connections?: IpvsConnection[];
  rules?: Ruleset;
  links?: Link[];
  /** Behind which port, and of a VXLAN interface behind which node, a hardware address is. */
  forwarding?: ForwardingEntry[];
  neighbours?: Neighbour[];
  /** Of the main table. */
  routes?: Route[];
  /** IPsec: how packets are encrypted and read. */
  associations?: SecurityAssociation[];
  /** IPsec: which packets must be. */
  policies?: SecurityPolicy[];
  /** IPsec: what went wrong so far, by the kernel's name for it. */
  ipsecErrors?: Record<string, number>;
  /** Of IPVS. */
  timeouts?: IpvsTimeouts;
  /** The kernel's settings for IPVS here, by name, as in `net.ipv4.vs.conntrack`; one the kernel lacks is not there. */
  sysctls?: Record<string, string>;
  /** The kernel's other settings that the data path depends on, by name; one the kernel lacks is not there. */
  settings?: Record<string, string>;
  /** Of nftables: those that iptables made, too. */
  tables?: NftTable[];
}

/** The node's own namespace, in which its engine runs. */
export const HOST = 'host';

/** Where Docker mounts the namespaces of its sandboxes (moby daemon/libnetwork/osl/namespace_linux.go, basePath). */
const NETNS = '/run/docker/netns';

/** What decides whether a packet of a Swarm is passed on, translated, answered for or taken for a stray (Documentation/networking/ip-sysctl.rst). */
const SETTINGS = [
  'net.ipv4.ip_forward',
  ...['all', 'default'].flatMap((device) =>
    ['forwarding', 'rp_filter', 'route_localnet', 'arp_ignore', 'arp_announce', 'proxy_arp'].map(
      (name) => `net.ipv4.conf.${device}.${name}`,
    ),
  ),
  'net.ipv4.neigh.default.gc_thresh3',
  'net.ipv6.conf.all.disable_ipv6',
  'net.ipv6.conf.all.forwarding',
  'net.bridge.bridge-nf-call-iptables',
  'net.netfilter.nf_conntrack_tcp_be_liberal',
  'net.netfilter.nf_conntrack_udp_timeout',
];

const COMMANDS: Record<Aspect, string> = {
  ipvs: 'ipvsadm -Ln --exact',
  stats: 'ipvsadm -Ln --stats --exact',
  connections: 'cat /proc/net/ip_vs_conn',
  rules: 'iptables-save -c',
  links: 'ip -j -d addr',
  forwarding: 'bridge -j fdb',
  neighbours: 'ip -j neigh',
  routes: 'ip -j route',
  associations: 'ip xfrm state',
  policies: 'ip xfrm policy',
  ipsecErrors: 'cat /proc/net/xfrm_stat',
  timeouts: 'ipvsadm -L --timeout',
  sysctls: 'sysctl net.ipv4.vs',
  settings: `sysctl -e ${SETTINGS.join(' ')}`,
  tables: 'nft list tables',
};

/** Namespaces, and what is to be read in each of them. */
export interface Reading {
  /**
   * Name patterns of namespaces (shell globs such as `lb_*`), {@link HOST}, or paths such as that of {@link processNamespace}.
   * Of those that are not there nothing is read.
   */
  which: readonly string[];
  aspects: readonly Aspect[];
}

/** The network namespace of a process of the node, for {@link Reading}. */
export function processNamespace(pid: number): string {
  return `/proc/${pid}/ns/net`;
}

/**
 * Reads namespaces of a node in one go.
 *
 * @param which name patterns of the namespaces (shell globs such as `lb_*`), or all when left out.
 * @throws Inconclusive (observer) when a tool fails or prints what no parser knows.
 */
export async function observeNode(
  toolbox: Toolbox,
  aspects: readonly Aspect[] = ASPECTS,
  which: readonly string[] = [HOST, '*'],
): Promise<NamespaceState[]> {
  return readNode(toolbox, [{ which, aspects }]);
}

/**
 * The same, reading in some namespaces other things than in others, still in one go.
 *
 * @throws Inconclusive (observer) when a tool fails or prints what no parser knows.
 */
export async function readNode(toolbox: Toolbox, readings: readonly Reading[]): Promise<NamespaceState[]> {
  const script = [
    // An engine that has made no sandbox yet has no such folder; where it would be lies no namespace.
    `cd /proc/1/root${NETNS} 2>/dev/null || cd /proc/1/root/run || exit 1`,
    ...readings.flatMap(readingCommands),
  ].join('\n');
  const plain = () =>
    readings.flatMap(({ which, aspects }) => {
      const commands = aspects.map((aspect) => COMMANDS[aspect]).join('; ');
      return which.map((pattern) => {
        if (pattern === HOST) return commands;
        const files = pattern.startsWith('/') ? pattern : `${NETNS}/${pattern}`;
        return `for f in ${files}; do echo "== $f"; nsenter --net=$f sh -c ${quote(commands)}; done`;
      });
    });
  const text = await toolbox.must(script, { plain });
  try {
    return parseSections(text);
  } catch (error) {
    throw new Inconclusive(
      'observer',
      `what the tools beside ${toolbox.name} printed is not understood: ${messageOf(error)}`,
      {
        node: toolbox.name,
        cause: error,
      },
    );
  }
}

function readingCommands({ which, aspects }: Reading): string[] {
  const inside = aspects
    .map((aspect) => `printf '%s\\n' '@@ ${aspect}'; ${COMMANDS[aspect]} || exit 1`)
    .join('; ');
  return [
    // A namespace that is being removed is still a plain file for a while: it is no namespace (stat -f says nsfs).
    `for name in ${which.join(' ')}; do`,
    `  if [ "$name" = ${HOST} ]; then file=/proc/1/ns/net; else file=$name; [ -e "$file" ] && [ "$(stat -f -c %T "$file")" = nsfs ] || continue; fi`,
    `  printf '%s\\n' "@@ namespace $name $(stat -Lc %i "$file")"`,
    // One that goes while it is read is none any more.
    `  nsenter --net="$file" sh -c ${JSON.stringify(inside).replaceAll('$', '\\$')} || { [ "$name" = ${HOST} ] || [ "$(stat -f -c %T "$file" 2>/dev/null)" = nsfs ] || continue; echo "@@ failed in $name"; exit 1; }`,
    'done',
  ];
}

function parseSections(text: string): NamespaceState[] {
  const states: NamespaceState[] = [];
  for (const section of text.split(/^@@ /m).slice(1)) {
    const newline = section.indexOf('\n');
    const [what = '', name = '', inode = ''] = section.slice(0, newline).split(' ');
    const body = section.slice(newline + 1);
    const current = states.at(-1);
    if (what === 'namespace') states.push({ name, inode: Number(inode) });
    else if (!current) throw new Error(`${what} before any namespace`);
    else if (what === 'ipvs') current.ipvs = parseIpvsTable(body);
    else if (what === 'stats') current.stats = parseIpvsStats(body);
    else if (what === 'connections') current.connections = parseIpvsConnections(body);
    else if (what === 'rules') current.rules = parseIptablesSave(body);
    else if (what === 'links') current.links = parseIpAddresses(body);
    else if (what === 'forwarding') current.forwarding = parseForwarding(body);
    else if (what === 'neighbours') current.neighbours = parseNeighbours(body);
    else if (what === 'routes') current.routes = parseRoutes(body);
    else if (what === 'associations') current.associations = parseSecurityAssociations(body);
    else if (what === 'policies') current.policies = parseSecurityPolicies(body);
    else if (what === 'ipsecErrors') current.ipsecErrors = parseXfrmStatistics(body);
    else if (what === 'timeouts') current.timeouts = parseIpvsTimeouts(body);
    else if (what === 'sysctls') current.sysctls = parseSysctls(body);
    else if (what === 'settings') current.settings = parseSysctls(body);
    else if (what === 'tables') current.tables = parseNftTables(body);
    else throw new Error(`a section named ${what}`);
  }
  return states;
}

/** The names under which namespaces are mounted on a node, from its mount table. */
export async function mountedNamespaces(toolbox: Toolbox): Promise<string[]> {
  const text = await toolbox.must('cat /proc/1/mountinfo');
  // Field 5 of a mountinfo line is the mount point (proc(5)).
  return text
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.includes('/docker/netns/'))
    .map((point) => point.slice(point.lastIndexOf('/') + 1));
}

/** The files in which a node's engine keeps namespaces, mounted or not (libnetwork osl/namespace_linux.go basePath). */
export async function namespaceFiles(toolbox: Toolbox): Promise<string[]> {
  return (await toolbox.must('ls -A /proc/1/root/run/docker/netns'))
    .split('\n')
    .filter((name) => name !== '');
}

/** Inodes of the network namespaces that a process of a node is in, or that its engine keeps as a file. */
export async function namespacesInUse(toolbox: Toolbox): Promise<string[]> {
  // What else lies in the engine's folder, such as a file whose namespace is gone, is of another file system. A process may end meanwhile.
  const script = [
    'own=$(stat -Lc %d /proc/1/ns/net) || exit 1',
    `stat -Lc '%d %i' /proc/[0-9]*/ns/net /proc/1/root${NETNS}/* 2>/dev/null | sort -u`,
    'echo own $own',
  ];
  const lines = (await toolbox.must(script.join('\n'))).split('\n').map((line) => line.split(' '));
  const own = lines.find(([word]) => word === 'own')?.[1];
  return lines.flatMap(([device, inode]) => (device === own && inode ? [inode] : []));
}

/**
 * Makes a network namespace that holds one end of a veth pair, and ends it.
 *
 * @returns the name of the other end, in the node's own namespace: the kernel takes it away as it frees that namespace, one after
 *   another with all others that have ended (net/core/net_namespace.c cleanup_net).
 */
export async function endNamespace(toolbox: Toolbox): Promise<string> {
  const end = 'ended0';
  const script = [
    'own=$(readlink /proc/self/ns/net); unshare --net sleep 60 & other=$!',
    'until [ "$(readlink /proc/$other/ns/net)" != "$own" ]; do kill -0 $other || exit 1; done',
    `ip link add ${end} type veth peer name ${end} netns $other || exit 1`,
    'kill $other; wait $other; true',
  ].join('\n');
  await toolbox.must(`nsenter --net=/proc/1/ns/net sh -c ${quote(script)}`);
  return end;
}

/** The network namespace a process is in, as in `net:[4026532330]`. @throws Inconclusive (observer) when there is no such process. */
export async function namespaceOf(toolbox: Toolbox, pid: number): Promise<string> {
  return (await toolbox.must(`readlink /proc/${pid}/ns/net`)).trim();
}

/**
 * The network namespace that `nsenter --net=<path>` enters on the node, written the same way; what is said instead when the
 * path leads to none.
 */
export async function namespaceBehind(toolbox: Toolbox, path: string): Promise<string> {
  const [folder, file] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
  // The tools are the toolbox's, but links such as /var/run lead on from the node's own root.
  const script = [
    `folder=$(chroot /proc/1/root sh -c 'cd "$1" && pwd -P' sh ${quote(folder)})`,
    `nsenter --net="/proc/1/root$folder/"${quote(file)} readlink /proc/self/ns/net`,
  ].join(' && ');
  return (await toolbox.run(script)).text.trim();
}
