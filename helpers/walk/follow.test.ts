import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WalkEvidence } from './evidence.ts';
import { follow } from './follow.ts';
import { brokenHops, type Walk } from './model.ts';
import {
  CLIENT,
  dnsWalk,
  hostWalk,
  meshWalk,
  namedWalk,
  nodeIn,
  rules,
  silence,
  VIP,
  virtualIpWalk,
  WALKS,
} from './testing/example.ts';

function walked(evidence: WalkEvidence): Walk {
  const walk = follow(evidence);
  assert.ok(walk, 'the evidence leads nowhere');
  return walk;
}

/** Titles of the hops from the client to a hop, along the legs. */
function wayTo(walk: Walk, title: string): string[] {
  const titles = new Map(walk.hops.map((hop) => [hop.id, hop.title]));
  let at = walk.hops.find((hop) => hop.title === title)?.id;
  const way: string[] = [];
  while (at !== undefined) {
    way.unshift(titles.get(at) ?? 'none');
    const here: string = at;
    at = walk.legs.find(({ to }) => to === here)?.from;
  }
  return way;
}

test('a healthy walk has no broken hop, whatever its kind', () => {
  for (const [kind, make] of Object.entries(WALKS)) {
    const walk = walked(make());
    assert.deepEqual(brokenHops(walk), [], kind);
    assert.equal(walk.troubled, false, kind);
    assert.ok(
      walk.hops.every(({ state }) => state === 'stands'),
      kind,
    );
  }
});

test('a virtual IP leads through mark, IPVS and SNAT to a task beside the client and, over VXLAN, to one elsewhere', () => {
  const walk = walked(virtualIpWalk());
  const balanced = [
    'Client client.1',
    `Virtual IP ${VIP}`,
    'Mark 0x103',
    'IPVS FWM 259',
    'SNAT to 10.0.1.12',
  ];
  assert.deepEqual(wayTo(walk, 'two.2'), [...balanced, 'Real server 10.0.1.9', 'two.2']);
  assert.deepEqual(wayTo(walk, 'two.1'), [
    ...balanced,
    'Real server 10.0.1.8',
    'VXLAN to w1',
    'VXLAN on w1',
    'two.1',
  ]);
});

test('a published port leads through DNAT, ingress_sbox and the overlay to the task and its own port', () => {
  assert.deepEqual(wayTo(walked(meshWalk()), 'vote.1'), [
    'Client outside the Swarm',
    'Published port 8080/tcp',
    'Ingress sandbox',
    'Mark 0x106',
    'IPVS FWM 262',
    'SNAT to 10.0.0.4',
    'Real server 10.0.0.6',
    'VXLAN to w1',
    'VXLAN on w1',
    'REDIRECT 8080 to 80',
    'vote.1',
  ]);
});

test('a name without virtual IP leads from DNS straight to the tasks, a port in host mode by DNAT alone', () => {
  const dns = ['Client client.1', 'Embedded DNS 127.0.0.11'];
  assert.deepEqual(wayTo(walked(namedWalk()), 'named.2'), [...dns, 'named.2']);
  assert.deepEqual(wayTo(walked(namedWalk()), 'named.1'), [...dns, 'VXLAN to w1', 'VXLAN on w1', 'named.1']);
  assert.deepEqual(wayTo(walked(dnsWalk()), 'named.1'), [...dns, 'named.1']);
  assert.deepEqual(wayTo(walked(hostWalk()), 'hosted.1'), [
    'Client outside the Swarm',
    'Host port 8093/tcp',
    'hosted.1',
  ]);
});

test('the mesh of a real run is walked from what MESH-010 kept of it', () => {
  const file = '../../fixtures/recordings/26.1.5-6.12/walk-mesh.json';
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  const walk = walked(JSON.parse(text));
  assert.deepEqual(brokenHops(walk), []);
  const way = wayTo(walk, 'both.2');
  assert.deepEqual(way, [
    'Client outside the Swarm',
    'Published port 8090/tcp',
    'Ingress sandbox',
    'Mark 0x100',
    'IPVS FWM 256',
    'SNAT to 10.0.0.2',
    'Real server 10.0.0.7',
    'both.2',
  ]);
  const evidence: WalkEvidence = JSON.parse(text);
  balancer(evidence, 'm1').ipvs = [];
  assert.deepEqual(
    brokenHops(walked(evidence)).map(({ why }) => why),
    ['mark 0x100 has no IPVS service'],
  );
});

const NOBODY = { error: 'timeout in connect', times: 6 };

/** One fault each: where it is seen, and what is said of it. */
const FAULTS: [what: string, evidence: () => WalkEvidence, hop: string, node: string, why: RegExp][] = [
  [
    'no address',
    broken(virtualIpWalk, (one) => dropLinks(nodeIn(one, 'w2').balancer)),
    `Virtual IP ${VIP}`,
    'w2',
    /no interface of the balancer has 10\.0\.1\.7/,
  ],
  [
    'no balancer',
    broken(virtualIpWalk, (one) => {
      nodeIn(one, 'w2').balancer = null;
    }),
    `Virtual IP ${VIP}`,
    'w2',
    /w2 has no balancer namespace for front/,
  ],
  [
    'no mark',
    broken(virtualIpWalk, (one) => clear(nodeIn(one, 'w2').balancer, 'mangle', 'INPUT')),
    'Mark',
    'w2',
    /no rule in mangle INPUT marks -d 10\.0\.1\.7\/32/,
  ],
  [
    'no IPVS service',
    broken(virtualIpWalk, (one) => {
      balancer(one, 'w2').ipvs = [];
    }),
    'IPVS FWM 259',
    'w2',
    /mark 0x103 has no IPVS service/,
  ],
  [
    'no server at all',
    broken(virtualIpWalk, (one) => servers(one, 'w2').splice(0)),
    'IPVS FWM 259',
    'w2',
    /no real server/,
  ],
  [
    'no SNAT',
    broken(virtualIpWalk, (one) => clear(nodeIn(one, 'w2').balancer, 'nat', 'POSTROUTING')),
    'SNAT',
    'w2',
    /no SNAT rule/,
  ],
  [
    'server missing',
    broken(virtualIpWalk, (one) => servers(one, 'w2').shift(), 0),
    'Real server 10.0.1.8',
    'w2',
    /no real server 10\.0\.1\.8/,
  ],
  [
    'weight 0',
    broken(virtualIpWalk, (one) => setWeight(one, 'w2', 0), 0),
    'Real server 10.0.1.8',
    'w2',
    /weight 0/,
  ],
  [
    'server of nobody',
    broken(virtualIpWalk, (one) => addServer(one, 'w2', '10.0.1.99')),
    'Real server 10.0.1.99',
    'w2',
    /no running task of two/,
  ],
  [
    'no neighbour',
    broken(
      virtualIpWalk,
      (one) => {
        overlay(one, 'w2').neighbours = [];
      },
      1,
    ),
    'VXLAN to w1',
    'w2',
    /no neighbour entry for 10\.0\.1\.8/,
  ],
  [
    'no FDB row',
    broken(
      virtualIpWalk,
      (one) => {
        overlay(one, 'w2').forwarding = [];
      },
      1,
    ),
    'VXLAN to w1',
    'w2',
    /no FDB row .* 02:42:0a:00:01:08/,
  ],
  [
    'wrong FDB row',
    broken(virtualIpWalk, (one) => misleads(one), 1),
    'VXLAN to w1',
    'w2',
    /leads to m1 .*the task runs on w1/,
  ],
  [
    'other VNI',
    broken(virtualIpWalk, (one) => setVni(one, 'w1'), 1),
    'VXLAN on w1',
    'w1',
    /VNI 4999, w2 sends with 4097/,
  ],
  ['VXLAN down', broken(virtualIpWalk, (one) => down(one, 'w1'), 1), 'VXLAN on w1', 'w1', /is down/],
  [
    'cut',
    broken(virtualIpWalk, (one) => cut(one, 'w1'), 1),
    'VXLAN on w1',
    'w1',
    /raw CUT drops it.*\(9 packets\)/,
  ],
  ['task gone', broken(virtualIpWalk, (one) => gone(one, 'two', 0), 1), 'two.1', 'w1', /process is gone/],
  [
    'silent task',
    broken(virtualIpWalk, () => {}, 1),
    'two.1',
    'w1',
    /no answer came from it: 3× timeout in connect/,
  ],
  [
    'no DNAT',
    broken(meshWalk, (one) => clear(nodeIn(one, 'm1').host, 'nat', 'DOCKER-INGRESS')),
    'Published port 8080/tcp',
    'm1',
    /DOCKER-INGRESS has no DNAT rule for tcp port 8080/,
  ],
  [
    'no jump',
    broken(meshWalk, (one) => clear(nodeIn(one, 'm1').host, 'nat', 'PREROUTING')),
    'Published port 8080/tcp',
    'm1',
    /PREROUTING has no jump to DOCKER-INGRESS/,
  ],
  [
    'no sandbox',
    broken(meshWalk, (one) => {
      nodeIn(one, 'm1').balancer = null;
    }),
    'Ingress sandbox',
    'm1',
    /no namespace ingress_sbox/,
  ],
  [
    'no port mark',
    broken(meshWalk, (one) => clear(nodeIn(one, 'm1').balancer, 'mangle', 'PREROUTING')),
    'Mark',
    'm1',
    /marks -p tcp --dport 8080/,
  ],
  [
    'no REDIRECT',
    broken(meshWalk, (one) => clear(taskState(one, 'vote', 0), 'nat', 'PREROUTING'), 1),
    'REDIRECT 8080 to 80',
    'w1',
    /no REDIRECT rule/,
  ],
  [
    'no host DNAT',
    broken(hostWalk, (one) => clear(nodeIn(one, 'w1').host, 'nat', 'DOCKER')),
    'Host port 8093/tcp',
    'w1',
    /nat PREROUTING has no jump|DOCKER has no DNAT rule for tcp port 8093/,
  ],
  ['no DNS', broken(namedWalk, () => {}), 'Embedded DNS 127.0.0.11', 'w2', /no answer: timeout in connect/],
  [
    'DNS not redirected',
    broken(dnsWalk, (one) => clear(taskState(one, 'client', 0), 'nat', 'DOCKER_OUTPUT')),
    'Embedded DNS 127.0.0.11',
    'w2',
    /no DNAT rule for port 53/,
  ],
  [
    'DNS forgets a task',
    () => says('named', ['10.0.1.18']),
    'Embedded DNS 127.0.0.11',
    'w2',
    /answered 10\.0\.1\.18, due 10\.0\.1\.18 10\.0\.1\.19/,
  ],
  [
    'DNS knows a dead one',
    () => says('named', ['10.0.1.18', '10.0.1.19', '10.0.1.77']),
    'Embedded DNS 127.0.0.11',
    'w2',
    /10\.0\.1\.77/,
  ],
];

for (const [what, evidence, title, node, why] of FAULTS)
  test(`${what}: ${title} on ${node} is the broken hop, and what lies behind it is not reached`, () => {
    const walk = walked(evidence());
    const [hop, ...others] = brokenHops(walk);
    assert.equal(hop?.title, title);
    assert.equal(hop?.node, node);
    assert.match(hop?.why ?? '', why);
    assert.deepEqual(others, []);
    assert.equal(walk.troubled, true);
  });

test('requests that passed prove their way, however its tables are written', () => {
  const evidence = virtualIpWalk();
  overlay(evidence, 'w2').forwarding = [];
  overlay(evidence, 'w2').neighbours = [];
  assert.deepEqual(brokenHops(walked(evidence)), []);
});

test('what nobody looked at is said to be unseen, and never broken', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(WALKS)),
      fc.subarray(['host', 'balancer', 'overlay', 'processes'] as const),
      (make, blind) => {
        const evidence = make();
        for (const node of evidence.nodes) for (const part of blind) delete node[part];
        const walk = walked(evidence);
        assert.deepEqual(brokenHops(walk), []);
        if (blind.length === 4)
          assert.ok(walk.hops.every(({ facts }) => facts.every(({ label }) => label !== 'packets')));
      },
    ),
  );
});

test('of many tasks alike some are told one by one, and every broken one before them', () => {
  const evidence = virtualIpWalk();
  const two = evidence.view.services.find(({ name }) => name === 'two');
  const model = two?.tasks[0];
  assert.ok(two && model);
  for (let slot = 3; slot <= 40; slot += 1) {
    two.tasks.push({
      ...model,
      id: `two${slot}`,
      slot,
      pid: 1000 + slot,
      container: `x${slot}`.padEnd(64, 'f'),
      addresses: { front: `10.0.1.${100 + slot}` },
    });
    if (slot !== 33) addServer(evidence, 'w2', `10.0.1.${100 + slot}`);
  }
  const walk = walked(evidence);
  assert.deepEqual(
    brokenHops(walk).map(({ title }) => title),
    ['Real server 10.0.1.133'],
  );
  assert.ok(walk.hops.some(({ title }) => /^\d+ more$/.test(title)));
  assert.ok(walk.hops.length < 40, `${walk.hops.length} hops`);
});

test('a request to what no service offers has no walk', () => {
  const evidence = virtualIpWalk();
  evidence.asked.addresses = ['203.0.113.9'];
  evidence.outcomes = [{ times: 1, address: '203.0.113.9', error: 'timeout in connect' }];
  assert.equal(follow(evidence), undefined);
});

test('a port that nobody publishes ends at its node', () => {
  const evidence = meshWalk();
  evidence.asked.port = 8099;
  evidence.outcomes = [{ times: 2, address: '192.168.83.11', error: 'refused in connect' }];
  const [hop, ...others] = brokenHops(walked(evidence));
  assert.match(hop?.why ?? '', /DOCKER-INGRESS has no DNAT rule for tcp port 8099/);
  assert.deepEqual(others, []);
});

/** @param silent the slot whose requests time out; 0 for none. Without it all do. */
function broken(
  make: () => WalkEvidence,
  fault: (evidence: WalkEvidence) => unknown,
  silent?: number,
): () => WalkEvidence {
  return () => {
    const evidence = make();
    fault(evidence);
    if (silent === undefined) {
      const [address] = evidence.asked.addresses;
      evidence.outcomes = [{ ...NOBODY, ...(address && { address }) }];
    } else if (silent > 0) silence(evidence, silent);
    return evidence;
  };
}

function says(name: string, answers: string[]): WalkEvidence {
  const evidence = dnsWalk();
  evidence.asked.name = name;
  evidence.outcomes = [{ times: 4, answers }];
  return evidence;
}

function balancer(evidence: WalkEvidence, node: string) {
  const state = nodeIn(evidence, node).balancer;
  assert.ok(state);
  return state;
}

function overlay(evidence: WalkEvidence, node: string) {
  const state = nodeIn(evidence, node).overlay;
  assert.ok(state);
  return state;
}

function servers(evidence: WalkEvidence, node: string) {
  const [service] = balancer(evidence, node).ipvs ?? [];
  assert.ok(service);
  return service.realServers;
}

function setWeight(evidence: WalkEvidence, node: string, weight: number): void {
  const [server] = servers(evidence, node);
  assert.ok(server);
  server.weight = weight;
}

function addServer(evidence: WalkEvidence, node: string, address: string): void {
  servers(evidence, node).push({
    address,
    port: 0,
    method: 'Masq',
    weight: 1,
    activeConnections: 0,
    inactiveConnections: 0,
  });
}

function dropLinks(state: WalkEvidence['nodes'][number]['balancer']): void {
  for (const link of state?.links ?? []) link.addresses = [];
}

function clear(state: WalkEvidence['nodes'][number]['balancer'], table: string, chain: string): void {
  const found = state?.rules?.tables[table]?.chains[chain];
  assert.ok(found, `${table} ${chain}`);
  found.rules = [];
}

function vxlan(evidence: WalkEvidence, node: string) {
  const link = overlay(evidence, node).links?.find(({ kind }) => kind === 'vxlan');
  assert.ok(link);
  return link;
}

function setVni(evidence: WalkEvidence, node: string): void {
  vxlan(evidence, node).vxlan = { vni: 4999, port: 4789 };
}

function down(evidence: WalkEvidence, node: string): void {
  vxlan(evidence, node).up = false;
}

function misleads(evidence: WalkEvidence): void {
  for (const row of overlay(evidence, 'w2').forwarding ?? []) row.node = nodeIn(evidence, 'm1').address;
}

function cut(evidence: WalkEvidence, node: string): void {
  const state = nodeIn(evidence, node).host;
  assert.ok(state?.rules);
  const drop = '[9:540] -A CUT -s 192.168.83.0/24 -d 192.168.83.0/24 -j DROP';
  Object.assign(state.rules.tables, rules('raw', ':CUT - [0:0]', drop).tables);
}

function taskState(evidence: WalkEvidence, service: string, index: number) {
  const task = evidence.view.services.find(({ name }) => name === service)?.tasks[index] ?? CLIENT;
  return nodeIn(evidence, task.node).processes?.[task.pid];
}

function gone(evidence: WalkEvidence, service: string, index: number): void {
  const task = evidence.view.services.find(({ name }) => name === service)?.tasks[index];
  const node = task && nodeIn(evidence, task.node);
  assert.ok(task && node?.processes);
  node.processes[task.pid] = null;
}
