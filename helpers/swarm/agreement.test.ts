import assert from 'node:assert/strict';
import test from 'node:test';
import { generationOf } from '../catalogue/catalogue.ts';
import { parseIptablesSave } from '../observe/parse/iptables.ts';
import { parseIpvsTable } from '../observe/parse/ipvsadm.ts';
import { disagreements, type NodeWitness, overlayNamespace, withoutEpoch } from './agreement.ts';
import type { SwarmView, TaskView } from './view.ts';

const TASKS = [
  { node: 'w1', front: '10.0.1.5', ingress: '10.0.0.8' },
  { node: 'w2', front: '10.0.1.6', ingress: '10.0.0.9' },
];

/** A Swarm with one published service of two tasks. */
function view(): SwarmView {
  const tasks = TASKS.map(
    ({ node, front, ingress }, i): TaskView => ({
      id: `task${i}`,
      service: 'vote',
      slot: i + 1,
      node,
      container: `c${i}`,
      containerName: `vote.${i + 1}.task${i}`,
      pid: 100 + i,
      addresses: { front, ingress },
    }),
  );
  return {
    networks: [
      { id: 'ingressidabc', name: 'ingress', subnet: '10.0.0.0/24', ingress: true },
      { id: 'frontid123456', name: 'front', subnet: '10.0.1.0/24', ingress: false },
    ] as SwarmView['networks'],
    services: [
      {
        id: 'service',
        name: 'vote',
        endpointMode: 'vip',
        replicas: 2,
        vips: { front: '10.0.1.2', ingress: '10.0.0.3' },
        ports: [{ published: 8080, target: 80, protocol: 'tcp', mode: 'ingress' }],
        networks: ['front'],
        tasks,
      },
    ] as SwarmView['services'],
    nodes: [],
  };
}

/** What a healthy node shows, as its tools print it. */
function witness(
  node: string,
  change: Partial<Record<'vipMark' | 'portMark' | 'front' | 'ingress', string>> = {},
): NodeWitness {
  const table = (mark: number, servers: string) =>
    parseIpvsTable(
      `IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nFWM  ${mark} rr\n${servers
        .split(' ')
        .map((server) => `  -> ${server}:0                   Masq    1      0          0\n`)
        .join('')}`,
    );
  const mangle = (rules: string) =>
    parseIptablesSave(`*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n${rules}COMMIT\n`);
  return {
    node,
    generation: generationOf('26.1.5'),
    namespaces: [
      {
        name: 'lb_frontid12',
        inode: 1,
        rules: mangle(change.vipMark ?? '-A INPUT -d 10.0.1.2/32 -j MARK --set-xmark 0x101/0xffffffff\n'),
        ipvs: table(257, change.front ?? '10.0.1.5 10.0.1.6'),
      },
      {
        name: 'ingress_sbox',
        inode: 2,
        rules: mangle(
          change.portMark ??
            '-A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x100/0xffffffff\n',
        ),
        ipvs: table(256, change.ingress ?? '10.0.0.8 10.0.0.9'),
      },
    ],
    dns: { front: { vote: ['10.0.1.2'], 'tasks.vote': ['10.0.1.6', '10.0.1.5'] } },
  };
}

test('a healthy Swarm agrees', () => {
  assert.deepEqual(disagreements(view(), [witness('w1'), witness('w2')]), []);
});

for (const [what, change, said] of [
  ['a real server less', { front: '10.0.1.5' }, /^w2: lb_frontid12: real servers of vote: .*10\.0\.1\.6/],
  [
    'a foreign real server',
    { ingress: '10.0.0.8 10.0.0.77' },
    /^w2: ingress_sbox: real servers of vote: .*10\.0\.0\.77/,
  ],
  ['no mark for the VIP', { vipMark: '' }, /^w2: lb_frontid12: no mark for VIP 10\.0\.1\.2 of vote/],
  [
    'a mark without IPVS',
    { portMark: '-A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x109/0xffffffff\n' },
    /^w2: ingress_sbox: mark 265 of vote has no IPVS service/,
  ],
  [
    'a mark for another port only',
    { portMark: '-A PREROUTING -p tcp -m tcp --dport 8081 -j MARK --set-xmark 0x100/0xffffffff\n' },
    /^w2: ingress_sbox: no mark for tcp port 8080/,
  ],
] as const) {
  test(`told with its node: ${what}`, () => {
    const problems = disagreements(view(), [witness('w1'), witness('w2', change)]);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', said);
  });
}

test('told: DNS that lost a task, a namespace that is gone, a task that does not run', () => {
  const deaf = witness('w1');
  deaf.dns.front = { vote: ['10.0.1.2'], 'tasks.vote': ['10.0.1.5'] };
  assert.match(disagreements(view(), [deaf]).join(), /w1: DNS tasks\.vote on front: .*10\.0\.1\.6/);

  const bare = witness('w1');
  bare.namespaces = [];
  assert.deepEqual(disagreements(view(), [bare]), [
    'w1: lb_frontid12 is not there',
    'w1: ingress_sbox is not there',
  ]);

  const waiting = view();
  waiting.services[0]?.tasks.pop();
  assert.match(disagreements(waiting, []).join(), /API: vote wants 2 tasks, 1 run/);
});

test('a node without a task on a network owes nothing on it', () => {
  const outside = witness('m1');
  outside.dns = {};
  outside.namespaces = outside.namespaces.filter(({ name }) => name === 'ingress_sbox');
  assert.deepEqual(disagreements(view(), [outside]), []);
});

test('a namespace is recognised as its overlay whatever its epoch, and no other name is', () => {
  const network = { id: 'fkp61mij4bertw2lfnbzxast4' };
  for (const name of ['1-fkp61mij4b', '12-fkp61mij4', '123-fkp61mij']) {
    assert.equal(withoutEpoch(name, [{ id: 'other' }, network]), overlayNamespace(network));
  }
  for (const name of ['1-fkp61mij4', '1-othernetwo', 'lb_fkp61mij4', 'ingress_sbox', 'd774cc528386']) {
    assert.equal(withoutEpoch(name, [network]), name);
  }
});
