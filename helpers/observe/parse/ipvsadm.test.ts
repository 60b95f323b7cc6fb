import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Counters,
  parseIpvsStats,
  parseIpvsTable,
  parseIpvsTimeouts,
  type VirtualKey,
} from './ipvsadm.ts';
import type { Endpoint } from './text.ts';

// The widths below are those of the printf formats in ipvsadm.c.

const count = fc.nat({ max: 2 ** 32 - 1 });
const total = fc.maxSafeNat();
const endpoint = fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.nat({ max: 65535 }) });

const virtualKey: fc.Arbitrary<VirtualKey> = fc.oneof(
  fc.record({
    kind: fc.constant('fwmark' as const),
    fwmark: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    family: fc.constantFrom('ipv4' as const, 'ipv6' as const),
  }),
  fc
    .tuple(fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const), endpoint)
    .map(([kind, at]) => ({ kind, ...at })),
);

const persistent = fc.record({
  persistentTimeout: count,
  mask: fc.constantFrom([], ['mask 255.255.255.0'], ['mask 64']),
  engine: fc.constantFrom([], ['pe sip']),
});

const schedule = fc
  .record({
    scheduler: fc.constantFrom('rr', 'wrr', 'lc', 'sh', 'mh'),
    ofScheduler: fc.subarray(['flag-1', 'flag-2', 'sh-port']),
    persistence: fc.option(persistent),
    onePacket: fc.constantFrom([], ['ops']),
  })
  .map(({ scheduler, ofScheduler, persistence, onePacket }) => ({
    scheduler,
    flags: [...ofScheduler, ...(persistence?.mask ?? []), ...(persistence?.engine ?? []), ...onePacket],
    ...(persistence && { persistentTimeout: persistence.persistentTimeout }),
    printed: [
      scheduler,
      ...(ofScheduler.length ? [`(${ofScheduler.join(',')})`] : []),
      ...(persistence
        ? [`persistent ${persistence.persistentTimeout}`, ...persistence.mask, ...persistence.engine]
        : []),
      ...onePacket,
    ].join(' '),
  }));

const forwarding = fc.record({
  method: fc.constantFrom('Masq' as const, 'Tunnel' as const, 'Route' as const, 'Local' as const),
  weight: fc.nat({ max: 65535 }),
  activeConnections: count,
  inactiveConnections: count,
});

const counters = fc.record(
  {
    connections: total,
    inPackets: total,
    outPackets: total,
    inBytes: total,
    outBytes: total,
  },
  { noNullPrototype: true },
);

const table = fc.array(
  fc.record({ key: virtualKey, schedule, reals: fc.array(fc.record({ at: endpoint, forwarding })) }),
);
const statistics = fc.array(
  fc.record({
    key: virtualKey,
    stats: counters,
    reals: fc.array(fc.record({ at: endpoint, stats: counters })),
  }),
);

type Table = typeof table extends fc.Arbitrary<infer T> ? T : never;
type Statistics = typeof statistics extends fc.Arbitrary<infer T> ? T : never;

const VERSION = 'IP Virtual Server version 1.2.1 (size=4096)\n';

function printEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function printKey(key: VirtualKey): string {
  // `| 0` is what %d makes of an unsigned number.
  if (key.kind === 'fwmark') return `FWM  ${key.fwmark | 0}${key.family === 'ipv6' ? ' IPv6' : ''}`;
  return `${key.kind.toUpperCase().padEnd(4)} ${printEndpoint(key)}`;
}

function printCounters(stats: Counters): string {
  const { connections, inPackets, outPackets, inBytes, outBytes } = stats;
  return [connections, inPackets, outPackets, inBytes, outBytes]
    .map((n) => `${n}`.padStart(Math.max(9, `${n}`.length + 1)))
    .join('');
}

function printTable(model: Table): string {
  let text = `${VERSION}Prot LocalAddress:Port Scheduler Flags\n`;
  text += '  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n';
  for (const { key, schedule, reals } of model) {
    text += `${printKey(key)} ${schedule.printed}\n`;
    for (const { at, forwarding: f } of reals) {
      text += `  -> ${printEndpoint(at).padEnd(28)} ${f.method.padEnd(7)} ${`${f.weight}`.padEnd(6)} `;
      text += `${`${f.activeConnections}`.padEnd(10)} ${`${f.inactiveConnections}`.padEnd(10)}\n`;
    }
  }
  return text;
}

function printStats(model: Statistics): string {
  let text = VERSION;
  text += 'Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n';
  text += '  -> RemoteAddress:Port\n';
  for (const { key, stats, reals } of model) {
    text += `${printKey(key).padEnd(33)}${printCounters(stats)}\n`;
    for (const real of reals)
      text += `  -> ${printEndpoint(real.at).padEnd(28)}${printCounters(real.stats)}\n`;
  }
  return text;
}

test('the mark table of a Swarm network', () => {
  const text = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  258 rr
  -> 10.0.0.5:0                   Masq    1      0          3         
FWM  259 rr persistent 360 ops
`;
  assert.deepEqual(parseIpvsTable(text), [
    {
      kind: 'fwmark',
      fwmark: 258,
      family: 'ipv4',
      scheduler: 'rr',
      flags: [],
      realServers: [
        {
          address: '10.0.0.5',
          port: 0,
          method: 'Masq',
          weight: 1,
          activeConnections: 0,
          inactiveConnections: 3,
        },
      ],
    },
    {
      kind: 'fwmark',
      fwmark: 259,
      family: 'ipv4',
      scheduler: 'rr',
      flags: ['ops'],
      persistentTimeout: 360,
      realServers: [],
    },
  ]);
});

test('any table that ipvsadm can print is read back', () => {
  fc.assert(
    fc.property(table, (model) => {
      const expected = model.map(({ key, schedule: { printed: _, ...schedule }, reals }) => ({
        ...key,
        ...schedule,
        realServers: reals.map(({ at, forwarding }) => ({ ...at, ...forwarding })),
      }));
      const parsed = parseIpvsTable(printTable(model));
      assert.deepEqual(parsed, expected);
      assert.deepEqual(JSON.parse(JSON.stringify(parsed)), parsed);
    }),
  );
});

test('any statistics that ipvsadm can print are read back', () => {
  fc.assert(
    fc.property(statistics, (model) => {
      const expected = model.map(({ key, stats, reals }) => ({
        ...key,
        stats,
        realServers: reals.map(({ at, stats }) => ({ ...at, stats })),
      }));
      assert.deepEqual(parseIpvsStats(printStats(model)), expected);
    }),
  );
});

test('any line with garbage is refused and quoted', () => {
  const texts: fc.Arbitrary<[string, (text: string) => unknown]> = fc.oneof(
    table.map((model): [string, (text: string) => unknown] => [printTable(model), parseIpvsTable]),
    statistics.map((model): [string, (text: string) => unknown] => [printStats(model), parseIpvsStats]),
  );
  fc.assert(
    fc.property(texts, fc.nat(), ([text, parse], pick) => {
      const lines = text.trimEnd().split('\n');
      const bad = pick % lines.length;
      lines[bad] += ' garbage';
      assert.throws(() => parse(lines.join('\n')), { name: 'UnknownLine', line: lines[bad] });
      assert.throws(
        () => parse(lines.join('\n')),
        (error: Error) => error.message.endsWith(`\n> ${lines[bad]}`),
      );
    }),
  );
});

const HEADER = printTable([]);

for (const [what, text] of [
  ['the empty text', ''],
  ['a header alone cut short', VERSION],
  ['an inserted blank line', `${HEADER}\nFWM  258 rr\n`],
  ['a real server without a virtual one', `${HEADER}  -> 10.0.0.5:0 Masq 1 0 0\n`],
  ['a method ipvsadm does not name', `${HEADER}FWM  258 rr\n  -> 10.0.0.5:0 (null) 1 0 0\n`],
  ['a port beyond 65535', `${HEADER}TCP  10.0.0.5:65536 rr\n`],
  ['an address that is none', `${HEADER}TCP  10.0.0.256:80 rr\n`],
  ['a name for an address (no -n)', `${HEADER}TCP  localhost:http rr\n`],
  ['the title of statistics', printStats([])],
] as const)
  test(`the table refuses ${what}`, () => {
    assert.throws(() => parseIpvsTable(text), { name: 'UnknownLine' });
  });

for (const [what, counts] of [
  ['four counts', '1 2 3 4'],
  ['six counts', '1 2 3 4 5 6'],
  ['a count in other than digits', '1 2 3 4 1e3'],
  ['a shortened count', '1 2 3 4 123456K'],
  ['a count that a number cannot hold', '1 2 3 4 9007199254740993'],
] as const)
  test(`the statistics refuse ${what}`, () => {
    assert.throws(() => parseIpvsStats(`${printStats([])}FWM  258   ${counts}\n`), { name: 'UnknownLine' });
  });

test('timeouts of a namespace, in seconds', () => {
  assert.deepEqual(parseIpvsTimeouts('Timeout (tcp tcpfin udp): 900 120 300\n'), {
    tcp: 900,
    tcpFin: 120,
    udp: 300,
  });
  for (const text of [
    '',
    'Timeout (tcp tcpfin udp): 900 120\n',
    'Timeout (tcp tcpfin udp): 900 120 300\nmore\n',
  ])
    assert.throws(() => parseIpvsTimeouts(text), /ipvsadm --timeout/, text);
});
