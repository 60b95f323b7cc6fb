/**
 * `/proc/net/ip_vs_conn`: every connection IPVS follows in one network namespace, at the moment of reading. Unlike
 * the counters of `ipvsadm --stats` it does not lag.
 *
 * Format: ip_vs_conn_seq_show in net/netfilter/ipvs/ip_vs_conn.c and ip_vs_proto_name in ip_vs_core.c, read in kernels
 * before and after 4.19, which print the same columns.
 */

import { SocketAddress } from 'node:net';
import { type Endpoint, exactCount, type Line, linesOf } from './text.ts';

/** One connection, or one persistence template (then a port is 0). */
export interface IpvsConnection {
  /** In lower case: `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`, `ip_NUMBER`; `ip` for the template of a
   * firewall mark. */
  protocol: string;
  client: Endpoint;
  /** The address the client chose. In the template of a firewall mark: the mark, written as an address. */
  virtual: Endpoint;
  /** The real server. */
  destination: Endpoint;
  /** As the kernel names it, for example `ESTABLISHED`, `FIN_WAIT` or `UDP`. */
  state: string;
  /** Whole seconds until the entry is dropped unless a packet renews it. */
  expiresSeconds: number;
}

const HEADER = /^Pro FromIP +FPrt ToIP +TPrt DestIP +DPrt State +Expires PEName PEData$/;

const ROW = new RegExp(
  /^(TCP|UDP|SCTP|ICMP|ICMPv6|IP(?:_\d+)?) +(ADDRESS) (PORT) (ADDRESS) (PORT) (ADDRESS) (PORT) ([A-Z][\w!]*) +(\d+)$/.source
    .replaceAll('ADDRESS', '[0-9A-F]{8}|[0-9a-f:]{39}')
    .replaceAll('PORT', '[0-9A-F]{4}'),
);

/**
 * Reads `/proc/net/ip_vs_conn`. A namespace without connections gives `[]`.
 * @throws {UnknownLine} on any other text, the empty one included; also on the data of a persistence engine after
 *   the expiry, which nothing in Swarm sets
 */
export function parseIpvsConnections(text: string): IpvsConnection[] {
  const [header, ...rows] = linesOf('ip_vs_conn', text);
  if (!HEADER.test(header.text)) throw header.refusal(`expected ${HEADER}`);
  return rows.map(readRow);
}

function readRow(row: Line): IpvsConnection {
  const columns = ROW.exec(row.text);
  if (!columns) throw row.refusal();
  const [, protocol = '', client = '', cport = '', virtual = '', vport = '', destination = '', dport = ''] =
    columns;
  const [state = '', expires = ''] = columns.slice(8);
  return {
    protocol: protocol.toLowerCase(),
    client: endpoint(client, cport),
    virtual: endpoint(virtual, vport),
    destination: endpoint(destination, dport),
    state,
    expiresSeconds: exactCount(expires, row),
  };
}

/** IPv4 comes as eight hexadecimal digits, IPv6 written out in full; returned as ipvsadm would print them. */
function endpoint(address: string, port: string): Endpoint {
  return {
    address: address.includes(':')
      ? new SocketAddress({ address, family: 'ipv6' }).address
      : (address.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).join('.'),
    port: Number.parseInt(port, 16),
  };
}
