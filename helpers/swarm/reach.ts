import { sameMembers } from '../judge/sets.ts';
import { ECHO_HEADERS, type Echo } from '../observe/packets.ts';
import type { Packet } from '../observe/parse/pcap.ts';
import { endpoint, failed, type HttpSample, type UdpSample } from '../observe/probe.ts';
import type { NetworkOnNode } from './network.ts';
import type { Node } from './node.ts';
import { HTTP_PORT } from './services.ts';
import type { Swarm } from './swarm.ts';
import type { NetworkView, TaskView } from './view.ts';

/** Option under which the driver tells a network's VXLAN identifiers, one for each subnet (moby libnetwork/netlabel, OverlayVxlanIDList). */
const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';

/** The VXLAN identifiers a node was told for an overlay. */
export function vxlanIds({ options }: Pick<NetworkOnNode, 'options'>): number[] {
  return (options[VXLAN_IDS] ?? '')
    .split(',')
    .filter((id) => id !== '')
    .map(Number);
}

/** One question of a task to another, by its address. */
export interface Question {
  from: TaskView;
  to: TaskView;
  /** `tcp/80`, `udp/9000`, `icmp`. */
  by: string;
  /** Who answered, by host name, or what happened instead. */
  answer: string;
}

/** Ports of the workload that every task is asked on (helpers/lab/images/workload.pl). */
const TCP_PORTS = [80, 8081];
const UDP_PORT = 9000;
/** Payload of ping(8). */
const ECHO_BYTES = 56;

/**
 * Has every task ask every other by its address on a network: over TCP on two ports, over UDP, and by ICMP echo, all at once.
 *
 * @returns every question; an echo has no name in it and is answered by `reply`.
 */
export async function askEachOther(
  swarm: Swarm,
  tasks: readonly TaskView[],
  network: string,
): Promise<Question[]> {
  const address = (task: TaskView) => task.addresses[network] ?? 'none';
  const asked = tasks.map(async (from) => {
    const inside = swarm.inside(from);
    const others = tasks.filter(({ id }) => id !== from.id);
    const [tcp, udp, echoes] = await Promise.all([
      inside.probe({
        kind: 'http',
        to: others.flatMap((to) => TCP_PORTS.map((port) => endpoint(address(to), port))),
        parallel: others.length,
      }),
      inside.probe({ kind: 'udp', to: others.map((to) => endpoint(address(to), UDP_PORT)) }),
      inside.ping(others.map((to) => ({ to: address(to), bytes: ECHO_BYTES }))),
    ]);
    const sampled = (samples: readonly (HttpSample | UdpSample)[], to: TaskView, port: number) => {
      const sample = samples.find((one) => one.to === endpoint(address(to), port));
      if (!sample) return 'nothing';
      return failed(sample) ? `${sample.error} in ${sample.phase}` : (sample.container ?? 'not the workload');
    };
    return others.flatMap((to): Question[] => [
      ...TCP_PORTS.map((port) => ({ from, to, by: `tcp/${port}`, answer: sampled(tcp, to, port) })),
      { from, to, by: `udp/${UDP_PORT}`, answer: sampled(udp, to, UDP_PORT) },
      { from, to, by: 'icmp', answer: echoes.find((one) => one.to === address(to))?.result ?? 'nothing' },
    ]);
  });
  return (await Promise.all(asked)).flat();
}

/** What is wrong with the answers, one line each. */
export function unanswered(questions: readonly Question[]): string[] {
  return questions
    .filter(({ to, by, answer }) => answer !== (by === 'icmp' ? 'reply' : to.container.slice(0, 12)))
    .map(({ from, to, by, answer }) => `${placed(from)} asked ${placed(to)} by ${by}: ${answer}`);
}

function placed({ containerName, node }: TaskView): string {
  return `${containerName.split('.').slice(0, 1).join('.')} on ${node}`;
}

/** Virtual IPs on a network that do not answer a task of their service as often as it has tasks, one line each. */
export async function unansweredVips(swarm: Swarm, network: string): Promise<string[]> {
  const { services } = await swarm.view();
  const asked = services.map(async ({ name, vips, tasks: [from, ...more] }) => {
    const vip = vips[network];
    if (!vip) return [];
    if (!from) return [`${name}: no task runs`];
    const to = endpoint(vip, HTTP_PORT);
    const samples = await swarm.inside(from).probe({ kind: 'http', to, count: 1 + more.length });
    const expected = [from, ...more].map(({ container }) => container.slice(0, 12));
    const answers = samples.map((one) => (failed(one) ? one.error : (one.container ?? 'not the workload')));
    const judgement = sameMembers(expected, answers);
    return judgement.ok ? [] : [`${name}: expected ${judgement.expected}, saw ${judgement.seen}`];
  });
  return (await Promise.all(asked)).flat();
}

/** What an overlay makes of large packets, see {@link atTheEdge}. */
export interface Edge {
  /** MTU by interface: of each task, and of bridge, VXLAN and ports in the network's own namespace on each node. */
  mtus: Record<string, number>;
  /** Echo requests that are never fragmented, between tasks of different nodes; one that is not answered is sent up to three times, `sent` in all. */
  echoes: (Echo & { from: string; sent: number })[];
  /** Packets on the uplinks, during all of this, that carry part of another: the network's own packets have to fit whole. */
  fragments: string[];
  /** Bytes that arrived of each large answer, between tasks of different nodes. */
  transfers: Record<string, number | string>;
}

/** Size of an answer that takes hundreds of full packets. */
export const LARGE_ANSWER = 1024 * 1024;

/** Ours: a datagram may be lost, or be late on a slow host, whatever its size; of a size that does not pass, each one is. */
const ECHO_REQUESTS = 3;

/**
 * Looks at an overlay's MTU: at its interfaces, at echo requests of exactly that size, one byte less and one byte more, and at
 * large answers, between all tasks on different nodes, in both directions.
 *
 * @param mtu what the MTU shall be.
 */
export async function atTheEdge(
  swarm: Swarm,
  network: NetworkView,
  tasks: readonly TaskView[],
  mtu: number,
): Promise<Edge> {
  const address = (task: TaskView) => task.addresses[network.name] ?? 'none';
  const elsewhere = (from: TaskView) => tasks.filter(({ node }) => node !== from.node);
  const mtus: Edge['mtus'] = {};
  for (const task of tasks) {
    const { links = [] } = await swarm.taskNamespace(task, ['links']);
    const own = links.find(({ addresses }) => addresses.some((one) => one.address === address(task)));
    mtus[`${placed(task)}: ${own?.name ?? 'no interface'}`] = own?.mtu ?? 0;
    for (const link of (await swarm.overlay(task.node, network, ['links'])).links ?? [])
      if (link.name !== 'lo') mtus[`overlay on ${task.node}: ${link.name}`] = link.mtu;
  }
  const fits = mtu - ECHO_HEADERS;
  const ping = async (from: TaskView) => {
    const targets = elsewhere(from).flatMap((to) =>
      [fits - 1, fits, fits + 1].map((bytes) => ({ to: address(to), bytes })),
    );
    const ask = async (what: typeof targets, sent: number) =>
      (await swarm.inside(from).ping(what)).map((echo) => ({ ...echo, from: address(from), sent }));
    let echoes = await ask(targets, 1);
    for (let sent = 2; sent <= ECHO_REQUESTS; sent += 1) {
      const silent = echoes.filter(({ result }) => result === 'timeout');
      if (silent.length === 0) break;
      const again = await ask(silent, sent);
      echoes = echoes.map((echo) => again[silent.indexOf(echo)] ?? echo);
    }
    return echoes;
  };
  const transfer = async (from: TaskView) => {
    const to = elsewhere(from).map((one) => endpoint(address(one), TCP_PORTS[0] ?? 0));
    const samples = await swarm
      .inside(from)
      .probe({ kind: 'http', to, path: `/bytes?n=${LARGE_ANSWER}`, timeoutMs: 20_000 });
    return samples.map((sample) => [
      `${address(from)} from ${sample.to}`,
      failed(sample) ? `${sample.error} in ${sample.phase}` : sample.bytes,
    ]);
  };
  // Of a packet in pieces only the first has ports, so pieces are asked for by offset and "more fragments" (RFC 791). Nothing else is
  // kept: of the large answers it would be more than a console carries.
  const { packets, result } = await swarm.uplinks('ip[6:2] & 0x3fff != 0', async () => ({
    echoes: await Promise.all(tasks.map(ping)),
    transfers: await Promise.all(tasks.map(transfer)),
  }));
  return {
    mtus,
    echoes: result.echoes.flat(),
    fragments: Object.entries(packets).flatMap(([node, seen]) =>
      seen.filter(({ ip }) => ip?.fragment).map(({ ip }) => `${node}: ${ip?.from} > ${ip?.to}`),
    ),
    transfers: Object.fromEntries(result.transfers.flat()),
  };
}

/** The ways between a node and the others, both ways, as {@link endsOf} writes them. */
export function waysBetween(node: Pick<Node, 'name' | 'address'>, nodes: readonly Node[]): string[] {
  return nodes
    .filter(({ name }) => name !== node.name)
    .flatMap(({ address }) => [`${node.address} > ${address}`, `${address} > ${node.address}`]);
}

/** Between which addresses packets passed, each way once. */
export function endsOf(packets: readonly Packet[]): string[] {
  return [...new Set(packets.map(({ ip }) => `${ip?.from} > ${ip?.to}`))];
}
