import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { carries, type Packet, packetLine, parsePcap } from './pcap.ts';

const recording = (name: string) =>
  readFileSync(resolve(import.meta.dirname, '../../../fixtures/recordings/26.1.5-6.12', name), 'utf8');

/** What the node w2 saw on its uplink while one task of its own asked two others, over a plain and an encrypted overlay. */
const ETHERNET = recording('pcap-eth.txt');

test('a VXLAN datagram has its network identifier and the packet inside', () => {
  const [request] = parsePcap(ETHERNET);
  assert.deepEqual(request?.ip, {
    from: '192.168.83.22',
    to: '192.168.83.21',
    protocol: 17,
    length: 134,
    dontFragment: false,
    fragment: false,
  });
  assert.equal(request?.udp?.port, 4789);
  assert.equal(request?.vxlan?.vni, 4097);
  assert.equal(request?.vxlan?.inner.toMac, '02:42:0a:00:01:06');
  assert.deepEqual(
    [request?.vxlan?.inner.ip?.from, request?.vxlan?.inner.ip?.to, request?.vxlan?.inner.icmp],
    ['10.0.1.3', '10.0.1.6', { type: 8, code: 0 }],
  );
});

test('an ESP packet has its index and number, and nothing of what is inside', () => {
  const [first] = parsePcap(ETHERNET).filter(({ esp }) => esp);
  assert.deepEqual(first?.esp, { spi: 0xfa0da775, sequence: 8 });
  assert.equal(first?.udp, undefined);
  assert.equal(first?.vxlan, undefined);
});

test('what is on all links is the same, with its direction', () => {
  const line = (packet: Packet) =>
    packetLine(packet)
      .replace(/ (?:in|out|) /, ' ')
      .replace(/\d+ bytes/, '');
  const everywhere = parsePcap(recording('pcap-any.txt'));
  assert.deepEqual(everywhere.map(line), parsePcap(ETHERNET).map(line));
  assert.deepEqual(
    everywhere.map(({ direction }) => direction),
    ['out', 'in', 'out', 'in', 'out', 'in'],
  );
});

test('a text is found where it can be read', () => {
  const packets = parsePcap(ETHERNET);
  // The payload of an echo request is a row of x; encrypted it is not.
  assert.deepEqual(
    packets.map((packet) => carries(packet, 'x'.repeat(40))),
    [true, true, false, false, false, false],
  );
});

test('another VXLAN port is read as plain UDP unless it is named', () => {
  assert.equal(parsePcap(ETHERNET, 7777).filter(({ vxlan }) => vxlan).length, 0);
});

test('fragments are told', () => {
  const file = Buffer.from(ETHERNET.replaceAll('\n', ''), 'base64');
  // The flags and offset of the first packet's IP header: file head 24, packet head 16, Ethernet 14, IP 6.
  file.writeUInt16BE(0x2000, 24 + 16 + 14 + 6);
  assert.equal(parsePcap(file.toString('base64'))[0]?.ip?.fragment, true);
  file.writeUInt16BE(0x0003, 24 + 16 + 14 + 6);
  const [later] = parsePcap(file.toString('base64'));
  assert.equal(later?.ip?.fragment, true);
  assert.equal(later?.udp, undefined);
});

test('nothing was seen in a file with nothing but its head', () => {
  const head = Buffer.from(ETHERNET.replaceAll('\n', ''), 'base64').subarray(0, 24);
  assert.deepEqual(parsePcap(head.toString('base64')), []);
});

const file = Buffer.from(ETHERNET.replaceAll('\n', ''), 'base64');
for (const [what, bytes] of [
  ['the empty file', Buffer.alloc(0)],
  ['an error message', Buffer.from('tcpdump: eth9: No such device exists')],
  ['a file that ends in a packet', file.subarray(0, 100)],
  ['a file that ends in the head of a packet', file.subarray(0, 30)],
  [
    'a link that is no Ethernet',
    Buffer.concat([file.subarray(0, 20), Buffer.from([101, 0, 0, 0]), file.subarray(24)]),
  ],
] as const)
  test(`${what} is refused`, () => {
    assert.throws(() => parsePcap(bytes.toString('base64')), /^Error: pcap: /);
  });

test('what is carried by IPv6 is read the same way', () => {
  const packets = parsePcap(recording('pcap-ipv6.txt'));
  assert.deepEqual(
    packets.map((packet) => packetLine(packet).replace(/^\S+ +/, '')),
    [
      'fd53:7761:726d::32 > fd53:7761:726d::31 tcp 52172 > 2377 94 bytes',
      'fd53:7761:726d::31 > fd53:7761:726d::32 udp 33945 > 4789 vni 4098 [10.0.2.3 > 10.0.2.4 tcp 80 > 59468] 144 bytes',
      'fd53:7761:726d::32 > fd53:7761:726d::31 udp 52808 > 4789 vni 4098 [10.0.2.4 > 10.0.2.3 tcp 59468 > 80] 144 bytes',
      'fd53:7761:726d::32 > fd53:7761:726d::31 esp spi 0x5c86eaa4 seq 1 170 bytes',
      ':: > ff02::1:ffa8:5320 protocol 58 86 bytes',
    ],
  );
  const [, data] = packets;
  assert.equal(data?.etherType, 0x86dd);
  assert.deepEqual(data?.ip, {
    from: 'fd53:7761:726d::31',
    to: 'fd53:7761:726d::32',
    protocol: 17,
    length: 130,
    dontFragment: true,
    fragment: false,
  });
});

test('fragments of IPv6 are told, and only the first has ports', () => {
  const [, data] = parsePcap(recording('pcap-ipv6.txt'));
  const frame = Buffer.from(data?.data ?? '', 'base64');
  const fragment = (offset: number, more: boolean) => {
    // RFC 8200, 4.5: next header, reserved, offset in units of 8 bytes with the flag "more", identification.
    const header = Buffer.from([17, 0, 0, 0, 0, 0, 0, 1]);
    header.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2);
    const packet = Buffer.concat([frame.subarray(0, 14 + 40), header, frame.subarray(14 + 40)]);
    packet[14 + 6] = 44;
    const head = Buffer.from(recording('pcap-ipv6.txt').replaceAll('\n', ''), 'base64').subarray(0, 24);
    const sizes = Buffer.alloc(16);
    sizes.writeUInt32LE(packet.length, 8);
    sizes.writeUInt32LE(packet.length, 12);
    const [parsed] = parsePcap(Buffer.concat([head, sizes, packet]).toString('base64'));
    return { fragment: parsed?.ip?.fragment, protocol: parsed?.ip?.protocol, port: parsed?.udp?.port };
  };
  assert.deepEqual(fragment(0, true), { fragment: true, protocol: 17, port: 4789 });
  assert.deepEqual(fragment(181, false), { fragment: true, protocol: 17, port: undefined });
});
