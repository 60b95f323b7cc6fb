import { imageName } from '../engine/images.ts';
import { messageOf } from '../errors.ts';
import { promptly } from '../waiting.ts';
import { ANSWER_MS } from './membership.ts';
import type { Node } from './node.ts';
import type { ApiPart } from './services.ts';
import { laidOver } from './services.ts';

/** A container that no service made, as its engine shows it. */
export interface Standalone {
  running: boolean;
  /** When it was started last, and how often its engine started it again. */
  startedAt: string;
  restarts: number;
  pid: number;
}

/**
 * Runs a container of the workload outside any service, as `docker run -d` does.
 *
 * @param also laid over the request (POST /containers/create), such as a network or a restart policy.
 * @returns its id.
 */
export async function runStandalone(node: Node, also: ApiPart = {}): Promise<string> {
  const container = await node.api.createContainer(laidOver({ Image: imageName('workload') }, also) as never);
  await container.start();
  return container.id;
}

/** Asks a node's engine for such a container. @returns why there is no answer where there is none within 10 s. */
export async function viewStandalone(node: Node, id: string): Promise<Standalone | string> {
  try {
    const { State, RestartCount } = await promptly(node.api.getContainer(id).inspect(), ANSWER_MS);
    return { running: State.Running, startedAt: State.StartedAt, restarts: RestartCount, pid: State.Pid };
  } catch (error) {
    return `no answer from ${node.name}: ${messageOf(error)}`;
  }
}
