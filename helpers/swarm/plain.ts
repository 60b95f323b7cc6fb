import { imageName } from '../engine/images.ts';
import type { Node } from './node.ts';
import { type ApiPart, laidOver } from './services.ts';
import type { Vantage } from './vantage.ts';
import { withoutPrefix } from './view.ts';

/** A container of the workload that belongs to no service. */
export interface PlainContainer {
  id: string;
  name: string;
  /** Process id of its first process, as its node sees it. */
  pid: number;
  /** When it was started, as its engine says: another start has another time. */
  startedAt: string;
  /** From its network namespace. */
  inside: Vantage;
}

/**
 * Runs the workload in a container outside any service, as `docker run --detach` does.
 *
 * @param network a network its node has, or an attachable overlay.
 * @param also laid over the request (POST /containers/create).
 */
export async function runContainer(
  node: Node,
  { name, network, also = {} }: { name: string; network: string; also?: ApiPart },
): Promise<PlainContainer> {
  const request = { name, Image: imageName('workload'), HostConfig: { NetworkMode: network } };
  const container = await node.api.createContainer(laidOver(request, also) as never);
  await container.start();
  const { State } = await container.inspect();
  return {
    id: container.id,
    name,
    pid: State.Pid,
    startedAt: State.StartedAt,
    inside: node.inside(State.Pid, name),
  };
}

/** Addresses of containers on one of a node's networks, by container name, as its engine shows them. */
export async function addressesAt({ api }: Node, network: string): Promise<Map<string, string>> {
  const { Containers } = await api.getNetwork(network).inspect();
  const endpoints: { Name: string; IPv4Address: string }[] = Object.values(Containers ?? {});
  return new Map(endpoints.map(({ Name, IPv4Address }) => [Name, withoutPrefix(IPv4Address)]));
}
