/** Packets made by hand: echo requests of an exact size, and datagrams of any content. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { Inconclusive } from '../errors.ts';
import { quote } from './shell.ts';

const program = (name: string) => readFileSync(path.join(import.meta.dirname, 'programs', name), 'utf8');
const PING = program('ping.pl');
const DATAGRAMS = program('datagrams.pl');

const Echo = z.strictObject({
  to: z.string(),
  /** Of payload; the packet has 28 more, headers of IP and ICMP (RFC 791, RFC 792). */
  bytes: z.int(),
  /** `toobig`: does not fit and may not be fragmented, said by the sender's own kernel or by a router on the way. */
  result: z.enum(['reply', 'toobig', 'unreachable', 'timeout', 'other']),
  /** What would have fitted, where a router said so. */
  mtu: z.int().optional(),
  detail: z.string().optional(),
});

/** What became of one echo request. */
export type Echo = z.infer<typeof Echo>;

/** Headers of IP and ICMP before the payload of an echo request (RFC 791 without options, RFC 792). */
export const ECHO_HEADERS = 28;

/** The words that send one echo request with the DF bit to each target at once; all are waited for together. */
export function pingCommand(targets: readonly { to: string; bytes: number }[], seconds: number): string {
  const words = targets.map(({ to, bytes }) => `${to}=${bytes}`);
  return ['perl', '-e', PING, String(seconds), ...words].map(quote).join(' ');
}

/** Reads what {@link pingCommand} printed, in the order asked. @throws Inconclusive (observer) when a target lacks its line. */
export function parseEchoes(targets: readonly { to: string; bytes: number }[], text: string): Echo[] {
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  const echoes = lines.map((line) => Echo.parse(JSON.parse(line)));
  return targets.map(({ to, bytes }) => {
    const echo = echoes.find((one) => one.to === to && one.bytes === bytes);
    if (!echo)
      throw new Inconclusive('observer', `nothing is known of ${bytes} bytes to ${to}: ${text.trim()}`);
    return echo;
  });
}

/** The words that send the same datagram several times. */
export function datagramCommand(to: { address: string; port: number }, data: Buffer, count: number): string {
  const words = ['perl', '-e', DATAGRAMS, to.address, String(to.port), String(count), data.toString('hex')];
  return words.map(quote).join(' ');
}

/** A UDP datagram in an Ethernet frame, as VXLAN would carry it. */
export interface InnerDatagram {
  fromMac: string;
  toMac: string;
  from: string;
  to: string;
  fromPort: number;
  port: number;
  payload: string;
}

/** A frame as the payload of a VXLAN datagram (RFC 7348, 5), with a network identifier of the sender's choice. */
export function vxlanPayload(vni: number, inner: InnerDatagram): Buffer {
  const vxlan = Buffer.alloc(8);
  vxlan[0] = 0x08;
  vxlan.writeUIntBE(vni, 4, 3);
  const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex');
  const ethernet = Buffer.concat([mac(inner.toMac), mac(inner.fromMac), Buffer.from([0x08, 0x00])]);
  const payload = Buffer.from(inner.payload);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(inner.fromPort, 0);
  udp.writeUInt16BE(inner.port, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  // The checksum of UDP stays 0: none was made (RFC 768).
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + udp.length + payload.length, 2);
  ip[8] = 64;
  ip[9] = 17;
  Buffer.from(inner.from.split('.').map(Number)).copy(ip, 12);
  Buffer.from(inner.to.split('.').map(Number)).copy(ip, 16);
  ip.writeUInt16BE(internetChecksum(ip), 10);
  return Buffer.concat([vxlan, ethernet, ip, udp, payload]);
}

/** RFC 1071, over an even number of bytes. */
function internetChecksum(data: Buffer): number {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += data.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
