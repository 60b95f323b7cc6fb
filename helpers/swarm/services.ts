import { imageName } from '../engine/images.ts';

/** A service as a spec declares it; plain data, so that it can be part of a checkpoint's key. */
export interface ServiceSpec {
  name: string;
  replicas: number;
  /** How clients find its tasks: one virtual IP, or the tasks' own addresses in DNS; `default` leaves it to the engine. */
  endpointMode: 'vip' | 'dnsrr' | 'default';
  /** Names of the user overlays it is attached to. */
  networks: readonly string[];
  /** Ports published through the routing mesh. */
  publish: readonly PublishedPort[];
  /** Nodes its tasks may run on; all when empty. */
  on: readonly string[];
  env: Readonly<Record<string, string>>;
}

/** A port published in ingress mode: every node answers on it. */
export interface PublishedPort {
  published: number;
  target: number;
  protocol: 'tcp' | 'udp';
}

/** Networks and services that belong together; a spec starts with all of it running and settled. */
export interface Stack {
  /** User overlay networks, by name. */
  networks: readonly string[];
  services: readonly ServiceSpec[];
}

/** Port on which the workload serves HTTP. */
export const HTTP_PORT = 80;

/** Label of what the suite deploys into a Swarm, so that a sweep can tell it from what was there before. */
export const STACK_LABEL = 'swarmproof.stack';

/**
 * Declares a service of the workload. One replica in vip mode on the network `front`, unless told otherwise.
 *
 * @param options.publish published ports; a bare number publishes the workload's HTTP port under it.
 */
export function service(
  name: string,
  options: Partial<Omit<ServiceSpec, 'name' | 'publish'>> & {
    publish?: number | readonly PublishedPort[];
  } = {},
): ServiceSpec {
  const { publish = [] } = options;
  return {
    name,
    replicas: options.replicas ?? 1,
    endpointMode: options.endpointMode ?? 'vip',
    networks: options.networks ?? ['front'],
    publish:
      typeof publish === 'number' ? [{ published: publish, target: HTTP_PORT, protocol: 'tcp' }] : publish,
    on: options.on ?? [],
    env: options.env ?? {},
  };
}

/** Declares a stack; its networks are those its services name. */
export function stack(...services: readonly ServiceSpec[]): Stack {
  return { networks: [...new Set(services.flatMap(({ networks }) => networks))], services };
}

/**
 * The service as Docker's API takes it (POST /services/create).
 *
 * @param networkIds by network name.
 * @param allNodes names of all nodes: where a service may run is said by excluding the others.
 */
export function createServiceBody(
  spec: ServiceSpec,
  networkIds: ReadonlyMap<string, string>,
  allNodes: readonly string[],
): object {
  return {
    Name: spec.name,
    Labels: { [STACK_LABEL]: spec.name },
    TaskTemplate: {
      ContainerSpec: {
        Image: imageName('workload'),
        Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      },
      Networks: spec.networks.map((name) => ({ Target: networkIds.get(name) ?? name })),
      Placement: {
        Constraints:
          spec.on.length === 0
            ? []
            : allNodes.filter((node) => !spec.on.includes(node)).map((node) => `node.hostname!=${node}`),
      },
    },
    Mode: { Replicated: { Replicas: spec.replicas } },
    EndpointSpec: {
      ...(spec.endpointMode !== 'default' && { Mode: spec.endpointMode }),
      Ports: spec.publish.map(({ published, target, protocol }) => ({
        PublishedPort: published,
        TargetPort: target,
        Protocol: protocol,
        PublishMode: 'ingress',
      })),
    },
  };
}
