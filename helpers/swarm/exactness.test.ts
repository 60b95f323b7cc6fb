import assert from 'node:assert/strict';
import test from 'node:test';
import { generationOf } from '../catalogue/catalogue.ts';
import type { NamespaceState } from '../observe/node.ts';
import { parseForwarding } from '../observe/parse/bridge-fdb.ts';
import { parseIpAddresses } from '../observe/parse/ip-address.ts';
import { parseNeighbours } from '../observe/parse/ip-neighbour.ts';
import { parseIptablesSave } from '../observe/parse/iptables.ts';
import { parseIpvsTable } from '../observe/parse/ipvsadm.ts';
import { inexact, type NodeTables } from './exactness.ts';
import type { SwarmView, TaskView } from './view.ts';

/** Two nodes with a task each, on an overlay and behind a published port. */
const NODES = [
  { node: 'w1', address: '192.168.83.21', task: '10.0.1.5', balancer: '10.0.1.20', ingress: '10.0.0.8' },
  { node: 'w2', address: '192.168.83.22', task: '10.0.1.6', balancer: '10.0.1.21', ingress: '10.0.0.9' },
] as const;

const view = {
  networks: [
    { id: 'ingressidabc', name: 'ingress', subnet: '10.0.0.0/24', ingress: true },
    { id: 'frontid123456', name: 'front', subnet: '10.0.1.0/24', ingress: false },
  ],
  services: [
    {
      id: 'service',
      name: 'vote',
      endpointMode: 'vip',
      replicas: 2,
      vips: { front: '10.0.1.2', ingress: '10.0.0.3' },
      ports: [{ published: 8080, target: 80, protocol: 'tcp', mode: 'ingress' }],
      networks: ['front'],
      tasks: NODES.map(
        ({ node, task, ingress }, i): TaskView => ({
          id: `task${i}`,
          service: 'vote',
          slot: i + 1,
          node,
          container: `c${i}`,
          containerName: `vote.${i + 1}.task${i}`,
          pid: 100 + i,
          addresses: { front: task, ingress },
        }),
      ),
    },
  ],
  nodes: [],
} as unknown as SwarmView;

const ipvs = (...services: readonly [mark: number, servers: string][]) =>
  parseIpvsTable(
    `IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n${services
      .map(([mark, servers]) => `FWM  ${mark} rr\n${servers.split(' ').filter(Boolean).map(server).join('')}`)
      .join('')}`,
  );

/** `10.0.1.5` has weight 1, `10.0.1.5*0` weight 0. */
function server(text: string): string {
  const [address, weight = 1] = text.split('*');
  return `  -> ${address}:0                   Masq    ${weight}      0          0\n`;
}

const mangle = (...rules: readonly string[]) =>
  parseIptablesSave(`*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n${rules.join('\n')}\nCOMMIT\n`);
const MARK_VIP = '-A INPUT -d 10.0.1.2/32 -j MARK --set-xmark 0x101/0xffffffff';
const MARK_PORT = '-A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x100/0xffffffff';

const link = (address: string) =>
  parseIpAddresses(
    JSON.stringify([
      {
        ifindex: 9,
        ifname: 'eth0',
        flags: ['UP'],
        mtu: 1450,
        link_type: 'ether',
        address: macOf(address),
        addr_info: [
          { family: 'inet', local: address, prefixlen: 24 },
          { family: 'inet', local: '10.0.1.2', prefixlen: 32 },
        ],
      },
    ]),
  );

function macOf(address: string): string {
  return `02:42:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;
}

/** What the overlay's namespace knows of endpoints behind another node; further lines are added to the forwarding alone. */
const overlay = (name: string, behind: string, endpoints: readonly string[], more: object[] = []) => ({
  name,
  inode: 7,
  neighbours: parseNeighbours(
    JSON.stringify(
      endpoints.map((dst) => ({ dst, dev: 'vxlan0', lladdr: macOf(dst), state: ['PERMANENT'] })),
    ),
  ),
  forwarding: parseForwarding(
    JSON.stringify([
      { mac: '33:33:00:00:00:01', ifname: 'br0', flags: ['self'], state: 'permanent' },
      ...endpoints.map((one) => ({ mac: macOf(one), ifname: 'vxlan0', dst: behind, state: 'permanent' })),
      ...more,
    ]),
  ),
});

/** A node's tables as they are when all is well, with a namespace put in place of another one. */
function tables(i: 0 | 1, changed?: Partial<NamespaceState> & { name: string }): NodeTables {
  const [mine, other] = [NODES[i], NODES[1 - i] as (typeof NODES)[number]];
  const namespaces: NamespaceState[] = [
    {
      name: 'lb_frontid12',
      inode: 1,
      rules: mangle(MARK_VIP),
      ipvs: ipvs([257, '10.0.1.5 10.0.1.6']),
      links: link(mine.balancer),
    },
    {
      name: 'ingress_sbox',
      inode: 2,
      rules: mangle(MARK_PORT),
      ipvs: ipvs([256, '10.0.0.8 10.0.0.9']),
      links: [],
    },
    overlay('1-frontid123', other.address, [other.task, other.balancer]),
    overlay('1-ingressida', other.address, [other.ingress]),
  ];
  return {
    node: mine.node,
    address: mine.address,
    generation: generationOf('26.1.5'),
    namespaces: namespaces.map((one) => (one.name === changed?.name ? { ...one, ...changed } : one)),
  };
}

test('nothing is said of a Swarm whose tables hold what its tasks need', () => {
  assert.deepEqual(inexact(view, [tables(0), tables(1)]), []);
});

const [W1, W2] = NODES;
for (const [what, changed, said] of [
  [
    'a real server that gets nothing any more',
    { name: 'lb_frontid12', ipvs: ipvs([257, '10.0.1.5 10.0.1.6 10.0.1.7*0']) },
    /^w2: lb_frontid12: real servers of vote, of any weight: .*10\.0\.1\.7/,
  ],
  [
    'an IPVS service without a rule',
    { name: 'ingress_sbox', ipvs: ipvs([256, '10.0.0.8 10.0.0.9'], [300, '']) },
    /^w2: ingress_sbox: IPVS service FWM 300, which nothing is marked for$/,
  ],
  [
    'a rule for a virtual IP that nobody has',
    {
      name: 'lb_frontid12',
      rules: mangle(MARK_VIP, '-A INPUT -d 10.0.1.9/32 -j MARK --set-xmark 0x105/0xffffffff'),
    },
    /^w2: lb_frontid12: what is marked: .*10\.0\.1\.9/,
  ],
  [
    'a second rule for the same virtual IP',
    { name: 'lb_frontid12', rules: mangle(MARK_VIP, MARK_VIP) },
    /^w2: lb_frontid12: what is marked: /,
  ],
  [
    'a rule for a port that nobody publishes',
    { name: 'ingress_sbox', rules: mangle(MARK_PORT, MARK_PORT.replace('8080', '8081')) },
    /^w2: ingress_sbox: what is marked: .*tcp 8081/,
  ],
  [
    'an endpoint that is gone',
    overlay('1-frontid123', W1.address, [W1.task, W1.balancer, '10.0.1.77']),
    /^w2: endpoints of front on other nodes: .*10\.0\.1\.77 at 192\.168\.83\.21/,
  ],
  [
    'an endpoint that is looked for elsewhere',
    overlay('1-ingressida', '192.168.83.99', [W1.ingress]),
    /^w2: endpoints of ingress on other nodes: .*10\.0\.0\.8 at 192\.168\.83\.99/,
  ],
  [
    'a balancer of another node that is not known',
    overlay('1-frontid123', W1.address, [W1.task]),
    /^w2: endpoints of front on other nodes: expected .*10\.0\.1\.20 at 192\.168\.83\.21/,
  ],
  [
    'a hardware address that no neighbour has',
    overlay(
      '1-frontid123',
      W1.address,
      [W1.task, W1.balancer],
      [{ mac: '02:42:0a:00:01:4d', ifname: 'vxlan0', dst: W1.address, state: 'permanent' }],
    ),
    /^w2: endpoints of front on other nodes: .*02:42:0a:00:01:4d at 192\.168\.83\.21/,
  ],
] as const) {
  test(`told with its node: ${what}`, () => {
    const problems = inexact(view, [tables(0), tables(1, changed)]);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', said);
  });
}

test('what is left of a node that is gone is told by those that remain', () => {
  const moved = {
    ...view,
    services: view.services.map((one) => ({
      ...one,
      tasks: one.tasks.filter(({ node }) => node === W2.node),
    })),
  };
  const problems = inexact(moved, [tables(1)]).join('\n');
  for (const address of [W1.task, W1.balancer, W1.ingress])
    assert.match(problems, new RegExp(`${address} at ${W1.address}`));
  assert.match(problems, /real servers of vote, of any weight: .*10\.0\.1\.5/);
});

test('a service without tasks is due nowhere', () => {
  const idle = { ...view, services: view.services.map((one) => ({ ...one, tasks: [] })) };
  assert.match(inexact(idle, [tables(0)]).join('\n'), /what is marked: .*10\.0\.1\.2/);
});

test('an overlay is missed where tasks are on it, and nowhere else', () => {
  assert.deepEqual(inexact(view, [{ ...tables(0), namespaces: [] }]), [
    'w1: no namespace of ingress',
    'w1: no namespace of front',
  ]);
  assert.deepEqual(inexact(view, [{ ...tables(0), node: 'm1', namespaces: [] }]), []);
});
