import type Docker from 'dockerode';
import ipaddr from 'ipaddr.js';
import { Inconclusive } from '../errors.ts';

/** A network of the Swarm, as its API shows it. */
export interface NetworkView {
  id: string;
  name: string;
  subnet: string;
  ingress: boolean;
}

/** A running task and where it lies. Addresses are without prefix length. */
export interface TaskView {
  id: string;
  service: string;
  slot: number;
  node: string;
  /** Container id in its node's engine; its first 12 characters are the container's host name. */
  container: string;
  /** Name of that container, which is also a DNS name: service.slot.task, in global mode service.node.task. */
  containerName: string;
  /** Process id of its first process, as its node sees it. */
  pid: number;
  /** Address by network name; `ingress` among them when a port is published. */
  addresses: Record<string, string>;
}

/** A service with its running tasks. */
export interface ServiceView {
  id: string;
  name: string;
  endpointMode: 'vip' | 'dnsrr';
  /** Tasks that shall run: in global mode one on each node that is not drained. */
  replicas: number;
  /** Virtual IP by network name, without prefix length; empty in dnsrr mode. */
  vips: Record<string, string>;
  ports: { published: number; target: number; protocol: string; mode: string }[];
  networks: string[];
  tasks: TaskView[];
  /** States of the tasks that shall run and do not; left out where there is none. */
  underway?: string[];
}

/** What a manager's API says about the Swarm at one moment; serialisable. */
export interface SwarmView {
  networks: NetworkView[];
  services: ServiceView[];
  nodes: { id: string; name: string }[];
}

/** `10.0.1.5/24` -> `10.0.1.0/24`. @throws Error on anything else. */
export function subnetOf(cidr: string): string {
  return `${ipaddr.IPv4.networkAddressFromCIDR(cidr)}/${ipaddr.parseCIDR(cidr)[1]}`;
}

/** A service of a view, by name. @throws Inconclusive when there is none of that name. */
export function serviceIn({ services }: SwarmView, name: string): ServiceView {
  const found = services.find((service) => service.name === name);
  if (!found) throw new Inconclusive('suite', `no service ${name} was deployed`);
  return found;
}

/** What a view is to those who are cut off from some nodes: without the tasks there, and with none due in their place. */
export function withoutNodes(view: SwarmView, nodes: readonly string[]): SwarmView {
  const services = view.services.map((service) => {
    const tasks = service.tasks.filter(({ node }) => !nodes.includes(node));
    return { ...service, tasks, replicas: tasks.length };
  });
  return { ...view, services };
}

/** Every running task of a view. @throws Inconclusive when there is none: nothing would be judged. */
export function tasksIn({ services }: SwarmView): TaskView[] {
  const tasks = services.flatMap((service) => service.tasks);
  if (tasks.length === 0) throw new Inconclusive('lab', 'no task runs');
  return tasks;
}

/** A network of a view, by name. @throws Inconclusive when there is none of that name. */
export function networkIn({ networks }: SwarmView, name: string): NetworkView {
  const found = networks.find((network) => network.name === name);
  if (!found) throw new Inconclusive('suite', `there is no network ${name}`);
  return found;
}

/**
 * Addresses of a service's running tasks on a network.
 *
 * @throws Inconclusive when it has none: whatever is held against nothing passes.
 */
export function addressesOf({ name, tasks }: ServiceView, network: string): string[] {
  const addresses = tasks.flatMap(({ addresses }) => addresses[network] ?? []);
  if (addresses.length === 0) throw new Inconclusive('lab', `${name} has no running task on ${network}`);
  return addresses;
}

/** A service's virtual IP on a network. @throws Inconclusive when it has none there. */
export function vipOf({ name, vips }: ServiceView, network: string): string {
  const vip = vips[network];
  if (!vip) throw new Inconclusive('lab', `${name} has no virtual IP on ${network}`);
  return vip;
}

/** The names by which a service's tasks tell that it was they who answered. @throws Inconclusive when none runs. */
export function hostNamesOf({
  name,
  tasks,
}: {
  name: string;
  tasks: readonly Pick<TaskView, 'container'>[];
}): string[] {
  if (tasks.length === 0) throw new Inconclusive('lab', `${name} has no running task`);
  return tasks.map(({ container }) => container.slice(0, HOST_NAME_LENGTH));
}

/**
 * One task on each node that runs any on this network: whoever asks from there asks that node's own engine. Of several, one
 * that is on few networks: a name that stands for something on two of them may be answered from either.
 *
 * @throws Inconclusive when there is none.
 */
export function taskOnEachNode({ services }: SwarmView, network: string): TaskView[] {
  const tasks = services
    .flatMap((service) => service.tasks)
    .filter(({ addresses }) => addresses[network])
    .toSorted((a, b) => Object.keys(b.addresses).length - Object.keys(a.addresses).length);
  if (tasks.length === 0) throw new Inconclusive('lab', `no task runs on ${network}`);
  return [...new Map(tasks.map((task) => [task.node, task])).values()];
}

/** A container's host name is its id, cut to what `docker ps` shows (moby pkg/stringid, shortLen). */
const HOST_NAME_LENGTH = 12;

interface ApiTask {
  ID: string;
  ServiceID: string;
  NodeID?: string;
  Slot?: number;
  DesiredState: string;
  Status: { State: string; ContainerStatus?: { ContainerID?: string; PID?: number } };
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses?: string[] }[];
}
interface ApiNode {
  ID: string;
  Description: { Hostname: string };
  Spec: { Availability: string };
  Status: { State: string };
}
interface ApiService {
  ID: string;
  Spec: {
    Name: string;
    Mode: { Replicated?: { Replicas?: number }; Global?: object };
    TaskTemplate: { Networks?: { Target: string }[] };
    EndpointSpec?: { Mode?: string };
  };
  Endpoint?: {
    Spec?: { Mode?: string };
    Ports?: { PublishedPort: number; TargetPort: number; Protocol: string; PublishMode: string }[];
    VirtualIPs?: { NetworkID: string; Addr?: string }[];
  };
}

/** A task's address by network name; networks on which it has none yet are left out. */
function attachedAt({
  NetworksAttachments = [],
}: Pick<ApiTask, 'NetworksAttachments'>): Record<string, string> {
  const attached = NetworksAttachments.filter(({ Addresses }) => Addresses?.[0]);
  return Object.fromEntries(
    attached.map(({ Network, Addresses }) => [Network.Spec.Name, withoutPrefix(Addresses?.[0] ?? '')]),
  );
}

/** `10.0.1.5/24` -> `10.0.1.5`. @throws Error on anything else. */
export function withoutPrefix(cidr: string): string {
  return ipaddr.parseCIDR(cidr)[0].toString();
}

/** Name of the network in whose subnet an address lies; the address itself when it is in none of them. */
export function networkOf(
  address: string,
  networks: readonly Pick<NetworkView, 'name' | 'subnet'>[],
): string {
  const within = ({ subnet }: Pick<NetworkView, 'subnet'>) =>
    ipaddr.parse(address).match(ipaddr.parseCIDR(subnet));
  return networks.find(within)?.name ?? address;
}

/**
 * Asks a manager for its networks, services, nodes and running tasks.
 *
 * A task counts as running when it runs and is meant to: one that is being shut down answers no name any more.
 */
export async function viewSwarm(manager: Docker): Promise<SwarmView> {
  const [apiNetworks, apiServices, apiTasks, apiNodes] = await Promise.all([
    manager.listNetworks({ filters: { scope: ['swarm'] } }),
    manager.listServices() as Promise<unknown> as Promise<ApiService[]>,
    manager.listTasks({ filters: { 'desired-state': ['running'] } }) as Promise<ApiTask[]>,
    manager.listNodes() as Promise<ApiNode[]>,
  ]);
  const networks = apiNetworks.map((network) => ({
    id: network.Id,
    name: network.Name,
    subnet: network.IPAM?.Config?.[0]?.Subnet ?? '',
    ingress: network.Ingress,
  }));
  const networkName = new Map(networks.map(({ id, name }) => [id, name]));
  const nodeName = new Map(apiNodes.map((node) => [node.ID, node.Description.Hostname]));
  const services = apiServices.map((api): ServiceView => {
    const name = api.Spec.Name;
    const wanted = apiTasks.filter((task) => task.ServiceID === api.ID);
    const underway = wanted.map(({ Status }) => Status.State).filter((state) => state !== 'running');
    const tasks = wanted
      .filter(({ Status }) => Status.State === 'running')
      .map((task): TaskView => {
        const slot = task.Slot ?? 0;
        return {
          id: task.ID,
          service: name,
          slot,
          node: nodeName.get(task.NodeID ?? '') ?? '',
          container: task.Status.ContainerStatus?.ContainerID ?? '',
          // In global mode there are no slots: the node stands in its place (moby daemon/cluster/executor/container/container.go, name).
          containerName: `${name}.${slot || task.NodeID}.${task.ID}`,
          pid: task.Status.ContainerStatus?.PID ?? 0,
          addresses: attachedAt(task),
        };
      });
    return {
      id: api.ID,
      name,
      // Endpoint stays empty for a dnsrr service without ports: there is nothing to allocate (cnmallocator, IsServiceAllocated).
      endpointMode: (api.Spec.EndpointSpec?.Mode ?? api.Endpoint?.Spec?.Mode) === 'dnsrr' ? 'dnsrr' : 'vip',
      replicas: api.Spec.Mode.Global
        ? apiNodes.filter(({ Spec, Status }) => Spec.Availability === 'active' && Status.State === 'ready')
            .length
        : (api.Spec.Mode.Replicated?.Replicas ?? 0),
      vips: Object.fromEntries(
        (api.Endpoint?.VirtualIPs ?? [])
          .filter(({ Addr }) => Addr)
          .map(({ NetworkID, Addr = '' }) => [networkName.get(NetworkID) ?? NetworkID, withoutPrefix(Addr)]),
      ),
      ports: (api.Endpoint?.Ports ?? []).map((port) => ({
        published: port.PublishedPort,
        target: port.TargetPort,
        protocol: port.Protocol,
        mode: port.PublishMode,
      })),
      networks: (api.Spec.TaskTemplate.Networks ?? []).map(({ Target }) => networkName.get(Target) ?? Target),
      tasks: tasks.sort((a, b) => a.slot - b.slot),
      ...(underway.length > 0 && { underway }),
    };
  });
  return {
    networks,
    services,
    nodes: apiNodes.map((node) => ({ id: node.ID, name: node.Description.Hostname })),
  };
}

/** One task of a service's past or present. */
export interface TaskRecord {
  id: string;
  slot: number;
  node: string;
  container: string;
  containerName: string;
  /** Process id of its first process, as its node sees it; 0 while and when there is none. */
  pid: number;
  /** Address by network name, without prefix length. */
  addresses: Record<string, string>;
  /** What it is and what it shall be (swarmkit api/types.proto TaskState, lower case). */
  state: string;
  desired: string;
  /** When it was created, and when its state was reported last (epoch ms, the managers' clock). */
  createdAt: number;
  changedAt: number;
  exitCode: number | undefined;
  error: string | undefined;
}

/**
 * What a task does, in a line: `waits nowhere` where it waits for the allocator or for a place to run (swarmkit api/types.proto, TaskState),
 * anything else in full.
 */
export function stateInWords({ state, node, error }: TaskRecord): string {
  return ['new', 'pending'].includes(state) && node === ''
    ? 'waits nowhere'
    : `${state} on ${node || 'no node'} ${error ?? ''}`;
}

/** The life of a task's container, by its node's engine; without it when there is none (any more). */
export interface TaskLife extends TaskRecord {
  life?: {
    /** Process id of its first process while it runs, else 0: known here before the managers hear of it. */
    pid: number;
    /** Epoch ms; undefined while it has not begun, or ended. */
    startedAt: number | undefined;
    finishedAt: number | undefined;
    exitCode: number;
    /** When its health check failed or succeeded, oldest first; the last five at most. */
    checks: { at: number; exitCode: number }[];
  };
}

/** The life of a container, on its node's engine. */
export async function viewLife(engine: Docker, container: string): Promise<TaskLife['life']> {
  const inspected = await engine
    .getContainer(container)
    .inspect()
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode === 404) return undefined;
      throw error;
    });
  if (!inspected) return undefined;
  const { Pid, StartedAt, FinishedAt, ExitCode, Health } = inspected.State;
  // What has not happened is told by the zero time, long before 1970.
  const moment = (text: string) => (Date.parse(text) > 0 ? Date.parse(text) : undefined);
  return {
    pid: Pid,
    startedAt: moment(StartedAt),
    finishedAt: moment(FinishedAt),
    exitCode: ExitCode,
    checks: (Health?.Log ?? []).map((check) => ({
      at: Date.parse(String(check.End)),
      exitCode: check.ExitCode,
    })),
  };
}

/** What a manager holds of a service: its specification, the one before, and how far an update of it is. */
export interface ServiceRecord {
  spec: ApiObject;
  previous: ApiObject | undefined;
  /** As in `updating`, `paused`, `completed`, `rollback_completed`; undefined when it was never updated. */
  update: { state: string; message: string } | undefined;
}
type ApiObject = Readonly<Record<string, unknown>>;

/** A service as a manager holds it. */
export async function viewRecord(manager: Docker, service: string): Promise<ServiceRecord> {
  const { Spec, PreviousSpec, UpdateStatus } = (await manager.getService(service).inspect()) as {
    Spec: ApiObject;
    PreviousSpec?: ApiObject;
    UpdateStatus?: { State?: string; Message?: string };
  };
  const { State, Message = '' } = UpdateStatus ?? {};
  return {
    spec: Spec,
    previous: PreviousSpec,
    update: State ? { state: State, message: Message } : undefined,
  };
}

/** Every task of a service, newest first. */
export async function viewHistory(manager: Docker, service: string): Promise<TaskRecord[]> {
  const [tasks, nodes] = await Promise.all([
    manager.listTasks({ filters: { service: [service] } }) as Promise<
      (ApiTask & {
        CreatedAt: string;
        Status: { Timestamp: string; Err?: string; ContainerStatus?: { ExitCode?: number } };
      })[]
    >,
    manager.listNodes() as Promise<ApiNode[]>,
  ]);
  const records = tasks.map(({ ID, Slot, NodeID, DesiredState, CreatedAt, Status, NetworksAttachments }) => ({
    id: ID,
    slot: Slot ?? 0,
    containerName: `${service}.${Slot ?? 0}.${ID}`,
    pid: Status.ContainerStatus?.PID ?? 0,
    addresses: attachedAt({ NetworksAttachments }),
    node: nodes.find((node) => node.ID === NodeID)?.Description.Hostname ?? '',
    container: Status.ContainerStatus?.ContainerID ?? '',
    state: Status.State,
    desired: DesiredState,
    createdAt: Date.parse(CreatedAt),
    changedAt: Date.parse(Status.Timestamp),
    exitCode: Status.ContainerStatus?.ExitCode,
    error: Status.Err,
  }));
  return records.sort((a, b) => b.createdAt - a.createdAt);
}

/** Lines of a container's log, out of the frames in which the API sends them: 8 bytes of head, then the text (GET /containers/{id}/logs). */
export function logLines(frames: Buffer): string[] {
  let text = '';
  for (let at = 0; at + 8 <= frames.length; ) {
    const bytes = frames.readUInt32BE(at + 4);
    text += frames.toString('utf8', at + 8, at + 8 + bytes);
    at += 8 + bytes;
  }
  return text.split('\n').filter((line) => line !== '');
}
