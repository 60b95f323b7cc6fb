import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ForwardingEntry, parseForwarding } from './bridge-fdb.ts';
import { type Neighbour, parseNeighbours } from './ip-neighbour.ts';
import { parseRoutes, type Route } from './ip-route.ts';

const hexByte = fc.nat(255).map((byte) => byte.toString(16).padStart(2, '0'));
const mac = fc.array(hexByte, { minLength: 6, maxLength: 6 }).map((bytes) => bytes.join(':'));
const link = fc.constantFrom('eth0', 'vxlan0', 'br0');
const address = fc.oneof(fc.ipV4(), fc.ipV6());

test('any forwarding table that bridge can print is read back', () => {
  const entry: fc.Arbitrary<ForwardingEntry> = fc.record(
    {
      mac,
      link,
      master: fc.constant('br0'),
      node: address,
      state: fc.constantFrom('permanent', 'learned', 'stale'),
    },
    { requiredKeys: ['mac', 'link', 'state'], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(entry), (model) => {
      const printed = model.map(({ mac, link, master, node, state }) => ({
        mac,
        ifname: link,
        ...(node && { dst: node, linkNetNsId: 0 }),
        flags: master ? [] : ['self'],
        ...(master && { master }),
        state: state === 'learned' ? '' : state,
      }));
      assert.deepEqual(parseForwarding(JSON.stringify(printed)), model);
    }),
  );
});

test('any neighbour table that ip can print is read back', () => {
  const neighbour: fc.Arbitrary<Neighbour> = fc.record(
    {
      address,
      link,
      mac,
      states: fc.array(fc.constantFrom('PERMANENT', 'REACHABLE', 'FAILED'), { minLength: 1 }),
    },
    { requiredKeys: ['address', 'link', 'states'], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(neighbour), (model) => {
      const printed = model.map(({ address, link, mac, states }) => ({
        dst: address,
        dev: link,
        ...(mac && { lladdr: mac }),
        state: states,
      }));
      assert.deepEqual(parseNeighbours(JSON.stringify(printed)), model);
    }),
  );
});

test('any routing table that ip can print is read back', () => {
  const route: fc.Arbitrary<Route> = fc.record(
    { to: fc.constantFrom('default', '10.0.1.0/24', '10.0.1.3'), via: address, link },
    { requiredKeys: ['to'], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(route), (model) => {
      const printed = model.map(({ to, via, link }) => ({
        dst: to,
        ...(via && { gateway: via }),
        ...(link && { dev: link }),
        flags: [],
      }));
      assert.deepEqual(parseRoutes(JSON.stringify(printed)), model);
    }),
  );
});

const entry = { mac: '02:42:0a:00:01:03', ifname: 'vxlan0', flags: [], state: '' };
for (const [what, parse, text, quoted] of [
  ['the empty text', parseForwarding, '', '\n> '],
  ['an error message', parseRoutes, 'Error: ipv4: FIB table does not exist.', 'FIB table'],
  ['no list', parseNeighbours, '{}', '> {}'],
  ['an entry without a hardware address', parseForwarding, JSON.stringify([{ ...entry, mac: 3 }]), '"mac":3'],
  ['an entry without a state', parseForwarding, JSON.stringify([{ ...entry, state: undefined }]), 'vxlan0'],
  ['a node that is no address', parseForwarding, JSON.stringify([{ ...entry, dst: 'w1' }]), '"dst":"w1"'],
  ['a neighbour that is none', parseNeighbours, '[{"dst":"x","dev":"eth0","state":["STALE"]}]', '"dst":"x"'],
  ['a neighbour without states', parseNeighbours, '[{"dst":"10.0.0.1","dev":"eth0"}]', '10.0.0.1'],
  ['a route without a destination', parseRoutes, '[{"dev":"eth0"}]', '"dev":"eth0"'],
] as const)
  test(`${what} is refused and quoted`, () => {
    assert.throws(
      () => parse(text),
      (error: Error) => error.message.includes(quoted),
    );
  });
