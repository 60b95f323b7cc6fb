/**
 * `ipvsadm -Ln --exact` and `ipvsadm -Ln --stats --exact`: the IPVS table of one network namespace.
 *
 * Formats: print_title and print_service_entry in ipvsadm.c, read in 1.26 and 1.31 (Debian 12 has 1.31).
 */

import { isIPv4, isIPv6 } from 'node:net';
import { cutOff, type Endpoint, exactCount, type Line, linesOf } from './text.ts';

/** What a virtual server is recognised by: a firewall mark (Swarm's way) or an address. */
export type VirtualKey =
  | { kind: 'fwmark'; fwmark: number; family: 'ipv4' | 'ipv6' }
  | ({ kind: 'tcp' | 'udp' | 'sctp' } & Endpoint);

/** How a virtual server chooses among its real servers. */
export interface Schedule {
  /** As the kernel names it: `rr` is Swarm's. */
  scheduler: string;
  /**
   * The Flags column without the persistence time, in the order printed: scheduler flags (`sh-port`), `mask M`,
   * `pe NAME`, `ops` (one-packet scheduling).
   */
  flags: string[];
  /** Seconds for which a client stays with its real server; absent when the service is not persistent. */
  persistentTimeout?: number;
}

/** How a real server is reached and how busy it is. */
export interface Forwarding {
  /** Swarm uses `Masq`, or `Route` on networks with the option dsr; IPVS alone chooses `Local`. */
  method: 'Masq' | 'Tunnel' | 'Route' | 'Local';
  /** 0: no new connections. */
  weight: number;
  activeConnections: number;
  inactiveConnections: number;
}

/** Totals since the entry was made or zeroed. The kernel's estimator refreshes them, so they lag behind traffic. */
export interface Counters {
  connections: number;
  inPackets: number;
  outPackets: number;
  inBytes: number;
  outBytes: number;
}

/** A destination of the plain table. */
export type RealServer = Endpoint & Forwarding;

/** A virtual server of the plain table. */
export type VirtualService = VirtualKey & Schedule & { realServers: RealServer[] };

/** A destination of the statistics table. */
export type RealServerStats = Endpoint & { stats: Counters };

/** A virtual server of the statistics table, which tells neither scheduler, method nor weight. */
export type VirtualServiceStats = VirtualKey & { stats: Counters; realServers: RealServerStats[] };

/**
 * Reads `ipvsadm -Ln --exact`. A namespace without virtual servers gives `[]`.
 * @throws {UnknownLine} on any other text, the empty one included: a command that failed is not an empty table
 */
export function parseIpvsTable(text: string): VirtualService[] {
  return parseListing(text, {
    title: /^Prot LocalAddress:Port Scheduler Flags$/,
    subtitle: /^ +-> RemoteAddress:Port +Forward Weight ActiveConn InActConn$/,
    virtual: readSchedule,
    real: readRealServer,
  });
}

/**
 * Reads `ipvsadm -Ln --stats --exact`. A namespace without virtual servers gives `[]`.
 * @throws {UnknownLine} on any other text; numbers shortened to K, M, G or T (no `--exact`) are refused too
 */
export function parseIpvsStats(text: string): VirtualServiceStats[] {
  return parseListing(text, {
    title: /^Prot LocalAddress:Port +Conns +InPkts +OutPkts +InBytes +OutBytes$/,
    subtitle: /^ +-> RemoteAddress:Port$/,
    virtual: (rest, line) => ({ stats: readCounters(rest, line) }),
    real: (rest, line) => ({ stats: readCounters(rest, line) }),
  });
}

/** How long a connection without packets is kept, in seconds. */
export interface IpvsTimeouts {
  /** Of TCP, once established. */
  tcp: number;
  /** Of TCP, after a FIN. */
  tcpFin: number;
  udp: number;
}

/**
 * Reads `ipvsadm -L --timeout`.
 * @throws {UnknownLine} on anything but its one line
 */
export function parseIpvsTimeouts(text: string): IpvsTimeouts {
  const [line, next] = linesOf('ipvsadm --timeout', text);
  if (next) throw next.refusal();
  const [, tcp = '', tcpFin = '', udp = ''] =
    /^Timeout \(tcp tcpfin udp\): (\d+) (\d+) (\d+)$/.exec(line.text) ?? [];
  if (tcp === '') throw line.refusal();
  return { tcp: exactCount(tcp, line), tcpFin: exactCount(tcpFin, line), udp: exactCount(udp, line) };
}

/** The two tables differ in their titles and in what follows the key of a row. */
interface Listing<V, R> {
  title: RegExp;
  subtitle: RegExp;
  virtual(rest: string, line: Line): V;
  real(rest: string, line: Line): R;
}

function parseListing<V, R>(text: string, listing: Listing<V, R>) {
  const lines = linesOf('ipvsadm', text);
  const header = [/^IP Virtual Server version \d+\.\d+\.\d+ \(size=\d+\)$/, listing.title, listing.subtitle];
  for (const [index, pattern] of header.entries()) {
    const line = lines[index];
    if (!line) throw cutOff(lines, 'the text ends inside its header');
    if (!pattern.test(line.text)) throw line.refusal(`expected ${pattern}`);
  }

  const services: (VirtualKey & V & { realServers: (Endpoint & R)[] })[] = [];
  for (const row of lines.slice(header.length)) {
    const real = /^ {2}-> (\S+) +(\S.*?) *$/.exec(row.text);
    if (real) {
      const [, address = '', rest = ''] = real;
      const owner = services.at(-1);
      if (!owner) throw row.refusal('a real server before any virtual server');
      owner.realServers.push({ ...readEndpoint(address, row), ...listing.real(rest, row) });
    } else {
      const [key, rest] = readKey(row);
      services.push({ ...key, ...listing.virtual(rest, row), realServers: [] });
    }
  }
  return services;
}

function readKey(row: Line): [VirtualKey, rest: string] {
  const mark = /^FWM {2}(-?\d+)( IPv6)? +(\S.*?) *$/.exec(row.text);
  if (mark) {
    const [, digits = '', ipv6, rest = ''] = mark;
    // ipvsadm prints the unsigned mark with %d, so marks from 2^31 on come out negative.
    return [{ kind: 'fwmark', fwmark: Number(digits) >>> 0, family: ipv6 ? 'ipv6' : 'ipv4' }, rest];
  }
  const [, protocol, address = '', rest = ''] = /^(TCP|UDP|SCTP) +(\S+) +(\S.*?) *$/.exec(row.text) ?? [];
  if (!protocol) throw row.refusal();
  return [{ kind: protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp', ...readEndpoint(address, row) }, rest];
}

function readEndpoint(text: string, row: Line): Endpoint {
  const [, v4 = '', v6 = '', digits = ''] = /^(?:([\d.]+)|\[([^\]]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(isIPv4(v4) || isIPv6(v6)) || port > 65535) throw row.refusal(`${text} is not an address and port`);
  return { address: v4 || v6, port };
}

const SCHEDULE = /^(\S+)(?: \(([\w,-]+)\))?(?: persistent (\d+)(?: (mask \S+))?(?: (pe \S+))?)?(?: (ops))?$/;

function readSchedule(text: string, row: Line): Schedule {
  const [, scheduler, schedulerFlags, timeout, ...others] = SCHEDULE.exec(text) ?? [];
  if (!scheduler) throw row.refusal(`'${text}' is not a scheduler with flags`);
  return {
    scheduler,
    flags: [...(schedulerFlags?.split(',') ?? []), ...others.filter((flag) => flag !== undefined)],
    ...(timeout !== undefined && { persistentTimeout: exactCount(timeout, row) }),
  };
}

function readRealServer(text: string, row: Line): Forwarding {
  const columns = /^(Masq|Tunnel|Route|Local) +(\d+) +(\d+) +(\d+)$/.exec(text);
  if (!columns) throw row.refusal(`'${text}' is not a method, a weight and two counts`);
  const [, method, weight = '', active = '', inactive = ''] = columns;
  return {
    method: method as Forwarding['method'],
    weight: exactCount(weight, row),
    activeConnections: exactCount(active, row),
    inactiveConnections: exactCount(inactive, row),
  };
}

function readCounters(text: string, row: Line): Counters {
  const columns = text.split(/ +/);
  if (columns.length !== 5) throw row.refusal(`'${text}' is not five counts`);
  const [connections = 0, inPackets = 0, outPackets = 0, inBytes = 0, outBytes = 0] = columns.map((digits) =>
    exactCount(digits, row),
  );
  return { connections, inPackets, outPackets, inBytes, outBytes };
}
