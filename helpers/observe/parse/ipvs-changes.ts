import { exactCount, type Line, linesOf } from './text.ts';

/** Where one firewall mark leads at some moment. */
export interface MarkedServer {
  mark: number;
  address: string;
  weight: number;
}

/** The table of IPVS from a moment on, until the next change. */
export interface IpvsChange {
  /** When it was first seen like that (epoch ms): by then it was so, since when is not known. */
  at: number;
  servers: MarkedServer[];
}

const SERVICE = /^FWM +(?<mark>[0-9A-F]{8}) \S+ (?:\S+ ?)*$/;
const SERVER = /^ {2}-> (?<address>[0-9A-F]{8}):[0-9A-F]{4} +\S+ +(?<weight>\d+)$/;
const HEAD = /^(?:IP Virtual Server version|Prot LocalAddress:Port|\s+-> RemoteAddress:Port)/;
const MOMENT = /^@@ (?<at>\d{13})$/;

/**
 * Moments of /proc/net/ip_vs (kernel net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show) without its counters, each followed by
 * `@@ <epoch ms>`. Knows services by mark with IPv4 servers, which are all that Docker makes.
 *
 * @throws {UnknownLine} on anything else
 */
export function parseIpvsChanges(text: string): IpvsChange[] {
  if (text.trim() === '') return [];
  const changes: IpvsChange[] = [];
  let servers: MarkedServer[] = [];
  let mark: number | undefined;
  for (const line of linesOf('/proc/net/ip_vs', text)) {
    const { mark: service } = SERVICE.exec(line.text)?.groups ?? {};
    const { address, weight } = SERVER.exec(line.text)?.groups ?? {};
    const { at } = MOMENT.exec(line.text)?.groups ?? {};
    if (service) mark = Number.parseInt(service, 16);
    else if (address && weight)
      servers.push({ mark: markOf(mark, line), address: dotted(address), weight: exactCount(weight, line) });
    else if (at) {
      changes.push({ at: exactCount(at, line), servers });
      servers = [];
      mark = undefined;
    } else if (!HEAD.test(line.text)) throw line.refusal();
  }
  return changes;
}

function markOf(mark: number | undefined, line: Line): number {
  if (mark === undefined) throw line.refusal('a server before any service');
  return mark;
}

/** `0A000105` -> `10.0.1.5`. */
function dotted(hex: string): string {
  return [0, 2, 4, 6].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
}
