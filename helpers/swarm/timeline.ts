import type { IpvsChange } from '../observe/parse/ipvs-changes.ts';
import type { DnsSample } from '../observe/probe.ts';
import { lbNamespace } from './agreement.ts';
import { type Ongoing, together } from './meanwhile.ts';
import { EMBEDDED_DNS } from './network.ts';
import type { Node } from './node.ts';
import type { Swarm } from './swarm.ts';
import type { NetworkView, ServiceView } from './view.ts';

/** Key of what a balancer showed in {@link balancersOverTime}. */
export function tableOf(network: Pick<NetworkView, 'name'>, node: Pick<Node, 'name'>): string {
  return `${network.name} on ${node.name}`;
}

/** The balancers of networks on every node, whenever they change, for `meanwhile`; by {@link tableOf}. All nodes must take part. */
export function balancersOverTime(
  { nodes }: Swarm,
  networks: readonly NetworkView[],
): Ongoing<Record<string, IpvsChange[]>> {
  const tables = nodes.flatMap((node) =>
    networks.map(
      (network) =>
        [tableOf(network, node), node.ipvsOverTime(lbNamespace(network, node.generation))] as const,
    ),
  );
  return together(Object.fromEntries(tables));
}

/** What the tasks of a service hear for names, one on each node, twice a second, for `meanwhile`; by node. They have to live that long. */
export function namesOverTime(
  swarm: Swarm,
  askers: Pick<ServiceView, 'tasks'>,
  names: readonly string[],
): Ongoing<Record<string, DnsSample[]>> {
  const questions = names.map((name) => ({ name, type: 'A' as const }));
  const heard = askers.tasks.map(
    (task) =>
      [
        task.node,
        swarm.inside(task).sending({ kind: 'dns', server: EMBEDDED_DNS, questions, intervalMs: 500 }),
      ] as const,
  );
  return together(Object.fromEntries(heard));
}

/** How a server's weight went, in the order and at the times in which that was seen; without a weight it is not in the table. */
export function weightsOf(
  table: readonly IpvsChange[],
  address: string,
): { at: number; weight: number | undefined }[] {
  return table
    .map(({ at, servers }) => ({ at, weight: servers.find((server) => server.address === address)?.weight }))
    .filter(({ weight }, i, all) => i === 0 || weight !== all[i - 1]?.weight);
}
