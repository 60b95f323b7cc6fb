/**
 * `ip -j addr` (with `-d` for the kind): the interfaces of one network namespace.
 *
 * Format: print_linkinfo and print_addrinfo in iproute2's ip/ipaddress.c, seen in 6.1.
 */

import { isIP } from 'node:net';

/** One interface and its addresses. Only what the suite uses. */
export interface Link {
  name: string;
  /** The interface index, unique in its namespace. */
  index: number;
  /** `vxlan`, `bridge`, `veth`, ...: only known from `ip -d`, absent for physical interfaces and `lo`. */
  kind?: string;
  /** The largest packet it takes, in bytes, link header apart. */
  mtu: number;
  /** Hardware address; absent where there is none of Ethernet's form. */
  mac?: string;
  /** The bridge it is a port of. */
  master?: string;
  /** Of a VXLAN interface: its network identifier, and the UDP port it sends to and listens on. */
  vxlan?: { vni: number; port: number };
  /** In the order of `ip`. A VIP appears in its load-balancer namespace with prefix 32. */
  addresses: { address: string; prefix: number }[];
  /** Administratively up. (The operational state of `lo` and of dummies is "unknown" even when they work.) */
  up: boolean;
}

/**
 * Reads `ip -j addr` or `ip -j -d addr`.
 * @throws {Error} quoting the text when it is not a JSON list, or the entry that does not describe an interface.
 *   The empty objects that iproute2 prints for filtered-out interfaces are refused too: ask without a filter.
 */
export function parseIpAddresses(text: string): Link[] {
  const links = parseJson(text);
  if (!Array.isArray(links)) throw new Error(`ip -j addr: not a list of interfaces\n> ${text}`);
  return links.map(readLink);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`ip -j addr: not JSON\n> ${text}`, { cause });
  }
}

function readLink(entry: unknown): Link {
  const { ifname, ifindex, mtu, link_type, address, master, flags, addr_info, linkinfo } = Object(
    entry,
  ) as Record<string, unknown>;
  const { info_kind: kind, info_data } = Object(linkinfo) as Record<string, unknown>;
  const { id, port } = Object(info_data) as Record<string, unknown>;
  if (
    typeof ifname !== 'string' ||
    typeof ifindex !== 'number' ||
    typeof mtu !== 'number' ||
    (master !== undefined && typeof master !== 'string') ||
    !Array.isArray(flags) ||
    !Array.isArray(addr_info) ||
    (kind !== undefined && typeof kind !== 'string')
  )
    throw new Error(`ip -j addr: not an interface\n> ${JSON.stringify(entry)}`);
  return {
    name: ifname,
    index: ifindex,
    ...(kind !== undefined && { kind }),
    mtu,
    ...(link_type === 'ether' && typeof address === 'string' && { mac: address }),
    ...(master !== undefined && { master }),
    // One that takes the identifier from each packet has none of its own.
    ...(kind === 'vxlan' &&
      typeof id === 'number' &&
      typeof port === 'number' && { vxlan: { vni: id, port } }),
    addresses: addr_info.map(readAddress),
    up: flags.includes('UP'),
  };
}

function readAddress(entry: unknown): Link['addresses'][number] {
  const { local, prefixlen } = Object(entry) as Record<string, unknown>;
  if (typeof local !== 'string' || !isIP(local) || typeof prefixlen !== 'number')
    throw new Error(`ip -j addr: not an address\n> ${JSON.stringify(entry)}`);
  return { address: local, prefix: prefixlen };
}
