/** Recordings of real engines and kernels must parse; see fixtures/recordings. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { parseForwarding } from './bridge-fdb.ts';
import { parseIpAddresses } from './ip-address.ts';
import { parseNeighbours } from './ip-neighbour.ts';
import { parseRoutes } from './ip-route.ts';
import { parseSecurityAssociations, parseSecurityPolicies, parseXfrmStatistics } from './ip-xfrm.ts';
import { parseIptablesSave } from './iptables.ts';
import { parseIpvsConnections } from './ipvs-connections.ts';
import { parseIpvsStats, parseIpvsTable, parseIpvsTimeouts } from './ipvsadm.ts';
import { parsePcap } from './pcap.ts';
import { parseListeners } from './ss.ts';
import { parseSysctls } from './sysctl.ts';

const FOLDER = resolve(import.meta.dirname, '../../../fixtures/recordings');

/** `expectedAtLeast` is raised with every recording that is added, so that no check passes for want of files. */
const RECORDINGS = [
  { pattern: 'ipvsadm-*.txt', parse: parseIpvsTable, expectedAtLeast: 3 },
  { pattern: 'ipvs-stats-*.txt', parse: parseIpvsStats, expectedAtLeast: 3 },
  { pattern: 'iptables-save-*.txt', parse: parseIptablesSave, expectedAtLeast: 6 },
  { pattern: 'ip_vs_conn-*.txt', parse: parseIpvsConnections, expectedAtLeast: 3 },
  { pattern: 'ip-addr-*.json', parse: parseIpAddresses, expectedAtLeast: 5 },
  { pattern: 'bridge-fdb-*.json', parse: parseForwarding, expectedAtLeast: 3 },
  { pattern: 'ip-neigh-*.json', parse: parseNeighbours, expectedAtLeast: 3 },
  { pattern: 'ip-route-*.json', parse: parseRoutes, expectedAtLeast: 2 },
  { pattern: 'ip-xfrm-state-*.txt', parse: parseSecurityAssociations, expectedAtLeast: 2 },
  { pattern: 'ip-xfrm-policy-*.txt', parse: parseSecurityPolicies, expectedAtLeast: 2 },
  { pattern: 'xfrm_stat-*.txt', parse: parseXfrmStatistics, expectedAtLeast: 1 },
  { pattern: 'pcap-*.txt', parse: (text: string) => parsePcap(text), expectedAtLeast: 2 },
  { pattern: 'ss-*.txt', parse: parseListeners, expectedAtLeast: 1 },
  { pattern: 'ipvs-timeouts-*.txt', parse: parseIpvsTimeouts, expectedAtLeast: 3 },
  { pattern: 'sysctl-*.txt', parse: parseSysctls, expectedAtLeast: 3 },
];

for (const { pattern, parse, expectedAtLeast } of RECORDINGS) {
  const files = globSync(`**/${pattern}`, { cwd: FOLDER });

  test(`at least ${expectedAtLeast} recordings ${pattern}`, (t) => {
    if (expectedAtLeast === 0 && files.length === 0) t.skip('no recording of this kind yet');
    assert.ok(files.length >= expectedAtLeast, `found ${files.length} in ${FOLDER}`);
  });

  for (const file of files)
    test(`recording ${file}`, () => {
      parse(readFileSync(resolve(FOLDER, file), 'utf8'));
    });
}
