import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpvsChanges } from './ipvs-changes.ts';

const HEAD = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
`;

test('each moment has the servers of each mark', () => {
  const text = `${HEAD}FWM  00000103 rr 
  -> 0A000105:0000      Masq    1
  -> 0A000106:0000      Masq    0
FWM  00000104 rr 
@@ 1795382719436
${HEAD}@@ 1795382720001
`;
  assert.deepEqual(parseIpvsChanges(text), [
    {
      at: 1795382719436,
      servers: [
        { mark: 0x103, address: '10.0.1.5', weight: 1 },
        { mark: 0x103, address: '10.0.1.6', weight: 0 },
      ],
    },
    { at: 1795382720001, servers: [] },
  ]);
  assert.deepEqual(parseIpvsChanges(''), []);
});

test('what it does not know is refused', () => {
  assert.throws(() => parseIpvsChanges(`${HEAD}TCP  0A000105:0050 rr \n@@ 1795382719436\n`), /TCP/);
  assert.throws(() => parseIpvsChanges(`  -> 0A000105:0000      Masq    1\n`), /before any service/);
  assert.throws(
    () => parseIpvsChanges(`${HEAD}  -> 0A000105:0000      Masq    1      0          0\n`),
    /line/,
  );
});
