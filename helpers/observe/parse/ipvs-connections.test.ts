import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpvsConnections } from './ipvs-connections.ts';

const HEADER = 'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n';

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, '0');

/** An address as the kernel prints it and as the parser is to return it. */
interface Printed {
  kernel: string;
  ours: string;
}
const ipv4: fc.Arbitrary<Printed> = fc
  .tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  .map((bytes) => ({
    kernel: bytes
      .map((n) => hex(n, 2))
      .join('')
      .toUpperCase(),
    ours: bytes.join('.'),
  }));
// No group is 0, so nothing can be shortened to `::`; the examples below do that.
const ipv6: fc.Arbitrary<Printed> = fc
  .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((groups) => ({
    kernel: groups.map((n) => hex(n, 4)).join(':'),
    ours: groups.map((n) => hex(n, 1)).join(':'),
  }));

const port = fc.nat({ max: 0xffff });
const connection = fc.oneof(ipv4, ipv6).chain(({ kernel }) => {
  const address = kernel.includes(':') ? ipv6 : ipv4;
  return fc.record({
    protocol: fc.constantFrom('TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6', 'IP', 'IP_47'),
    client: fc.tuple(address, port),
    virtual: fc.tuple(address, port),
    // A tunnel may lead to a real server of the other family.
    destination: fc.tuple(fc.oneof(ipv4, ipv6), port),
    state: fc.constantFrom(
      'NONE',
      'ESTABLISHED',
      'SYN_RECV',
      'FIN_WAIT',
      'TIME_WAIT',
      'UDP',
      'BUG!',
      'ERR!',
      'INIT1',
    ),
    expiresSeconds: fc.nat({ max: 4294967 }),
  });
});
type Connection = typeof connection extends fc.Arbitrary<infer T> ? T : never;

function print({ protocol, client, virtual, destination, state, expiresSeconds }: Connection): string {
  const ends = [client, virtual, destination].map(
    ([address, n]) => `${address.kernel} ${hex(n, 4).toUpperCase()}`,
  );
  return `${protocol.padEnd(3)} ${ends.join(' ')} ${state.padEnd(11)} ${`${expiresSeconds}`.padStart(7)}\n`;
}

test('a connection to a VIP', () => {
  const row = 'TCP 0A000006 B3C4 0A000002 0050 0A000005 0050 ESTABLISHED     899\n';
  assert.deepEqual(parseIpvsConnections(HEADER + row), [
    {
      protocol: 'tcp',
      client: { address: '10.0.0.6', port: 46020 },
      virtual: { address: '10.0.0.2', port: 80 },
      destination: { address: '10.0.0.5', port: 80 },
      state: 'ESTABLISHED',
      expiresSeconds: 899,
    },
  ]);
});

test('IPv6 addresses are shortened as everywhere else', () => {
  const row =
    'UDP fd00:0000:0000:0000:0000:0000:0000:0006 0035 0000:0000:0000:0000:0000:0000:0000:0001 0035 0A000005 0035 UDP 30\n';
  const [seen] = parseIpvsConnections(HEADER + row);
  assert.equal(seen?.client.address, 'fd00::6');
  assert.equal(seen?.virtual.address, '::1');
  assert.equal(seen?.destination.address, '10.0.0.5');
});

test('any connections that the kernel can print are read back', () => {
  fc.assert(
    fc.property(fc.array(connection), (model) => {
      const end = ([address, n]: Connection['client']) => ({ address: address.ours, port: n });
      const parsed = parseIpvsConnections(HEADER + model.map(print).join(''));
      assert.deepEqual(
        parsed,
        model.map(({ protocol, client, virtual, destination, ...rest }) => ({
          protocol: protocol.toLowerCase(),
          client: end(client),
          virtual: end(virtual),
          destination: end(destination),
          ...rest,
        })),
      );
      assert.deepEqual(JSON.parse(JSON.stringify(parsed)), parsed);
    }),
  );
});

test('any line with garbage is refused and quoted', () => {
  fc.assert(
    fc.property(fc.array(connection), fc.nat(), (model, pick) => {
      const lines = (HEADER + model.map(print).join('')).trimEnd().split('\n');
      const bad = pick % lines.length;
      lines[bad] += ' garbage';
      assert.throws(
        () => parseIpvsConnections(lines.join('\n')),
        (error: Error) => error.message.endsWith(`\n> ${lines[bad]}`),
      );
    }),
  );
});

for (const [what, text] of [
  ['the empty text', ''],
  ['a blank line', `${HEADER}\nTCP 0A000006 B3C4 0A000002 0050 0A000005 0050 CLOSE 9\n`],
  ['an address of seven digits', `${HEADER}TCP 0A00006 B3C4 0A000002 0050 0A000005 0050 CLOSE 9\n`],
  ['the columns of ip_vs_conn_sync', HEADER.replace('Expires PEName PEData', 'Origin Expires')],
] as const)
  test(`${what} is refused`, () => {
    assert.throws(() => parseIpvsConnections(text), { name: 'UnknownLine' });
  });
