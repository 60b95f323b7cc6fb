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
