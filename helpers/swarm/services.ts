import { deepmergeCustom } from 'deepmerge-ts';
import { imageName } from '../engine/images.ts';

/** Port on which the workload serves HTTP. */
export const HTTP_PORT = 80;

/** Another port on which it serves HTTP. */
export const OTHER_HTTP_PORT = 8081;

/** Port on which it echoes: lines over TCP, datagrams over UDP. */
export const ECHO_PORT = 9000;

/** Label of what the suite deploys into a Swarm, so that a sweep can tell it from what was there before. */
export const STACK_LABEL = 'swarmproof.stack';

/** A service as a spec declares it; plain data, so that it can be part of a checkpoint's key. */
export interface ServiceSpec {
  name: string;
  /** So many tasks, or one on every node. */
  replicas: number | 'global';
  /** How clients find its tasks: one virtual IP, or the tasks' own addresses in DNS; `default` leaves it to the engine. */
  endpointMode: 'vip' | 'dnsrr' | 'default';
  /** The user overlays it is attached to, by name, with further names it has there. */
  networks: readonly (string | { name: string; aliases: readonly string[] })[];
  publish: readonly PublishedPort[];
  /** Nodes its tasks may run on; all when empty. */
  on: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Anything else, in the words of Docker's API (POST /services/create), laid over what the fields above say. */
  also: ApiPart;
}

/** A published port. In ingress mode every node answers on it, in host mode only those that run a task. */
export interface PublishedPort {
  /** Left out, the engine chooses one. */
  published?: number;
  target: number;
  /** `tcp` unless given. */
  protocol?: 'tcp' | 'udp' | 'sctp';
  /** `ingress` unless given. */
  mode?: 'ingress' | 'host';
}

/** Part of an object of Docker's API. */
export type ApiPart = Readonly<Record<string, unknown>>;

/** A user overlay as a spec declares it. */
export interface NetworkSpec {
  name: string;
  /** Anything but name and driver, in the words of Docker's API (POST /networks/create). */
  also: ApiPart;
}

/** Networks and services that belong together; a spec starts with all of it running and settled. */
export interface Stack {
  networks: readonly NetworkSpec[];
  services: readonly ServiceSpec[];
}

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
    publish: typeof publish === 'number' ? [{ published: publish, target: HTTP_PORT }] : publish,
    on: options.on ?? [],
    env: options.env ?? {},
    also: options.also ?? {},
  };
}

/** Declares an overlay that is more than its name, such as `network('inside', { Internal: true })`. */
export function network(name: string, also: ApiPart = {}): NetworkSpec {
  return { name, also };
}

/** Declares a stack; a network that is not declared among its parts is an ordinary overlay. */
export function stack(...parts: readonly (ServiceSpec | NetworkSpec)[]): Stack {
  const services = parts.filter((part) => 'replicas' in part);
  const declared = parts.filter((part) => !('replicas' in part));
  const named = services.flatMap(({ networks }) => networks.map(networkName));
  const plain = [...new Set(named)].filter((name) => !declared.some((one) => one.name === name));
  return { networks: [...declared, ...plain.map((name) => network(name))], services };
}

/** The name of a network a service is attached to. */
function networkName(attached: ServiceSpec['networks'][number]): string {
  return typeof attached === 'string' ? attached : attached.name;
}

/** One object of Docker's API laid over another: objects are merged, anything else, arrays too, is replaced. */
export const laidOver = deepmergeCustom({ mergeArrays: false });

/** The network as Docker's API takes it (POST /networks/create). */
export function createNetworkBody({ name, also }: NetworkSpec): object {
  return laidOver({ Name: name, Driver: 'overlay', Labels: { [STACK_LABEL]: name } }, also);
}

/**
 * The service as Docker's API takes it (POST /services/create).
 *
 * @param allNodes names of all nodes: where a service may run is said by excluding the others.
 */
export function createServiceBody(spec: ServiceSpec, allNodes: readonly string[]): object {
  const excluded = spec.on.length === 0 ? [] : allNodes.filter((node) => !spec.on.includes(node));
  return laidOver(
    {
      Name: spec.name,
      Labels: { [STACK_LABEL]: spec.name },
      TaskTemplate: {
        ContainerSpec: {
          Image: imageName('workload'),
          Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
        },
        Networks: spec.networks.map((attached) => ({
          Target: networkName(attached),
          ...(typeof attached !== 'string' && { Aliases: attached.aliases }),
        })),
        Placement: { Constraints: excluded.map((node) => `node.hostname!=${node}`) },
      },
      Mode: spec.replicas === 'global' ? { Global: {} } : { Replicated: { Replicas: spec.replicas } },
      EndpointSpec: {
        ...(spec.endpointMode !== 'default' && { Mode: spec.endpointMode }),
        Ports: spec.publish.map(({ published, target, protocol = 'tcp', mode = 'ingress' }) => ({
          ...(published !== undefined && { PublishedPort: published }),
          TargetPort: target,
          Protocol: protocol,
          PublishMode: mode,
        })),
      },
    },
    spec.also,
  );
}
