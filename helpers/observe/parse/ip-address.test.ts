import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Link, parseIpAddresses } from './ip-address.ts';

const address = fc.record(
  { address: fc.oneof(fc.ipV4(), fc.ipV6()), prefix: fc.nat({ max: 128 }) },
  { noNullPrototype: true },
);

const hexByte = fc.nat(255).map((byte) => byte.toString(16).padStart(2, '0'));
const mac = fc.array(hexByte, { minLength: 6, maxLength: 6 }).map((bytes) => bytes.join(':'));

const link: fc.Arbitrary<Link> = fc.record(
  {
    name: fc.string({ minLength: 1, maxLength: 15 }),
    index: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    kind: fc.constantFrom('vxlan', 'veth', 'bridge', 'dummy'),
    mtu: fc.nat({ max: 65_536 }),
    mac,
    master: fc.constantFrom('br0', 'docker0'),
    addresses: fc.array(address),
    up: fc.boolean(),
  },
  { requiredKeys: ['name', 'index', 'mtu', 'addresses', 'up'], noNullPrototype: true },
);

/** The parts of iproute2's JSON that carry the model, among some that do not. */
function print({ name, index, kind, mtu, mac, master, vxlan, addresses, up }: Link) {
  return {
    ifindex: index,
    ifname: name,
    flags: ['BROADCAST', ...(up ? ['UP', 'LOWER_UP'] : ['NO-CARRIER'])],
    operstate: 'UNKNOWN',
    mtu,
    link_type: mac ? 'ether' : 'none',
    ...(mac && { address: mac }),
    ...(master && { master }),
    ...(kind && {
      linkinfo: { info_kind: kind, ...(vxlan && { info_data: { id: vxlan.vni, port: vxlan.port } }) },
    }),
    addr_info: addresses.map(({ address, prefix }) => ({
      family: 'inet',
      local: address,
      prefixlen: prefix,
    })),
  };
}

test('any interfaces that ip can print are read back', () => {
  fc.assert(
    fc.property(fc.array(link), (model) => {
      const parsed = parseIpAddresses(JSON.stringify(model.map(print)));
      assert.deepEqual(parsed, model);
      assert.deepEqual(JSON.parse(JSON.stringify(parsed)), parsed);
    }),
  );
});

test('a VXLAN interface has its identifier and port', () => {
  const model: Link = {
    name: 'vxlan0',
    index: 19,
    kind: 'vxlan',
    mtu: 1450,
    mac: 'c2:a5:93:f4:bc:7f',
    master: 'br0',
    vxlan: { vni: 4099, port: 4789 },
    addresses: [],
    up: true,
  };
  assert.deepEqual(parseIpAddresses(JSON.stringify([print(model)])), [model]);
});

const eth0 = print({
  name: 'eth0',
  index: 7,
  mtu: 1450,
  addresses: [{ address: '10.0.0.2', prefix: 32 }],
  up: true,
});

for (const [what, text, quoted] of [
  ['the empty text', '', '\n> '],
  ['an error message', 'Device "eth9" does not exist.', 'Device "eth9" does not exist.'],
  ['no list', '{}', '> {}'],
  ['the empty object of a filtered interface', '[{}]', '> {}'],
  ['an interface without flags', JSON.stringify([{ ...eth0, flags: undefined }]), '"ifname":"eth0"'],
  ['an interface without an index', JSON.stringify([{ ...eth0, ifindex: undefined }]), '"ifname":"eth0"'],
  ['an interface without an MTU', JSON.stringify([{ ...eth0, mtu: undefined }]), '"ifname":"eth0"'],
  ['an interface without addresses', JSON.stringify([{ ...eth0, addr_info: undefined }]), '"ifname":"eth0"'],
  ['a kind that is no name', JSON.stringify([{ ...eth0, linkinfo: { info_kind: 3 } }]), '"info_kind":3'],
  [
    'an address that is none',
    JSON.stringify([{ ...eth0, addr_info: [{ local: 'x', prefixlen: 24 }] }]),
    '"local":"x"',
  ],
  [
    'an address without prefix',
    JSON.stringify([{ ...eth0, addr_info: [{ local: '10.0.0.2' }] }]),
    '"10.0.0.2"',
  ],
] as const)
  test(`${what} is refused and quoted`, () => {
    assert.throws(
      () => parseIpAddresses(text),
      (error: Error) => error.message.includes(quoted),
    );
  });
