/**
 * A capture file as `tcpdump -w` writes it, in base64: packets of a link or of all links (`-i any`).
 *
 * Format: pcap-savefile(5), link types of libpcap's LINKTYPE list (EN10MB, LINUX_SLL2); IPv6 of RFC 8200 without options, VXLAN of
 * RFC 7348, ESP of RFC 4303.
 */

/** One packet. What is inside a VXLAN datagram is the frame it carries; layers that are not read are absent. */
export interface Packet extends Frame {
  /** When it was seen (epoch ms, to the microsecond). */
  at: number;
  /** Length of the whole frame, even where less of it was kept. */
  bytes: number;
  /** Which way it went, where all links were listened to. */
  direction?: 'in' | 'out' | 'other';
  /** The bytes that were kept, in base64; see {@link carries}. */
  data: string;
}

/** An Ethernet frame or what a link of another kind carries. */
export interface Frame {
  fromMac?: string;
  toMac?: string;
  /** EtherType (RFC 9542): 0x0800 is IPv4, 0x0806 ARP, 0x86dd IPv6. */
  etherType: number;
  ip?: {
    from: string;
    to: string;
    /** Number of the protocol: 1 ICMP, 6 TCP, 17 UDP, 50 ESP; of IPv6 what follows its header. */
    protocol: number;
    /** Length by its own header. */
    length: number;
    dontFragment: boolean;
    /** Part of a larger datagram. Only the first part has the layers above. */
    fragment: boolean;
  };
  icmp?: { type: number; code: number };
  tcp?: { fromPort: number; port: number };
  udp?: { fromPort: number; port: number };
  esp?: { spi: number; sequence: number };
  /** A datagram to the VXLAN port: its network identifier, and the frame inside. */
  vxlan?: { vni: number; inner: Frame };
}

/** IANA's port for VXLAN, and the default of Docker's data path (moby libnetwork/drivers/overlay/overlayutils). */
export const VXLAN_PORT = 4789;

const ETHERNET = 1;
const LINUX_SLL2 = 276;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
/** The header of IPv6 that tells of fragments (RFC 8200, 4.5); other extension headers are not read. */
const IPV6_FRAGMENT = 44;

/**
 * Reads a capture.
 *
 * @param vxlanPort datagrams to this port are read as VXLAN.
 * @throws {Error} on another byte order or link type, and where the file ends inside a packet.
 */
export function parsePcap(base64: string, vxlanPort = VXLAN_PORT): Packet[] {
  const file = Buffer.from(base64.replaceAll(/\s/g, ''), 'base64');
  if (file.length < 24)
    throw new Error(`pcap: ${file.length} bytes are no capture file\n> ${base64.slice(0, 80)}`);
  const magic = file.readUInt32LE(0);
  if (magic !== 0xa1b2c3d4)
    throw new Error(`pcap: not a little-endian file in microseconds\n> ${magic.toString(16)}`);
  const linkType = file.readUInt32LE(20) & 0xffff;
  if (linkType !== ETHERNET && linkType !== LINUX_SLL2)
    throw new Error(`pcap: link type ${linkType} is not read`);
  const packets: Packet[] = [];
  for (let at = 24; at < file.length; ) {
    if (at + 16 > file.length)
      throw new Error(`pcap: the file ends inside the head of packet ${packets.length + 1}`);
    const [seconds, micros, kept, bytes] = [0, 4, 8, 12].map((offset) => file.readUInt32LE(at + offset)) as [
      number,
      number,
      number,
      number,
    ];
    const data = file.subarray(at + 16, at + 16 + kept);
    if (data.length < kept) throw new Error(`pcap: the file ends inside packet ${packets.length + 1}`);
    packets.push({
      at: seconds * 1000 + micros / 1000,
      bytes,
      ...(linkType === ETHERNET ? ethernet(data, vxlanPort) : cooked(data, vxlanPort)),
      data: data.toString('base64'),
    });
    at += 16 + kept;
  }
  return packets;
}

/** Whether these bytes are anywhere in what was kept of a packet, readable by whoever is on the way. */
export function carries({ data }: Pick<Packet, 'data'>, text: string): boolean {
  return Buffer.from(data, 'base64').includes(text);
}

/** A packet in one line, for evidence. */
export function packetLine(packet: Packet): string {
  return `${new Date(packet.at).toISOString()} ${packet.direction ?? ''} ${frameLine(packet)} ${packet.bytes} bytes`;
}

function frameLine({ etherType, ip, icmp, tcp, udp, esp, vxlan, fromMac, toMac }: Frame): string {
  if (!ip) return `${fromMac ?? '?'} > ${toMac ?? '?'} type 0x${etherType.toString(16)}`;
  const ports = tcp ?? udp;
  const what =
    (icmp && `icmp ${icmp.type}/${icmp.code}`) ??
    (esp && `esp spi 0x${esp.spi.toString(16)} seq ${esp.sequence}`) ??
    (ports && `${tcp ? 'tcp' : 'udp'} ${ports.fromPort} > ${ports.port}`) ??
    `protocol ${ip.protocol}`;
  const line = `${ip.from} > ${ip.to} ${what}${ip.fragment ? ' fragment' : ''}`;
  return vxlan ? `${line} vni ${vxlan.vni} [${frameLine(vxlan.inner)}]` : line;
}

function ethernet(data: Buffer, vxlanPort: number): Frame {
  if (data.length < 14) return { etherType: 0 };
  return {
    toMac: mac(data.subarray(0, 6)),
    fromMac: mac(data.subarray(6, 12)),
    ...payload(data.readUInt16BE(12), data.subarray(14), vxlanPort),
  };
}

/** What `-i any` shows instead of Ethernet: LINKTYPE_LINUX_SLL2. */
function cooked(data: Buffer, vxlanPort: number): Frame & Pick<Packet, 'direction'> {
  if (data.length < 20) throw new Error('pcap: a packet without the head of LINUX_SLL2');
  const kind = data[10];
  return {
    direction: kind === 4 ? 'out' : kind === 0 ? 'in' : 'other',
    fromMac: mac(data.subarray(12, 18)),
    ...payload(data.readUInt16BE(0), data.subarray(20), vxlanPort),
  };
}

function payload(etherType: number, data: Buffer, vxlanPort: number): Frame {
  if (etherType === IPV6 && data.length >= 40) return payload6(data, vxlanPort);
  if (etherType !== IPV4 || data.length < 20) return { etherType };
  const protocol = data[9] ?? 0;
  const pieces = data.readUInt16BE(6);
  const offset = pieces & 0x1fff;
  const ip = {
    from: data.subarray(12, 16).join('.'),
    to: data.subarray(16, 20).join('.'),
    protocol,
    length: data.readUInt16BE(2),
    dontFragment: (pieces & 0x4000) !== 0,
    fragment: offset > 0 || (pieces & 0x2000) !== 0,
  };
  const above = data.subarray(((data[0] ?? 0) & 0x0f) * 4);
  if (offset > 0) return { etherType, ip };
  return transport({ etherType, ip }, above, vxlanPort);
}

function payload6(data: Buffer, vxlanPort: number): Frame {
  const next = data[6] ?? 0;
  const fragment = next === IPV6_FRAGMENT && data.length >= 48;
  const ip = {
    from: address6(data.subarray(8, 24)),
    to: address6(data.subarray(24, 40)),
    protocol: fragment ? (data[40] ?? 0) : next,
    length: 40 + data.readUInt16BE(4),
    // Only a sender may fragment (RFC 8200, 5).
    dontFragment: true,
    fragment,
  };
  const offset = fragment ? data.readUInt16BE(42) >> 3 : 0;
  if (offset > 0) return { etherType: IPV6, ip };
  return transport({ etherType: IPV6, ip }, data.subarray(fragment ? 48 : 40), vxlanPort);
}

/** What lies above IP, in the first part of a datagram. */
function transport(
  { etherType, ip }: Frame & Required<Pick<Frame, 'ip'>>,
  above: Buffer,
  vxlanPort: number,
): Frame {
  const { protocol } = ip;
  if (above.length < 8) return { etherType, ip };
  if (protocol === 1) return { etherType, ip, icmp: { type: above[0] ?? 0, code: above[1] ?? 0 } };
  if (protocol === 50)
    return { etherType, ip, esp: { spi: above.readUInt32BE(0), sequence: above.readUInt32BE(4) } };
  const ports = { fromPort: above.readUInt16BE(0), port: above.readUInt16BE(2) };
  if (protocol === 6) return { etherType, ip, tcp: ports };
  if (protocol !== 17) return { etherType, ip };
  const body = above.subarray(8);
  if (ports.port !== vxlanPort || body.length < 8) return { etherType, ip, udp: ports };
  return {
    etherType,
    ip,
    udp: ports,
    vxlan: { vni: body.readUIntBE(4, 3), inner: ethernet(body.subarray(8), vxlanPort) },
  };
}

/** In the shortest spelling (RFC 5952), which URLs have. */
function address6(bytes: Buffer): string {
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function mac(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
