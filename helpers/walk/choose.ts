import type { SwarmView } from '../swarm/view.ts';
import { type Destination, destinationOf, firstNode, tasksAt } from './destination.ts';
import type { NodeSeen } from './evidence.ts';
import { failuresOf, type Route } from './routes.ts';

/** Which routes are worth telling, the most telling first; those that lead nowhere known are left out. */
export interface Wanted {
  /** Whether the clause passed: then where packets go is of interest, otherwise where they do not. */
  passed: boolean;
  /** The node on which the clause saw something wrong. */
  node?: string | undefined;
  most: number;
}

/** Longer ways tell more. */
const LENGTH: Record<Destination['kind'], number> = { port: 3, 'virtual-ip': 2, tasks: 1, name: 0 };

/** The most telling of some routes, as many as are wanted. */
export function choose(
  routes: readonly Route[],
  view: SwarmView,
  nodes: readonly Pick<NodeSeen, 'name' | 'address'>[],
  { passed, node, most }: Wanted,
): Route[] {
  const known = routes.flatMap((route, used) => {
    const goal = destinationOf(route, view, nodes);
    if (!goal) return [];
    const first = firstNode(route, goal);
    const fails = failuresOf(route) > 0;
    const onward = tasksAt(goal).filter((task) => task.node !== first).length;
    const merits = passed
      ? [fails ? 0 : 1, LENGTH[goal.kind], onward, used]
      : [fails ? 1 : 0, first === node ? 1 : 0, LENGTH[goal.kind], used];
    return [{ route, merits }];
  });
  const better = (a: readonly number[], b: readonly number[]) =>
    a.map((merit, i) => (b[i] ?? 0) - merit).find((difference) => difference !== 0) ?? 0;
  return known
    .toSorted((a, b) => better(a.merits, b.merits))
    .slice(0, most)
    .map(({ route }) => route);
}
