import type { NamespaceState } from '../../observe/node.ts';
import type { Link } from '../../observe/parse/ip-address.ts';
import { parseIptablesSave } from '../../observe/parse/iptables.ts';
import { parseIpvsStats, parseIpvsTable } from '../../observe/parse/ipvsadm.ts';
import type { NetworkView, ServiceView, SwarmView, TaskView } from '../../swarm/view.ts';
import type { NodeSeen, Outcome, WalkEvidence } from '../evidence.ts';

/*
 * A small Swarm in which everything is as it shall be, for tests of walks: written as the tools print it and as recordings of
 * real engines show it (fixtures/recordings), with few enough parts that a test can say what it breaks.
 */

const FRONT: NetworkView = {
  id: 'frontabcdefghijklmnopqrst',
  name: 'front',
  subnet: '10.0.1.0/24',
  ingress: false,
};
const INGRESS: NetworkView = {
  id: 'meshabcdefghijklmnopqrstu',
  name: 'ingress',
  subnet: '10.0.0.0/24',
  ingress: true,
};

const ADDRESSES: Record<string, string> = { m1: '192.168.83.11', w1: '192.168.83.21', w2: '192.168.83.22' };

let pid = 100;
function task(service: string, slot: number, node: string, addresses: Record<string, string>): TaskView {
  pid += 1;
  const id = `${service}${slot}task`;
  const container = `${service.slice(0, 4)}${slot}`.padEnd(64, 'a0');
  return { id, service, slot, node, container, containerName: `${service}.${slot}.${id}`, pid, addresses };
}

function service(name: string, tasks: TaskView[], more: Partial<ServiceView> = {}): ServiceView {
  const base = {
    id: `${name}id`,
    name,
    endpointMode: 'vip',
    replicas: tasks.length,
    vips: {},
    ports: [],
  } as const;
  return { ...base, vips: {}, ports: [], networks: ['front'], tasks, ...more };
}

export const CLIENT = task('client', 1, 'w2', { front: '10.0.1.3' });
/** Behind the virtual IP 10.0.1.7: one task beside the client, one elsewhere. */
const TWO = [task('two', 1, 'w1', { front: '10.0.1.8' }), task('two', 2, 'w2', { front: '10.0.1.9' })];
const NAMED = [
  task('named', 1, 'w1', { front: '10.0.1.18' }),
  task('named', 2, 'w2', { front: '10.0.1.19' }),
];
const VOTE = [
  task('vote', 1, 'w1', { front: '10.0.1.28', ingress: '10.0.0.6' }),
  task('vote', 2, 'w2', { front: '10.0.1.29', ingress: '10.0.0.7' }),
];
const HOSTED = [task('hosted', 1, 'w1', { front: '10.0.1.38' })];

export const VIP = '10.0.1.7';

const VIEW: SwarmView = {
  networks: [FRONT, INGRESS],
  services: [
    service('client', [CLIENT], { vips: { front: '10.0.1.2' } }),
    service('two', TWO, { vips: { front: VIP } }),
    service('named', NAMED, { endpointMode: 'dnsrr' }),
    service('vote', VOTE, {
      vips: { front: '10.0.1.27', ingress: '10.0.0.5' },
      ports: [{ published: 8080, target: 80, protocol: 'tcp', mode: 'ingress' }],
    }),
    service('hosted', HOSTED, {
      vips: { front: '10.0.1.37' },
      ports: [{ published: 8093, target: 80, protocol: 'tcp', mode: 'host' }],
    }),
  ],
  nodes: Object.keys(ADDRESSES).map((name) => ({ id: `${name}id`, name })),
};

const OUTSIDER = { kind: 'outsider', address: '192.168.83.200' } as const;
const INSIDE = { kind: 'process', node: CLIENT.node, pid: CLIENT.pid, what: 'client.1' } as const;

/** The client asks `two` by its virtual IP. */
export function virtualIpWalk(): WalkEvidence {
  return evidence(INSIDE, { protocol: 'tcp', addresses: [VIP], port: 80 }, answers(TWO, VIP));
}

/** The client resolves `named`, which has no virtual IP, and asks the first address. */
export function namedWalk(): WalkEvidence {
  const outcomes = NAMED.map((one) => ({
    times: 3,
    address: one.addresses.front ?? '',
    answers: NAMED.map(({ addresses }) => addresses.front ?? ''),
    container: hostName(one),
  }));
  return evidence(INSIDE, { protocol: 'tcp', addresses: [], name: 'named', port: 80 }, outcomes);
}

/** The client resolves `named` and asks nobody. */
export function dnsWalk(): WalkEvidence {
  const all = NAMED.map(({ addresses }) => addresses.front ?? '');
  return evidence(INSIDE, { protocol: 'udp', addresses: [], name: 'named' }, [{ times: 4, answers: all }]);
}

/** Somebody outside asks m1, which runs no task, for the port that `vote` publishes. */
export function meshWalk(): WalkEvidence {
  const at = ADDRESSES.m1 ?? '';
  return evidence(OUTSIDER, { protocol: 'tcp', addresses: [at], port: 8080 }, answers(VOTE, at));
}

/** Somebody outside asks w1 for the port that `hosted` publishes there alone. */
export function hostWalk(): WalkEvidence {
  const at = ADDRESSES.w1 ?? '';
  return evidence(OUTSIDER, { protocol: 'tcp', addresses: [at], port: 8093 }, answers(HOSTED, at));
}

/** Every kind of walk there is. */
export const WALKS = { virtualIpWalk, namedWalk, dnsWalk, meshWalk, hostWalk };

/** What was seen of one node. @throws RangeError when the example has none of that name. */
export function nodeIn({ nodes }: WalkEvidence, name: string): NodeSeen {
  const found = nodes.find((node) => node.name === name);
  if (!found) throw new RangeError(`the example has no node ${name}`);
  return found;
}

/** Lets the requests that went to a task time out. */
export function silence({ outcomes }: WalkEvidence, slot: number): void {
  for (const outcome of outcomes.filter(({ container }) => container?.includes(`${slot}`))) {
    delete outcome.container;
    outcome.error = 'timeout in connect';
  }
}

function evidence(
  from: WalkEvidence['from'],
  asked: WalkEvidence['asked'],
  outcomes: Outcome[],
): WalkEvidence {
  const nodes = Object.keys(ADDRESSES).map((name) => seen(name, asked.port));
  return structuredClone({ at: Date.UTC(2026, 10, 24, 19, 0, 0), from, asked, outcomes, view: VIEW, nodes });
}

function answers(tasks: readonly TaskView[], address: string): Outcome[] {
  return tasks.map((one) => ({
    times: 3,
    address,
    container: hostName(one),
    source: `${address === VIP ? '10.0.1.3' : OUTSIDER.address}:40000`,
    peer: '10.0.1.12:40000',
  }));
}

function hostName({ container }: TaskView): string {
  return container.slice(0, 12);
}

function seen(name: string, port: number | undefined): NodeSeen {
  const own = VIEW.services.flatMap(({ tasks }) => tasks).filter((one) => one.node === name);
  const mesh = port === 8080;
  return {
    name,
    address: ADDRESSES[name] ?? '',
    markChain: 'INPUT',
    host: hostState(),
    balancer: mesh ? ingressState() : balancerState(),
    overlay: overlayState(name, mesh ? 'ingress' : 'front'),
    processes: Object.fromEntries(own.map((one) => [one.pid, taskState(one)])),
  };
}

function hostState(): NamespaceState {
  return {
    name: 'host',
    inode: 1,
    rules: rules(
      'nat',
      ':PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-INGRESS - [0:0]',
      '[21:1998] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS',
      '[35:3003] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '[4:240] -A DOCKER ! -i docker_gwbridge -p tcp -m tcp --dport 8093 -j DNAT --to-destination 172.18.0.5:80',
      '[6:360] -A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:8080',
      '[15:1638] -A DOCKER-INGRESS -j RETURN',
    ),
  };
}

function balancerState(): NamespaceState {
  return {
    name: 'lb_frontabcd',
    inode: 2,
    links: [link('eth0', '02:42:0a:00:01:0c', ['10.0.1.12/24', `${VIP}/32`])],
    ...balancing(
      259,
      ['10.0.1.8', '10.0.1.9'],
      `[33:2124] -A INPUT -d ${VIP}/32 -j MARK --set-xmark 0x103/0xffffffff`,
      '[16:960] -A POSTROUTING -d 10.0.1.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.1.12',
    ),
  };
}

function ingressState(): NamespaceState {
  return {
    name: 'ingress_sbox',
    inode: 3,
    links: [
      link('eth0', '02:42:0a:00:00:04', ['10.0.0.4/24', '10.0.0.5/32']),
      link('eth1', '02:42:ac:12:00:02', ['172.18.0.2/16']),
    ],
    ...balancing(
      262,
      ['10.0.0.6', '10.0.0.7'],
      '[30:1986] -A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x106/0xffffffff',
      '[6:360] -A POSTROUTING -d 10.0.0.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.0.4',
    ),
  };
}

function balancing(mark: number, servers: readonly string[], marking: string, snat: string) {
  const head = 'IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port';
  return {
    rules: parseIptablesSave(
      `*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n${marking}\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\n${snat}\nCOMMIT\n`,
    ),
    ipvs: parseIpvsTable(
      `${head} Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nFWM  ${mark} rr\n${servers
        .map((address) => `  -> ${address}:0                  Masq    1      0          3         `)
        .join('\n')}\n`,
    ),
    stats: parseIpvsStats(
      `${head}               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port\nFWM  ${mark}                                 6       22       22     1416     2564\n${servers
        .map((address) => `  -> ${address}:0                          3       11       11      708     1280`)
        .join('\n')}\n`,
    ),
  };
}

function overlayState(node: string, network: string): NamespaceState {
  const remote = VIEW.services
    .flatMap(({ tasks }) => tasks)
    .filter((one) => one.node !== node)
    .flatMap((one) =>
      one.addresses[network] ? [{ address: one.addresses[network], on: ADDRESSES[one.node] ?? '' }] : [],
    );
  return {
    name: network === 'front' ? '1-frontabcde' : '1-meshabcdef',
    inode: 4,
    links: [
      {
        ...link('vxlan0', '4a:6c:4e:84:8a:92', []),
        kind: 'vxlan',
        vxlan: { vni: network === 'front' ? 4097 : 4096, port: 4789 },
      },
    ],
    neighbours: remote.map(({ address }) => ({
      address,
      link: 'vxlan0',
      mac: macOf(address),
      states: ['PERMANENT'],
    })),
    forwarding: remote.map(({ address, on }) => ({
      mac: macOf(address),
      link: 'vxlan0',
      node: on,
      state: 'permanent',
    })),
  };
}

function taskState(own: TaskView): NamespaceState {
  const published = own.addresses.ingress;
  const inner = own.service === 'hosted' ? '172.18.0.5/16' : '172.18.0.9/16';
  return {
    name: `/proc/${own.pid}/ns/net`,
    inode: own.pid,
    links: [
      ...Object.values(own.addresses).map((address, i) => link(`eth${i}`, macOf(address), [`${address}/24`])),
      link('eth9', '02:42:ac:12:00:05', [inner]),
    ],
    rules: rules(
      'nat',
      ':PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER_OUTPUT - [0:0]',
      ...(published
        ? [`[3:180] -A PREROUTING -d ${published}/32 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80`]
        : []),
      '[9:540] -A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT',
      '[9:540] -A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40689',
    ),
  };
}

/** A table with its chains and rules, as iptables-save -c prints it. */
export function rules(table: string, chains: string, ...lines: string[]) {
  return parseIptablesSave(`*${table}\n${chains}\n${lines.join('\n')}\nCOMMIT\n`);
}

function link(name: string, mac: string, addresses: readonly string[]): Link {
  return {
    name,
    index: 1,
    mtu: 1450,
    mac,
    up: true,
    addresses: addresses.map((one) => {
      const [address = '', prefix] = one.split('/');
      return { address, prefix: Number(prefix) };
    }),
  };
}

/** An endpoint's hardware address follows from its IP address (moby libnetwork/netutils, GenerateMACFromIP). */
function macOf(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `02:42:${bytes.join(':')}`;
}
