/** Requests to Docker's API, as commands of its command line. */

import { imageName } from '../engine/images.ts';
import type { Entry, Json } from '../transcript/transcript.ts';
import { containerExpression, type Known, shellExpression, type TaskName, variable, word } from './known.ts';
import { createFlags, updateFlags } from './service-flags.ts';

type JsonObject = { [name: string]: Json | undefined };

/** A request as a transcript has it. */
export interface Request {
  method: string;
  path: string;
  query: URLSearchParams;
  body: JsonObject;
  /** Whose API it was asked of. */
  node: string;
  /** The id of what it created. */
  created?: string | undefined;
}

/** Reads an entry to an API. */
export function parseRequest({ to, ask, answer }: Pick<Entry, 'to' | 'ask' | 'answer'>): Request {
  const [head = '', ...rest] = ask.split('\n');
  const [method = '', target = ''] = head.split(' ');
  const [path = '', query = ''] = target.split('?');
  const body = rest.length > 0 ? (JSON.parse(rest.join('\n')) as JsonObject) : {};
  const { Id } = Object(answer) as JsonObject;
  const [, node = ''] = to.split(' ');
  return {
    method,
    path,
    query: new URLSearchParams(query),
    body,
    node,
    created: Id === undefined ? undefined : `${Id}`,
  };
}

/** Commands that do the same, and what they cannot say. */
export interface Command {
  /** One in words, or as a line of `sh`; none when it changes nothing, and shows nothing that others do not. */
  command?: readonly string[] | string;
  /** The task whose container is the last word: it is on another node there than it was here. */
  of?: TaskName;
  unsaid: string[];
}

/** What clauses read of a container; all of it would be two hundred lines. */
const CONTAINER_FORMAT =
  '{{.Name}} {{.State.Status}} {{.State.StartedAt}} {{json .NetworkSettings.Networks}}';

/** The image of every task of the suite's own. */
const OWN_IMAGE = imageName('workload');

const command = (...words: readonly string[]): Command => ({ command: words, unsaid: [] });

/**
 * A request that changes something, as commands.
 *
 * @param known what ids in it mean.
 */
export function changeByHand(request: Request, known: Known): Command {
  const { method, path, body, query } = request;
  const [, kind = '', id = '', verb = ''] = path.split('/');
  const at = `${method} ${kind} ${verb}`.trim();
  if (method === 'POST' && kind === 'networks' && id === 'create') return createNetwork(body, known);
  if (method === 'POST' && kind === 'services' && id === 'create') return createService(body, known);
  if (method === 'POST' && kind === 'swarm') return ofSwarm(id, body, query, known);
  if (method === 'POST' && kind === 'containers' && id === 'create') return createContainer(request, known);
  switch (at) {
    case 'POST services update':
      return updateService(id, request, known);
    case 'DELETE services':
      return command('docker', 'service', 'rm', known.service(id)?.name ?? id);
    case 'DELETE networks':
      return removeNetwork(known.network(id), known);
    case 'POST nodes update':
      return updateNode(id, request, known);
    case 'POST containers kill':
    case 'POST containers stop':
    case 'POST containers start':
    case 'POST containers restart':
      return ofContainer(id, known, 'docker', verb);
    case 'DELETE containers':
      return ofContainer(id, known, 'docker', 'rm', '--force');
    case 'POST networks connect':
      return ofContainer(`${body.Container}`, known, 'docker', 'network', 'connect', known.network(id));
    default:
      return raw(request, known);
  }
}

/** The list of services, as people are shown it, leaves out what clauses look for most. */
const VIRTUAL_IPS =
  "xargs -r docker service inspect -f '{{.Spec.Name}}:{{range .Endpoint.VirtualIPs}} {{.Addr}}{{end}}'";

/** A request that looks, as commands; none for what others tell already. */
export function lookByHand({ path, query }: Request, known: Known): Command {
  const [, kind = '', id = '', verb = ''] = path.split('/');
  const none = { unsaid: [] };
  if (kind === 'services')
    return id
      ? command('docker', 'service', 'inspect', known.service(id)?.name ?? id)
      : { command: `docker service ls && docker service ls -q | ${VIRTUAL_IPS}`, unsaid: [] };
  if (kind === 'networks')
    return id
      ? command(
          'docker',
          'network',
          'inspect',
          ...(query.has('verbose') ? ['--verbose'] : []),
          known.network(id),
        )
      : command('docker', 'network', 'ls');
  if (kind === 'nodes' && !id) return command('docker', 'node', 'ls');
  if (kind === 'tasks')
    return { command: 'docker service ps --no-trunc $(docker service ls -q)', unsaid: [] };
  if (kind === 'info') return command('docker', 'info');
  if (kind === 'containers' && verb === 'json')
    return ofContainer(id, known, 'docker', 'inspect', '-f', CONTAINER_FORMAT);
  if (kind === 'containers' && verb === 'logs') return ofContainer(id, known, 'docker', 'logs');
  if (kind === 'containers' && id === 'json') return command('docker', 'ps', '--no-trunc');
  return none;
}

function createNetwork(body: JsonObject, known: Known): Command {
  const {
    Name,
    Driver,
    Labels: _,
    Options,
    IPAM,
    Attachable,
    Internal,
    Ingress,
    EnableIPv6,
    CheckDuplicate: __,
    ...rest
  } = body;
  const { Config, Driver: ___, Options: ____, ...ipam } = (IPAM ?? {}) as JsonObject;
  const blocks = (Config ?? []) as {
    Subnet?: string;
    Gateway?: string;
    IPRange?: string;
    AuxiliaryAddresses?: JsonObject;
  }[];
  const words = [
    `--driver=${Driver ?? 'bridge'}`,
    ...Object.entries({ attachable: Attachable, internal: Internal, ingress: Ingress, ipv6: EnableIPv6 })
      .filter(([, set]) => set === true)
      .map(([name]) => `--${name}`),
    ...Object.entries((Options ?? {}) as JsonObject).map(
      ([name, value]) => `--opt=${value === '' ? name : `${name}=${value}`}`,
    ),
    ...blocks.flatMap(({ Subnet, Gateway, IPRange, AuxiliaryAddresses = {} }) => [
      ...(Subnet ? [`--subnet=${Subnet}`] : []),
      ...(Gateway ? [`--gateway=${Gateway}`] : []),
      ...(IPRange ? [`--ip-range=${IPRange}`] : []),
      ...Object.entries(AuxiliaryAddresses).map(([name, address]) => `--aux-address=${name}=${address}`),
    ]),
  ];
  const unsaid = [...Object.keys(rest), ...Object.keys(ipam).map((name) => `IPAM.${name}`)];
  return {
    ...command('docker', 'network', 'create', ...words.map((one) => known.generally(one)), `${Name}`),
    unsaid,
  };
}

/** The command line asks before it removes the network of the routing mesh. */
function removeNetwork(name: string, known: Known): Command {
  if (known.ingress.has(name)) return { command: `echo y | docker network rm ${word(name)}`, unsaid: [] };
  return command('docker', 'network', 'rm', name);
}

/** A service of the workload is made by a function of the script, which knows an image that anyone has. */
function createService(body: JsonObject, known: Known): Command {
  const { words, unsaid } = createFlags(body, known.renamed);
  const image = `${((body.TaskTemplate as JsonObject)?.ContainerSpec as JsonObject)?.Image ?? ''}`;
  const create =
    image === OWN_IMAGE || image === '' ? ['create_service'] : ['docker', 'service', 'create', '--detach'];
  const rest = create.length === 1 ? [] : [image];
  return { ...command(...create, `--name=${body.Name}`, ...words, ...rest), unsaid };
}

function updateService(id: string, request: Request, known: Known): Command {
  const { body, query } = request;
  const service = known.service(id);
  const name = service?.name ?? id;
  if (query.get('rollback') === 'previous' || body.rollback === 'previous')
    return command('docker', 'service', 'rollback', '--detach', name);
  const { version: _, rollback: __, ...wanted } = body;
  const flags = service && updateFlags(service.spec, wanted, known.renamed);
  // A second update is told from what the first one made of it.
  if (service) service.spec = wanted;
  if (!flags) return raw(request, known);
  return command('docker', 'service', 'update', '--detach', ...flags, name);
}

function updateNode(id: string, request: Request, known: Known): Command {
  const {
    Availability,
    Role,
    Labels = {},
  } = request.body as { Availability?: string; Role?: string; Labels?: JsonObject };
  const node = known.node(id);
  const words = [
    ...(Availability ? [`--availability=${Availability}`] : []),
    ...(Role ? [`--role=${Role}`] : []),
    ...Object.entries(Labels).map(([name, value]) => `--label-add=${name}=${value}`),
  ];
  return command('docker', 'node', 'update', ...words, node ? shellExpression(variable(node)) : id);
}

function ofSwarm(what: string, body: JsonObject, query: URLSearchParams, known: Known): Command {
  const flag = (name: string, value: Json | undefined) =>
    value === undefined || value === null || value === '' ? [] : [`--${name}=${known.generally(`${value}`)}`];
  if (what === 'leave')
    return command(
      'docker',
      'swarm',
      'leave',
      ...(query.get('force') === 'true' || body.force ? ['--force'] : []),
    );
  const {
    ListenAddr,
    AdvertiseAddr,
    DataPathAddr,
    DataPathPort,
    JoinToken,
    RemoteAddrs,
    DefaultAddrPool,
    SubnetSize,
    ForceNewCluster,
    ...rest
  } = body;
  const shared = [
    ...flag('listen-addr', ListenAddr),
    ...flag('advertise-addr', AdvertiseAddr),
    ...flag('data-path-addr', DataPathAddr),
  ];
  const unsaid = Object.keys(rest);
  if (what === 'init') {
    const pools = ((DefaultAddrPool ?? []) as string[]).map((pool) => `--default-addr-pool=${pool}`);
    const force = ForceNewCluster ? ['--force-new-cluster'] : [];
    const words = [
      ...shared,
      ...flag('data-path-port', DataPathPort),
      ...pools,
      ...flag('default-addr-pool-mask-length', SubnetSize),
      ...force,
    ];
    return { ...command('docker', 'swarm', 'init', ...words), unsaid };
  }
  if (what === 'join') {
    const [manager = ''] = (RemoteAddrs ?? []) as string[];
    const token = shellExpression(`$(docker swarm join-token -q ${known.roleOf(`${JoinToken}`)})`);
    return {
      ...command('docker', 'swarm', 'join', `--token=${token}`, ...shared, known.generally(manager)),
      unsaid,
    };
  }
  return { unsaid: [`POST /swarm/${what}`] };
}

/** A container of the workload is made by a function of the script, too, on the node it is told. */
function createContainer({ body, created, node }: Request, known: Known): Command {
  const { Image: _, name: __, HostConfig, NetworkingConfig, ExposedPorts: ___, ...rest } = body;
  const { NetworkMode, PortBindings, RestartPolicy, ...host } = (HostConfig ?? {}) as JsonObject;
  const { EndpointsConfig, ...networking } = (NetworkingConfig ?? {}) as {
    EndpointsConfig?: Record<string, JsonObject>;
  };
  const ports = Object.entries((PortBindings ?? {}) as Record<string, { HostPort: string }[]>).flatMap(
    ([target, bound]) => bound.map(({ HostPort }) => `--publish=${HostPort}:${target}`),
  );
  const policy = (RestartPolicy as JsonObject | undefined)?.Name;
  // The command line has words for the one network that a container begins with.
  const { Aliases, ...endpoint } = EndpointsConfig?.[`${NetworkMode}`] ?? {};
  const others = Object.keys(EndpointsConfig ?? {}).filter((one) => one !== NetworkMode);
  const words = [
    `--name=${containerOf(created ?? '', known)}`,
    ...(NetworkMode ? [`--network=${known.network(`${NetworkMode}`)}`] : []),
    ...((Aliases ?? []) as string[]).map((alias) => `--network-alias=${alias}`),
    ...(policy ? [`--restart=${policy}`] : []),
    ...ports,
  ];
  const unsaid = [
    ...Object.keys(rest),
    ...Object.keys(host).map((one) => `HostConfig.${one}`),
    ...[...Object.keys(endpoint), ...others, ...Object.keys(networking)].map(
      (one) => `NetworkingConfig.${one}`,
    ),
  ];
  return { ...command('create_container', shellExpression(variable(node)), ...words), unsaid };
}

/** A command that ends with a container. */
function ofContainer(id: string, known: Known, ...words: string[]): Command {
  const container = known.container({ container: id });
  return container && 'service' in container
    ? { ...command(...words), of: container }
    : command(...words, containerOf(id, known));
}

function containerOf(id: string, known: Known): string {
  const container = known.container({ container: id });
  return container ? containerExpression(container) : id;
}

/** The request as it is, to the engine's own socket: for what the command line has no words for. */
function raw({ method, path, query, body }: Request, known: Known): Command {
  const [, kind = '', id = ''] = path.split('/');
  const { version: _, ...content } = body;
  const service = kind === 'services' ? known.service(id)?.name : undefined;
  const version = shellExpression(`$(docker service inspect -f '{{.Version.Index}}' ${service})`);
  const asked = service ? `?version=${version}` : query.size > 0 && !('Name' in body) ? `?${query}` : '';
  const target = known.generally(`http://docker${service ? path.replace(id, service) : path}`);
  const written = JSON.stringify(content);
  const own = written.includes(OWN_IMAGE);
  const asIs = command(
    'curl',
    '-sS',
    '--unix-socket',
    '/run/docker.sock',
    '-X',
    method,
    '-H',
    'Content-Type: application/json',
    '-d',
    known.generally(written.replaceAll(OWN_IMAGE, shellExpression('$IMAGE'))),
    `${target}${asked}`,
  );
  return own ? { ...asIs, unsaid: ['the image: set IMAGE to one that serves as is said below'] } : asIs;
}
