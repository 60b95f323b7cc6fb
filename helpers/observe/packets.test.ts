import assert from 'node:assert/strict';
import { test } from 'node:test';
import { execa } from 'execa';
import { parseEchoes, pingCommand, vxlanPayload } from './packets.ts';
import { type Packet, parsePcap } from './parse/pcap.ts';

/** A capture of one datagram. */
function captured(payload: Buffer): Packet | undefined {
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(4789, 2);
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip[9] = 17;
  const frame = Buffer.concat([Buffer.alloc(12), Buffer.from([8, 0]), ip, udp, payload]);
  const head = Buffer.alloc(40);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(frame.length, 32);
  head.writeUInt32LE(frame.length, 36);
  return parsePcap(Buffer.concat([head, frame]).toString('base64'))[0];
}

test('a frame made for VXLAN is read back as what it says', () => {
  const inner = {
    fromMac: '02:42:0a:00:01:09',
    toMac: '02:42:0a:00:01:05',
    from: '10.0.1.9',
    to: '10.0.1.5',
    fromPort: 40_000,
    port: 9000,
    payload: 'hello',
  };
  const { vxlan } = captured(vxlanPayload(4097, inner)) ?? {};
  assert.equal(vxlan?.vni, 4097);
  assert.deepEqual(
    {
      fromMac: vxlan?.inner.fromMac,
      toMac: vxlan?.inner.toMac,
      from: vxlan?.inner.ip?.from,
      to: vxlan?.inner.ip?.to,
      fromPort: vxlan?.inner.udp?.fromPort,
      port: vxlan?.inner.udp?.port,
      payload: 'hello',
    },
    inner,
  );
  assert.equal(vxlan?.inner.ip?.length, 20 + 8 + 5);
});

const targets = [
  { to: '127.0.0.1', bytes: 56 },
  { to: '127.0.0.1', bytes: 1000 },
];

test('echoes are told in the order asked', () => {
  const lines = [
    '{"to":"127.0.0.1","bytes":1000,"result":"toobig"}',
    '{"to":"127.0.0.1","bytes":56,"result":"reply"}',
  ];
  assert.deepEqual(
    parseEchoes(targets, lines.join('\n')).map(({ bytes, result }) => `${bytes} ${result}`),
    ['56 reply', '1000 toobig'],
  );
});

test('a target of which nothing is said is no answer', () => {
  assert.throws(() => parseEchoes(targets, ''), { reason: 'observer' });
});

test('the program pings', async (t) => {
  const { stdout, stderr, exitCode } = await execa('sh', ['-c', pingCommand(targets, 2)], { reject: false });
  if (stderr.includes('no raw socket')) return t.skip('raw sockets need root');
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual(
    parseEchoes(targets, stdout).map(({ result }) => result),
    ['reply', 'reply'],
  );
});
