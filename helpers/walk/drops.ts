import ipaddr from 'ipaddr.js';
import type { NamespaceState } from '../observe/node.ts';
import {
  destination,
  destinationPort,
  options,
  protocol,
  type Rule,
  source,
} from '../observe/parse/iptables.ts';

/** A packet, as far as a rule may ask for it. */
export interface PacketKind {
  protocol: string;
  from?: string;
  to?: string;
  port?: number;
  /** Whether it goes from one host to another, and so never by `lo`. */
  crosses?: boolean;
}

/** Options whose meaning is clear here. A rule with any other may drop these packets or not: it is passed over. */
const UNDERSTOOD = new Set(['-s', '-d', '-p', '-m', '--dport', '-j', '--reject-with', '--comment']);
const MATCHES = new Set(['tcp', 'udp', 'icmp', 'comment']);

/** The first rule in a namespace that has dropped or rejected packets, and would drop these; in words. */
export function droppedBy(state: NamespaceState | null | undefined, packet: PacketKind): string | undefined {
  for (const [table, { chains }] of Object.entries(state?.rules?.tables ?? {}))
    for (const [chain, { rules }] of Object.entries(chains)) {
      const rule = rules.find((one) => drops(one, packet));
      if (rule)
        return `${table} ${chain} drops it: ${rule.raw.replace(/^\[.*?\] -A \S+ /, '')} (${rule.packets} packets)`;
    }
  return undefined;
}

function drops(rule: Rule, packet: PacketKind): boolean {
  if (!['DROP', 'REJECT'].includes(rule.jump ?? '') || !rule.packets) return false;
  const clear = options(rule).every(({ name, values: [value = ''], negated }) => {
    if (name === '-i' || name === '-o') return negated && value === 'lo' && packet.crosses;
    return UNDERSTOOD.has(name) && !negated && (name !== '-m' || MATCHES.has(value));
  });
  if (!clear) return false;
  const wanted = protocol(rule)?.value;
  const port = destinationPort(rule)?.value;
  return (
    (wanted === undefined || wanted === packet.protocol) &&
    within(packet.to, destination(rule)?.value) &&
    within(packet.from, source(rule)?.value) &&
    (port === undefined || (packet.port !== undefined && inRange(packet.port, port)))
  );
}

function within(address: string | undefined, cidr: string | undefined): boolean {
  if (cidr === undefined) return true;
  if (address === undefined || !ipaddr.isValid(address)) return false;
  const [range, bits] = cidr.includes('/') ? ipaddr.parseCIDR(cidr) : [ipaddr.parse(cidr), 32];
  const own = ipaddr.parse(address);
  return own.kind() === range.kind() && own.match(range, bits);
}

function inRange(port: number, range: string): boolean {
  const [first = 0, last = first] = range.split(':').map(Number);
  return port >= first && port <= last;
}
