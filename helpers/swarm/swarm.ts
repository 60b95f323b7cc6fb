import type Docker from 'dockerode';
import { type EngineAddress, engineClient } from '../engine/client.ts';
import { Inconclusive, messageOf, Violation } from '../errors.ts';
import type { CaptureOptions } from '../observe/capture.ts';
import { Journal } from '../observe/journal.ts';
import { type LogPlaces, LogReader } from '../observe/logs.ts';
import { type Aspect, type NamespaceState, observeNode, readNode } from '../observe/node.ts';
import type { Packet } from '../observe/parse/pcap.ts';
import { Toolbox } from '../observe/shell.ts';
import { Upstream } from '../observe/upstream.ts';
import type { Stopwatch } from '../verdict/stopwatch.ts';
import { type Convergence, converge, until } from '../waiting.ts';
import {
  disagreements,
  INGRESS_SANDBOX,
  lbNamespace,
  type NodeWitness,
  overlayNamespace,
  unfinished,
  withoutEpoch,
} from './agreement.ts';
import { layCable, type Plug, type Wire } from './cable.ts';
import { type CutOptions, cut, mend } from './cut.ts';
import { inexact, type NodeTables } from './exactness.ts';
import type { SwarmFacts, ToolboxFacts } from './facts.ts';
import { unready, viewNodes } from './membership.ts';
import { Node, UPLINK } from './node.ts';
import {
  type ApiPart,
  createNetworkBody,
  createServiceBody,
  laidOver,
  type NetworkSpec,
  type ServiceSpec,
  type Stack,
} from './services.ts';
import { Vantage } from './vantage.ts';
import {
  logLines,
  type NetworkView,
  type ServiceRecord,
  type ServiceView,
  type SwarmView,
  serviceIn,
  type TaskLife,
  type TaskRecord,
  type TaskView,
  taskOnEachNode,
  viewHistory,
  viewLife,
  viewRecord,
  viewSwarm,
  withoutNodes,
} from './view.ts';

/**
 * Ours: starting a task keeps an emulated processor busy for seconds. While thirty start at once, engines miss their own deadlines and
 * begin anew, and none is done in ten minutes; with sixty a manager refuses requests (DeadlineExceeded). Of sixteen all come up.
 */
const MOST_STARTING = 16;

/** Ours: sixteen tasks, each of ten seconds of two slow processors. */
const ALL_RUN = { withinMs: 300_000, everyMs: 2000 };

/**
 * How long the product may take until all nodes tell the same after a change. Calibrated: 10-17 s for a service of three
 * replicas under emulation; the rest is for a loaded host.
 */
const SETTLE: Convergence = { withinMs: 180_000, holdMs: 1000, everyMs: 500 };

/** Which nodes are asked whether they agree: all that are up unless some stand apart. */
export interface Among {
  apart?: readonly Node[];
}

/** `three.2`: a task by the first parts of its container's name. */
function shortName({ containerName }: Pick<TaskView, 'containerName'>): string {
  return containerName.split('.').slice(0, 2).join('.');
}

/** Kernel state of the namespace that balances one network's virtual IPs on one node. */
export interface Balancer {
  node: string;
  network: string;
  /** The chain whose rules mark packets to virtual IPs there. */
  markChain: string;
  state: NamespaceState;
}

/** A running Swarm, in the words of its users: nodes, services, tasks, and places to ask from. */
export class Swarm {
  /** Every node of the lab, whatever Swarm it is in. */
  readonly everyone: readonly Node[];
  readonly #nodes: Node[];
  readonly #spares: Node[];
  /** A host on the lab network that is no member. */
  readonly outsider: Vantage & { readonly address: string; readonly toolbox: Toolbox };
  /** What kernel and engines log; null where the lab is no guest of ours. */
  readonly labLogs: LogReader | null;
  /** The lab's own engine, in which the nodes are containers. */
  readonly lab: Docker;
  /** The traffic that was sent from anywhere in the lab. */
  readonly journal: Journal<SwarmView>;
  readonly #time: Stopwatch;
  #upstream: Promise<Upstream> | undefined;

  private constructor(parts: {
    everyone?: readonly Node[];
    nodes: readonly Node[];
    spares: readonly Node[];
    outsider: Swarm['outsider'];
    labLogs: LogReader | null;
    lab: Docker;
    journal: Journal<SwarmView>;
    time: Stopwatch;
  }) {
    this.everyone = parts.everyone ?? [...parts.nodes, ...parts.spares];
    this.#nodes = [...parts.nodes];
    this.#spares = [...parts.spares];
    this.outsider = parts.outsider;
    this.labLogs = parts.labLogs;
    this.lab = parts.lab;
    this.journal = parts.journal;
    this.#time = parts.time;
  }

  /**
   * Connects to the Swarm of a lab.
   *
   * @param where where the lab is reached, the folder of its consoles if it has any, and where its logs lie.
   * @param time gets the time spent by what it was spent on.
   */
  static attach(
    where: {
      host: string;
      consoles: string | null;
      logs: LogPlaces | null;
      engine: EngineAddress;
      swarm: SwarmFacts;
    },
    time: Stopwatch,
  ): Swarm {
    const { host, consoles, logs, swarm } = where;
    const lab = engineClient(where.engine, 'lab');
    const journal = new Journal<SwarmView>();
    const toolbox = (name: string, facts: ToolboxFacts) => {
      const console = consoles && facts.console !== undefined ? `${consoles}/hvc${facts.console}` : undefined;
      return new Toolbox(name, { host, port: facts.shellPort, tls: swarm.tls, console });
    };
    const nodes = swarm.nodes.map(
      (facts) =>
        new Node(
          facts,
          engineClient({ host, port: facts.enginePort, tls: swarm.tls }, facts.name),
          lab.getContainer(facts.container),
          toolbox(facts.name, facts.toolbox),
          time,
          journal,
        ),
    );
    const outside = toolbox('outsider', swarm.outsider);
    const outsider = Object.assign(
      new Vantage(
        'the outsider',
        undefined,
        (script, limitMs, plain) => time.spend('observing', () => outside.run(script, { limitMs, plain })),
        (request, samples) =>
          journal.note({ kind: 'outsider', address: swarm.outsider.address }, request, samples),
      ),
      { address: swarm.outsider.address, toolbox: outside },
    );
    return new Swarm({
      nodes: nodes.filter(({ role }) => role !== 'spare'),
      spares: nodes.filter(({ role }) => role === 'spare'),
      outsider,
      labLogs: logs && new LogReader(logs),
      lab,
      journal,
      time,
    });
  }

  /** Its members. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** Whether anything was done to one of its nodes, see {@link Node.hurt}. */
  get hurt(): boolean {
    return this.everyone.some(({ hurt }) => hurt);
  }

  /** Nodes beside it that are no members yet. */
  get spares(): readonly Node[] {
    return this.#spares;
  }

  /** Has a spare join the Swarm; does not wait until it is ready. */
  async join(spare: Node, role: 'manager' | 'worker', options: ApiPart = {}): Promise<void> {
    await this.#time.spend('swarm', async () => {
      const { JoinTokens } = (await this.manager.api.swarmInspect()) as {
        JoinTokens: { Manager: string; Worker: string };
      };
      await spare.api.swarmJoin({
        ListenAddr: '0.0.0.0:2377',
        AdvertiseAddr: spare.address,
        RemoteAddrs: [`${this.manager.address}:2377`],
        JoinToken: role === 'manager' ? JoinTokens.Manager : JoinTokens.Worker,
        ...options,
      });
    });
    this.#spares.splice(this.#spares.indexOf(spare), 1);
    spare.role = role;
    this.#nodes.push(spare);
  }

  /**
   * Makes a Swarm of a spare, as `docker swarm init` does; others may then join it.
   *
   * @param init laid over the request (POST /swarm/init).
   * @returns the new Swarm; its spares are the ones that are left, and closing it is left to this one.
   */
  async found(spare: Node, init: ApiPart = {}): Promise<Swarm> {
    const request = { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: spare.address, ...init };
    await this.#time.spend('swarm', () => spare.api.swarmInit(request));
    this.#spares.splice(this.#spares.indexOf(spare), 1);
    spare.role = 'manager';
    const { everyone, outsider, labLogs, lab, journal } = this;
    return new Swarm({
      everyone,
      nodes: [spare],
      spares: this.spares,
      outsider,
      labLogs,
      lab,
      journal,
      time: this.#time,
    });
  }

  /**
   * Makes one Swarm of all spares: the first founds it, the others join.
   *
   * @param parts.each laid over what a node asks for, be it to found or to join (POST /swarm/init, POST /swarm/join).
   * @param parts.init laid over what the first asks for alone.
   * @param parts.role of those that join, workers unless told otherwise.
   */
  async foundOfSpares({
    each = () => ({}),
    init = {},
    role = 'worker',
  }: {
    each?: (node: Node) => ApiPart;
    init?: ApiPart;
    role?: 'manager' | 'worker';
  } = {}): Promise<Swarm> {
    const [founder, ...others] = this.spares;
    if (!founder) throw new Inconclusive('suite', 'the lab has no spare node');
    const founded = await this.found(founder, { ...each(founder), ...init });
    for (const node of others) await founded.join(node, role, each(node));
    return founded;
  }

  /**
   * Takes a node out of the Swarm, as `docker swarm leave` does on it. Its engine answers when it has stopped taking part; what
   * it had of the Swarm may go a moment later.
   *
   * @param force also if it is a manager, and even the last.
   */
  async leave(node: Node, { force = false } = {}): Promise<void> {
    node.hurt = true;
    await this.#time.spend('swarm', () => node.api.swarmLeave({ force }));
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    node.role = 'spare';
    this.#spares.push(node);
  }

  /**
   * Puts all nodes of the lab on a further network, as another cable between them does. The lab network stays what it is.
   *
   * @returns by node, its interface on that network and its addresses there.
   */
  async cable(wire: Wire): Promise<Record<string, Plug>> {
    return this.#time.spend('lab', () => layCable(this.lab, this.everyone, wire));
  }

  /** Cuts a node off from the other hosts of the lab network, as a pulled cable does, until {@link Swarm.mend}. */
  async cut(node: Node, what: CutOptions = {}): Promise<void> {
    node.hurt = true;
    await cut(
      node,
      this.#hosts.filter((host) => host !== node),
      what,
    );
  }

  /** Ends {@link Swarm.cut}. */
  async mend(): Promise<void> {
    await mend(this.#hosts);
  }

  /** All hosts of the lab network. */
  get #hosts() {
    return [...this.everyone, this.outsider];
  }

  /** The members whose engines run, as far as we did not end them. */
  get up(): readonly Node[] {
    return this.#nodes.filter(({ up }) => up);
  }

  get managers(): Node[] {
    return this.nodes.filter(({ role }) => role === 'manager');
  }

  get workers(): Node[] {
    return this.nodes.filter(({ role }) => role === 'worker');
  }

  /** The manager the suite talks to: the first that is up. */
  get manager(): Node {
    const first = this.managers.find(({ up }) => up);
    if (!first) throw new Inconclusive('lab', 'the Swarm has no manager that runs');
    return first;
  }

  /** A node by name. @throws Inconclusive when there is none. */
  node(name: string): Node {
    const found = this.nodes.find((node) => node.name === name);
    if (!found) throw new Inconclusive('suite', `there is no node ${name}`);
    return found;
  }

  /** Asks nodes the same, all that are up unless told otherwise and all at once; answers by node name. */
  async everywhere<T>(look: (node: Node) => Promise<T>, nodes = this.up): Promise<Record<string, T>> {
    const answers = nodes.map(async (node) => [node.name, await look(node)] as const);
    return this.#time.spend('observing', async () => Object.fromEntries(await Promise.all(answers)));
  }

  /** What the API says now. */
  async view(): Promise<SwarmView> {
    const view = await this.#time.spend('observing', () => viewSwarm(this.manager.api));
    this.journal.viewed(view, () => this.view());
    return view;
  }

  /**
   * What passes the uplinks of nodes while something happens: every node listens before it begins and stops after its end.
   *
   * @param filter of pcap-filter(7), see {@link CaptureOptions}.
   * @returns packets by node name, and what `happens` returned.
   */
  async uplinks<T>(
    filter: string,
    happens: () => Promise<T>,
    nodes = this.nodes,
  ): Promise<{ packets: Record<string, Packet[]>; result: T }> {
    const captures = await Promise.all(
      nodes.map(async ({ name, vantage }) => [name, await vantage.listen({ link: UPLINK, filter })] as const),
    );
    const result = await happens();
    const packets = captures.map(async ([name, capture]) => [name, await capture.stop()] as const);
    return { packets: Object.fromEntries(await Promise.all(packets)), result };
  }

  /** A service as the API shows it now. @throws Inconclusive when there is none of that name. */
  async service(name: string): Promise<ServiceView> {
    return serviceIn(await this.view(), name);
  }

  /** The network namespace of a task, or of a container that no service made. */
  inside(task: Pick<TaskView, 'node' | 'pid' | 'containerName'>): Vantage {
    return this.node(task.node).inside(task.pid, shortName(task));
  }

  /**
   * The addresses behind names, in the order heard, as one task on each node hears it that runs any on this network.
   *
   * @param options.proto `tcp` asks by TCP at once; else only what is cut short is asked for again by it.
   */
  async hear(
    view: SwarmView,
    network: string,
    names: readonly string[],
    options: { proto?: 'udp' | 'tcp' } = {},
  ): Promise<Record<string, Record<string, string[]>>> {
    const heard = taskOnEachNode(view, network).map(
      async (asker) =>
        [asker.node, Object.fromEntries(await this.inside(asker).addresses(names, options))] as const,
    );
    return Object.fromEntries(await Promise.all(heard));
  }

  /** Inside the first task of the service `client`, which every stack has to ask from. */
  async client(): Promise<Vantage> {
    const [task] = (await this.service('client')).tasks;
    if (!task) throw new Inconclusive('lab', 'the client does not run');
    return this.inside(task);
  }

  /** Forgets what a clause started beside the Swarm: the next one, which shares it, starts its own, so that each can be judged by itself. */
  forget(): void {
    this.#upstream = undefined;
  }

  /** A DNS server on the outsider, which knows names of its own; started when it is first asked for. */
  async upstream(): Promise<Upstream> {
    this.#upstream ??= Upstream.start(this.outsider.address, (script) => this.outsider.must(script));
    return this.#upstream;
  }

  /** The text of a file as a task sees it. */
  async file(task: TaskView, path: string): Promise<string> {
    return this.node(task.node).vantage.must(`cat /proc/${task.pid}/root${path}`);
  }

  /** Every task a service has or had, also those that were shut down or failed, newest first. */
  async history(name: string): Promise<TaskRecord[]> {
    return this.#time.spend('observing', () => viewHistory(this.manager.api, name));
  }

  /** The same, with the life of each task's container. */
  async lives(name: string): Promise<TaskLife[]> {
    const records = await this.history(name);
    return this.#time.spend('observing', () =>
      Promise.all(
        records.map(async (record): Promise<TaskLife> => {
          const life = record.container && (await viewLife(this.node(record.node).api, record.container));
          return life ? { ...record, life } : record;
        }),
      ),
    );
  }

  /** A service as a manager holds it: what was asked for, and how far an update is. */
  async record(name: string): Promise<ServiceRecord> {
    return this.#time.spend('observing', () => viewRecord(this.manager.api, name));
  }

  /** What a task's container has printed, line by line: the workload's own record of signals and drains. */
  async logs(task: Pick<TaskView, 'node' | 'container'>): Promise<string[]> {
    const container = this.node(task.node).api.getContainer(task.container);
    const frames = await container.logs({ stdout: true, stderr: true, follow: false });
    return logLines(frames);
  }

  /** Kills a task's container, as a crash would. Swarm starts another task in its place, after the restart delay of 5 s. */
  async kill(task: TaskView): Promise<void> {
    await this.#time.spend('swarm', () => this.node(task.node).api.getContainer(task.container).kill());
  }

  /**
   * Changes a service, as `docker service update` does; does not wait for what follows.
   *
   * @param change laid over its specification, in the words of Docker's API; arrays replace what was there. A function
   *   makes the new specification out of the old one, such as one that lacks something.
   */
  async update(name: string, change: ApiPart | ((spec: ApiPart) => ApiPart)): Promise<void> {
    const service = this.manager.api.getService(name);
    await this.#time.spend('swarm', async () => {
      const { Version, Spec } = await service.inspect();
      const changed = typeof change === 'function' ? change({ ...Spec }) : laidOver(Spec, change);
      await service.update({ ...changed, version: Version.Index } as never);
    });
  }

  /** Sets the number of a service's tasks; does not wait for them. */
  async scale(name: string, replicas: number): Promise<void> {
    await this.update(name, { Mode: { Replicated: { Replicas: replicas } } });
  }

  /** Has every task of a service replaced by a new one, as `docker service update --force` does; does not wait for it. */
  async replaceTasks({ name }: Pick<ServiceView, 'name'>): Promise<void> {
    const { Spec } = await this.manager.api.getService(name).inspect();
    await this.update(name, { TaskTemplate: { ForceUpdate: (Spec.TaskTemplate.ForceUpdate ?? 0) + 1 } });
  }

  /** Says what a node may do, as `docker node update --availability` does; does not wait for what follows. */
  async setAvailability(name: string, availability: 'active' | 'pause' | 'drain'): Promise<void> {
    const { api } = this.manager;
    await this.#time.spend('swarm', async () => {
      const { id = '' } = (await viewNodes(api)).find((node) => node.name === name) ?? {};
      const node = api.getNode(id);
      const { Version, Spec } = await node.inspect();
      await node.update({ ...Spec, Availability: availability, version: Version.Index });
    });
  }

  /** Takes a service back to the specification before its last update, as `docker service rollback` does. */
  async rollback(name: string): Promise<void> {
    const service = this.manager.api.getService(name);
    const { Version, Spec } = await service.inspect();
    // The specification sent along is not looked at, but must be valid (moby daemon/cluster/services.go, UpdateService).
    await service.update({ ...Spec, version: Version.Index, rollback: 'previous' } as never);
  }

  /**
   * The running containers of services, as `NAME on NODE`: the engines know them even when the managers have forgotten the
   * services.
   */
  async containersOf(...services: readonly string[]): Promise<string[]> {
    const label = 'com.docker.swarm.service.name';
    const found = await this.everywhere(({ api }) => api.listContainers({ filters: { label: [label] } }));
    return Object.entries(found).flatMap(([node, all]) =>
      all
        .filter(({ Labels }) => services.includes(Labels[label] ?? ''))
        .map(({ Names }) => `${Names.join().replace(/^\//, '')} on ${node}`),
    );
  }

  /** Removes a service; does not wait until its tasks are gone. */
  async remove(name: string): Promise<void> {
    await this.#time.spend('swarm', () => this.manager.api.getService(name).remove());
  }

  /**
   * The balancers of all networks, at one moment on each node that takes part: everywhere for ingress, where a task runs
   * for an overlay.
   *
   * @throws Violation when a node that takes part in a network has no balancer for it.
   */
  async balancers(view: SwarmView, aspects?: readonly Aspect[]): Promise<Balancer[]> {
    const tasks = view.services.flatMap((service) => service.tasks);
    const states = await this.everywhere((node) => node.observe(aspects, ['lb_*', INGRESS_SANDBOX]));
    return this.up.flatMap(({ name: node, generation }) => {
      const networks = view.networks.filter(
        ({ name, ingress }) => ingress || tasks.some((task) => task.node === node && task.addresses[name]),
      );
      return networks.map((network) => {
        const name = lbNamespace(network, generation);
        const state = states[node]?.find((one) => one.name === name);
        if (!state)
          throw new Violation(`${node} takes part in ${network.name} without a namespace ${name}`, { node });
        return { node, network: network.name, markChain: generation.vipMark.chain, state };
      });
    });
  }

  /** The balancer that a task's packets to the virtual IPs of a network pass: that of its own node. */
  async balancerOf(
    task: TaskView,
    network: NetworkView,
    aspects?: readonly Aspect[],
  ): Promise<NamespaceState> {
    const node = this.node(task.node);
    return node.namespace(lbNamespace(network, node.generation), aspects);
  }

  /** Inside the balancer that a task's packets to the virtual IPs of a network pass. */
  insideBalancer(task: TaskView, network: NetworkView): Vantage {
    const node = this.node(task.node);
    return node.within(lbNamespace(network, node.generation));
  }

  /**
   * Kernel state of the namespace in which a node bridges an overlay: its VXLAN interface and the ends of its endpoints.
   *
   * @throws Inconclusive (observer) when the node has none, or several of one network.
   */
  async overlay(node: string, network: NetworkView, aspects?: readonly Aspect[]): Promise<NamespaceState> {
    const states = await this.node(node).observe(aspects, ['[0-9]*-*']);
    const [state, ...others] = states.filter(
      ({ name }) => withoutEpoch(name, [network]) === overlayNamespace(network),
    );
    if (!state || others.length > 0)
      throw new Inconclusive(
        'observer',
        `${node} has ${others.length + (state ? 1 : 0)} namespaces of ${network.name}`,
        {
          node,
        },
      );
    return state;
  }

  /** Kernel state of a task's namespace. */
  async taskNamespace(
    task: Pick<TaskView, 'node' | 'container'>,
    aspects?: readonly Aspect[],
  ): Promise<NamespaceState> {
    const inspected = await this.node(task.node).api.getContainer(task.container).inspect();
    const key = inspected.NetworkSettings as unknown as { SandboxKey: string };
    return this.node(task.node).namespace(key.SandboxKey.slice(key.SandboxKey.lastIndexOf('/') + 1), aspects);
  }

  /**
   * Creates the networks and services of a stack; `settled` tells when they serve. Of many tasks some begin when those before
   * them run.
   *
   * @throws Inconclusive (lab) when they never do, or one cannot be created.
   */
  async deploy({ networks, services }: Stack): Promise<void> {
    await this.#time.spend('swarm', async () => {
      for (const spec of networks) await this.createNetwork(spec);
      let starting = 0;
      for (const spec of services) {
        const tasks = spec.replicas === 'global' ? this.nodes.length : spec.replicas;
        let begun = Math.min(tasks, MOST_STARTING);
        if (starting + begun > MOST_STARTING) {
          await this.#allRun();
          starting = 0;
        }
        await this.create(spec.replicas === 'global' ? spec : { ...spec, replicas: begun }).catch((error) => {
          throw new Inconclusive('lab', `${spec.name} could not be created: ${messageOf(error)}`, {
            node: this.manager.name,
            cause: error,
          });
        });
        starting += begun;
        while (begun < tasks) {
          await this.#allRun();
          starting = Math.min(tasks - begun, MOST_STARTING);
          begun += starting;
          await this.scale(spec.name, begun);
        }
      }
    });
  }

  /** Waits until every service has its tasks. */
  async #allRun(): Promise<void> {
    let missing: readonly string[] = [];
    const all = async () => {
      missing = unfinished(await viewSwarm(this.manager.api));
      return missing.length === 0 || undefined;
    };
    await until('the first services of a large stack to run', all, ALL_RUN).catch((error) => {
      throw new Inconclusive('lab', `${messageOf(error)}; ${missing.join(', ')}`, { cause: error });
    });
  }

  /** Creates an overlay, through the API of the manager unless told otherwise, and returns its id. */
  async createNetwork(spec: NetworkSpec, through = this.manager): Promise<string> {
    return (await through.api.createNetwork(createNetworkBody(spec) as never)).id;
  }

  /** Removes a network; does not wait until the nodes that used it have done so, too. */
  async removeNetwork(name: string): Promise<void> {
    await this.#time.spend('swarm', () => this.manager.api.getNetwork(name).remove());
  }

  /** Creates one service on networks that exist, through the API of the manager unless told otherwise. */
  async create(spec: ServiceSpec, through = this.manager): Promise<void> {
    const names = this.nodes.map(({ name }) => name);
    await this.#time.spend('swarm', () => through.api.createService(createServiceBody(spec, names) as never));
  }

  /** Makes a node a manager or a worker; does not wait until it is one. */
  async setRole(member: Node, role: Node['role']): Promise<void> {
    const { name } = member;
    await this.#time.spend('swarm', async () => {
      const listed = (await this.manager.api.listNodes()) as {
        ID: string;
        Version: { Index: number };
        Description: { Hostname: string };
        Spec: object;
      }[];
      const node = listed.find(({ Description }) => Description.Hostname === name);
      if (!node) throw new Inconclusive('lab', `${this.manager.name} lists no node ${name}`);
      await this.manager.api
        .getNode(node.ID)
        .update({ ...node.Spec, Role: role, version: node.Version.Index } as never);
    });
    member.role = role;
  }

  /**
   * Waits until on every node tasks = DNS = IPVS = marks, by member, and stays so.
   *
   * @param among see {@link Swarm.agreement}.
   * @returns how long that took (ms).
   * @throws Violation with the timeline of what differed, per node.
   */
  async settled(bounds: Convergence = SETTLE, among: Among = {}): Promise<number> {
    const nodes = among.apart ? `all but ${among.apart.map(({ name }) => name).join(' and ')}` : 'all nodes';
    return this.#time.spend('settling', () =>
      converge(`${nodes} agree on every service`, async () => (await this.agreement(among)).problems, bounds),
    );
  }

  /** What its manager says is not as it shall be: nodes that are not ready, services of which more or fewer tasks run; one line each. */
  async missing(): Promise<string[]> {
    const [nodes, view] = await Promise.all([viewNodes(this.manager.api), viewSwarm(this.manager.api)]);
    return [
      ...unready(
        nodes,
        this.nodes.map(({ name }) => name),
      ),
      ...unfinished(view),
    ];
  }

  /**
   * What every witness says now, and where they disagree.
   *
   * @param among.apart nodes cut off from the others: neither they nor tasks on them count, and no task need be there in their
   *   place yet. What is left is the truth on the others' side.
   */
  async agreement({ apart = [] }: Among = {}): Promise<{
    view: SwarmView;
    witnesses: NodeWitness[];
    problems: string[];
  }> {
    const whole = await viewSwarm(this.manager.api);
    const names = apart.map(({ name }) => name);
    const view = apart.length > 0 ? withoutNodes(whole, names) : whole;
    const missing = unfinished(view);
    // While tasks are still starting, nothing else can agree: asking every node would only slow them down.
    if (missing.length > 0) return { view, witnesses: [], problems: missing };
    const asked = await Promise.all(
      this.up
        .filter(({ name }) => !names.includes(name))
        .map((node) =>
          this.#witness(node, view).catch((error: unknown) => {
            if (error instanceof Violation) return error.message;
            throw error;
          }),
        ),
    );
    const silent = asked.filter((one) => typeof one === 'string');
    const witnesses = asked.filter((one) => typeof one !== 'string');
    if (silent.length > 0) return { view, witnesses, problems: silent };
    return { view, witnesses, problems: disagreements(view, witnesses) };
  }

  /**
   * Waits until the tables of every node that takes part hold what the running tasks need and nothing else, see {@link inexact}:
   * what is on its way out has gone. For when all witnesses agree, see {@link Swarm.settled}, and no plain container is on an overlay.
   *
   * @returns how long it took (ms).
   * @throws Violation with the timeline.
   */
  async cleared(bounds: Convergence): Promise<number> {
    const problems = async () => {
      const [view, tables] = await Promise.all([
        viewSwarm(this.manager.api),
        Promise.all(this.up.map((node) => tablesOf(node))),
      ]);
      return inexact(view, tables);
    };
    return converge('the tables of every node hold nothing but the running tasks', problems, bounds);
  }

  async #witness(node: Node, view: SwarmView): Promise<NodeWitness> {
    const namespaces = await observeNode(node.toolbox, ['ipvs', 'rules'], ['lb_*', INGRESS_SANDBOX]);
    const dns: NodeWitness['dns'] = {};
    const own = view.services.flatMap(({ tasks }) => tasks).filter((task) => task.node === node.name);
    const overlays = view.networks.filter(
      ({ name, ingress }) => !ingress && own.some(({ addresses }) => addresses[name]),
    );
    for (const { name: network } of overlays) {
      const asker = taskOnEachNode(view, network).find((task) => task.node === node.name);
      if (!asker) continue;
      const names = view.services
        .filter(({ networks }) => networks.includes(network))
        .flatMap(({ name }) => [name, `tasks.${name}`]);
      // Asked with the network's name: a task on two networks may be told of either when it asks for the name alone.
      const heard = await node
        .inside(asker.pid, shortName(asker), { quietly: true })
        .addresses(names.map((name) => `${name}.${network}`))
        .catch(async (error: unknown) => {
          // An engine that was killed or cut off may not have told yet what became of its tasks: that is a disagreement, too.
          const { status } = await node.toolbox.run(`[ -e /proc/${asker.pid}/ns/net ]`);
          if (status === 0) throw error;
          throw new Violation(`${node.name}: ${asker.containerName} is said to run, but its process is gone`);
        });
      dns[network] = Object.fromEntries(names.map((name) => [name, heard.get(`${name}.${network}`) ?? []]));
    }
    return { node: node.name, generation: node.generation, namespaces, dns };
  }

  /** Ends every connection. */
  close(): void {
    for (const { toolbox } of [...this.everyone, this.outsider]) toolbox.close();
    this.labLogs?.close();
  }
}

/** Reads all of a node's tables that `inexact` judges in one go. */
async function tablesOf({ name, address, generation, toolbox }: Node): Promise<NodeTables> {
  const namespaces = await readNode(toolbox, [
    { which: ['lb_*', INGRESS_SANDBOX], aspects: ['ipvs', 'rules', 'links'] },
    { which: ['[0-9]*-*'], aspects: ['forwarding', 'neighbours'] },
  ]);
  return { node: name, address, generation, namespaces };
}
