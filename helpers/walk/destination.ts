import type { NetworkView, ServiceView, SwarmView, TaskView } from '../swarm/view.ts';
import type { NodeSeen } from './evidence.ts';
import type { Route } from './routes.ts';

/** What a route leads to, as far as the Swarm's API tells. */
export type Destination =
  /** A virtual IP of a service on an overlay. */
  | { kind: 'virtual-ip'; service: ServiceView; network: NetworkView; vip: string }
  /** Tasks of a service by their own addresses on a network. */
  | { kind: 'tasks'; service: ServiceView; network: NetworkView; tasks: TaskView[] }
  /** A port of a node, published by a service or by none. */
  | { kind: 'port'; entry: string; port: number; published: Published | null }
  /** A name was asked for, and nothing else. */
  | { kind: 'name'; name: string };

/** A published port and the service that publishes it. */
export interface Published {
  service: ServiceView;
  target: number;
  mode: string;
}

/** What is known of a node before it is looked at. */
type Known = Pick<NodeSeen, 'name' | 'address'>;

/** Where a route leads; undefined for places outside of what services offer, such as a DNS server of the lab's own. */
export function destinationOf(
  { from, asked, outcomes }: Route,
  view: SwarmView,
  nodes: readonly Known[],
): Destination | undefined {
  if (asked.name !== undefined && asked.port === undefined) return { kind: 'name', name: asked.name };
  const addresses =
    asked.name === undefined ? asked.addresses : outcomes.flatMap(({ address }) => address ?? []);
  const [address] = addresses;
  // Of a name that was not resolved, the way ends at DNS.
  if (address === undefined) return asked.name === undefined ? undefined : { kind: 'name', name: asked.name };
  if (from.kind === 'process')
    for (const service of view.services)
      for (const network of view.networks)
        if (service.vips[network.name] === address && !network.ingress)
          return { kind: 'virtual-ip', service, network, vip: address };
  for (const service of view.services)
    for (const network of view.networks) {
      const tasks = service.tasks.filter((task) => addresses.includes(task.addresses[network.name] ?? ''));
      if (tasks.length > 0) return { kind: 'tasks', service, network, tasks };
    }
  const entry = nodes.find((node) => node.address === address);
  if (!entry || asked.port === undefined) return undefined;
  const { port, protocol } = asked;
  return { kind: 'port', entry: entry.name, port, published: publisherOf(view, port, protocol) };
}

function publisherOf({ services }: SwarmView, port: number, protocol: string): Published | null {
  for (const service of services)
    for (const { published, target, mode, ...own } of service.ports)
      if (published === port && own.protocol === protocol) return { service, target, mode };
  return null;
}

/** The node on which packets begin their way, or come into the Swarm. */
export function firstNode({ from }: Pick<Route, 'from'>, destination: Destination): string | undefined {
  if (destination.kind === 'port') return destination.entry;
  return from.kind === 'outsider' ? undefined : from.node;
}

/** Tasks to which the way may lead. */
export function tasksAt(destination: Destination): TaskView[] {
  if (destination.kind === 'name') return [];
  if (destination.kind === 'tasks') return destination.tasks;
  if (destination.kind === 'virtual-ip')
    return destination.service.tasks.filter(({ addresses }) => addresses[destination.network.name]);
  const { entry, published } = destination;
  const tasks = published?.service.tasks ?? [];
  return published?.mode === 'host' ? tasks.filter(({ node }) => node === entry) : tasks;
}

/** The overlay on the way; undefined where there is none. */
export function overlayAt(destination: Destination, { networks }: SwarmView): NetworkView | undefined {
  if (destination.kind === 'name') return undefined;
  if (destination.kind !== 'port') return destination.network;
  return destination.published?.mode === 'ingress' ? networks.find(({ ingress }) => ingress) : undefined;
}
