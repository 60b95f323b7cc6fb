import { HOST, type NamespaceState, processNamespace, type Reading } from '../observe/node.ts';
import { lbNamespace, overlayNamespace, withoutEpoch } from '../swarm/agreement.ts';
import type { Node } from '../swarm/node.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { NetworkView, SwarmView } from '../swarm/view.ts';
import { type Destination, destinationOf, firstNode, overlayAt, tasksAt } from './destination.ts';
import type { NodeSeen, WalkEvidence } from './evidence.ts';
import type { Route } from './routes.ts';

/** How much is looked at. */
export interface Depth {
  /**
   * Whether every namespace on the way is read, on all nodes. Otherwise only where the way is chosen, on the first node: the
   * balancer, the rules of a published port and the overlay's table of nodes, which costs one command there.
   */
  thorough: boolean;
}

/**
 * Looks at the nodes on a route's way, one command on each, all at once. Nodes whose engines we ended are left out.
 *
 * @throws Inconclusive (observer) when a node cannot be read.
 */
export async function collect(
  swarm: Swarm,
  route: Route,
  view: SwarmView,
  { thorough }: Depth,
): Promise<WalkEvidence> {
  const nodes = knownNodes(swarm);
  const goal = destinationOf(route, view, nodes);
  const at = Date.now();
  if (!goal) return { at, ...route, view, nodes };
  const seen = await Promise.all(
    nodes.map(async (known) => {
      const node = swarm.everyone.find(({ name }) => name === known.name);
      const places = node?.up ? placesOn(node, route, goal, view, thorough) : undefined;
      return node && places ? { ...known, ...(await look(node, places)) } : known;
    }),
  );
  return { at, ...route, view, nodes: seen };
}

/** The lab's nodes before they are looked at. */
export function knownNodes({ everyone }: Pick<Swarm, 'everyone'>): NodeSeen[] {
  return everyone.map(({ name, address, generation }) => ({
    name,
    address,
    markChain: generation.vipMark.chain,
  }));
}

/** What of a node is on the way. */
interface Places {
  /** File of the balancer's namespace. */
  balancer?: string;
  overlay?: NetworkView;
  /** Whether packets leave over the overlay here, so that its table of nodes matters. */
  leaves: boolean;
  host: boolean;
  processes: number[];
}

function placesOn(
  node: Node,
  route: Route,
  goal: Destination,
  view: SwarmView,
  thorough: boolean,
): Places | undefined {
  const first = firstNode(route, goal) === node.name;
  const tasks = tasksAt(goal).filter((task) => task.node === node.name);
  if (!first && (tasks.length === 0 || !thorough)) return undefined;
  const overlay = overlayAt(goal, view);
  const client = route.from.kind === 'process' && route.from.node === node.name ? [route.from.pid] : [];
  // Engines without a balancer of a known name mark packets elsewhere; then nothing is said of it.
  const balances =
    first &&
    overlay &&
    goal.kind !== 'tasks' &&
    (overlay.ingress || node.generation.lbNamespaceName?.of === 'network');
  return {
    ...(balances && { balancer: lbNamespace(overlay, node.generation) }),
    ...(overlay && { overlay }),
    leaves: first,
    host: goal.kind === 'port' ? first || thorough : thorough,
    processes: thorough ? [...new Set([...client, ...tasks.map(({ pid }) => pid)])] : [],
  };
}

async function look(
  node: Node,
  { balancer, overlay, leaves, host, processes }: Places,
): Promise<Partial<NodeSeen>> {
  const readings: Reading[] = [
    ...(balancer ? [{ which: [balancer], aspects: ['ipvs', 'stats', 'rules', 'links'] } as const] : []),
    // Its whole name depends on what the engine has done before, see withoutEpoch.
    ...(overlay
      ? [
          {
            which: [`[0-9]*-${overlay.id.slice(0, SHORT_ID)}*`],
            aspects: leaves ? (['links', 'forwarding', 'neighbours'] as const) : (['links'] as const),
          },
        ]
      : []),
    ...(host ? [{ which: [HOST], aspects: ['rules'] } as const] : []),
    ...(processes.length > 0
      ? [{ which: processes.map(processNamespace), aspects: ['rules', 'links'] } as const]
      : []),
  ];
  if (readings.length === 0) return {};
  const states = await node.read(readings);
  const named = (name: string): NamespaceState | null => states.find((state) => state.name === name) ?? null;
  return {
    ...(balancer && { balancer: named(balancer) }),
    ...(overlay && {
      overlay: states.find(({ name }) => withoutEpoch(name, [overlay]) === overlayNamespace(overlay)) ?? null,
    }),
    ...(host && { host: named(HOST) }),
    ...(processes.length > 0 && {
      processes: Object.fromEntries(processes.map((pid) => [pid, named(processNamespace(pid))])),
    }),
  };
}

/** So much of a network's id is in its namespace's name whatever the epoch before it: 12 characters less three digits and a dash. */
const SHORT_ID = 8;
