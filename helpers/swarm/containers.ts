import { Inconclusive } from '../errors.ts';
import type { Node } from './node.ts';
import { runContainer } from './plain.ts';
import type { Swarm } from './swarm.ts';

/** A container that no service made, attached to an overlay. */
export interface LoneContainer {
  /** Container id. */
  id: string;
  node: string;
  /** The task that stands for its attachment: it belongs to no service, and the API lists it only when asked for such tasks. */
  task: string;
}

/**
 * Runs a container of the workload outside any service, as `docker run --network` does with an attachable overlay.
 *
 * @throws Inconclusive (lab) when it runs without such a task.
 */
export async function attachContainer(
  swarm: Swarm,
  node: Node,
  { name, network }: { name: string; network: string },
): Promise<LoneContainer> {
  const container = await runContainer(node, { name, network });
  const tasks = (await swarm.manager.api.listTasks({ filters: { runtime: ['attachment'] } })) as {
    ID: string;
    Spec: { NetworkAttachmentSpec?: { ContainerID?: string } };
  }[];
  const own = tasks.find(({ Spec }) => Spec.NetworkAttachmentSpec?.ContainerID === container.id);
  if (!own) throw new Inconclusive('lab', `no task stands for the attachment of ${name}`);
  return { id: container.id, node: node.name, task: own.ID };
}
