/** What the values in a transcript are called by anyone: `10.0.1.4` is the virtual IP of `web` on `front`, process 385 on w2 is `client`. */

import type { Entry, Json } from '../transcript/transcript.ts';

type JsonObject = { [name: string]: Json | undefined };

/** An expression of the shell stands between these, so that it is told from text whatever that holds. */
const OPEN = '\u27e6';
const CLOSE = '\u27e7';
const MARK = new RegExp(`${OPEN}|${CLOSE}`);

/** Marks an expression of the shell in a text. */
export function shellExpression(expression: string): string {
  return `${OPEN}${expression}${CLOSE}`;
}

/** What `sh` takes as it is. */
const SAFE = /^[\w@%+=:,./-]*$/;

/** A text as one word of `sh`: its expressions are evaluated, everything else is taken as it is. */
export function word(text: string): string {
  const parts = text.split(MARK);
  const quoted = (part: string) => (SAFE.test(part) ? part : `'${part.replaceAll("'", `'\\''`)}'`);
  return parts.map((part, i) => (i % 2 === 1 ? `"${part}"` : quoted(part))).join('') || "''";
}

/** A command in words as text of `sh`, to be evaluated once more elsewhere: expressions are evaluated here, and quoted there. */
export function elsewhere(words: readonly string[]): string {
  return words
    .map((one) => {
      const parts = one.split(MARK);
      if (parts.every((part, i) => i % 2 === 1 || SAFE.test(part)) && one !== '') return one;
      const inner = (part: string, i: number) =>
        i % 2 === 1 ? shellExpression(part) : part.replaceAll("'", `'\\''`);
      return `'${parts.map(inner).join('')}'`;
    })
    .join(' ');
}

/** The host outside the Swarm, as transcripts name it. */
export const OUTSIDER = 'outsider';

/** The engine that nodes are containers of, as transcripts name it. */
export const LAB = 'lab';

/** A task, by what it is called in any Swarm. */
export interface TaskName {
  service: string;
  /** Slot, or the node's variable for a global service. */
  slot: string;
}

/** A container that is no task's. */
export interface Plain {
  name: string;
  /** The variable of the node it is on. */
  at: string;
}

/** Grows as a transcript is read, so that a value means what it meant at that time. */
export class Known {
  readonly #networks = new Map<string, string>();
  readonly #services = new Map<string, { name: string; spec: JsonObject }>();
  readonly #nodes = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  readonly #pids = new Map<string, TaskName | Plain>();
  readonly #containers = new Map<string, TaskName | Plain>();
  /** By node, and by what the file of their network namespace is called there. */
  readonly #sandboxes = new Map<string, TaskName | Plain>();
  /** Tokens by which managers joined. */
  readonly #managerTokens = new Set<string>();
  /** Names of networks that carried the routing mesh. */
  readonly ingress = new Set<string>(['ingress']);
  /** Tasks of the last list whose service or node has no name yet. */
  #unplaced: JsonObject[] = [];
  readonly #second = new Map<string, string>();
  readonly #names: readonly string[];

  /** @param nodes by name, with their addresses; {@link OUTSIDER} may be among them. What is no member is known by its host name alone. */
  constructor(nodes: readonly { name: string; address: string; role?: string }[]) {
    this.#names = nodes.map(({ name }) => name);
    for (const { name, address, role } of nodes) {
      const find = role === 'spare' ? 'host_address' : 'address';
      this.#addresses.set(address, name === OUTSIDER ? '$OUTSIDER_ADDRESS' : `$(${find} ${variable(name)})`);
    }
  }

  /** Takes in what an answer tells. */
  learn({ to, ask, answer }: Entry): void {
    const [kind, node = ''] = to.split(' ');
    if (kind !== 'api' || answer === null || typeof answer !== 'object') return;
    const [method, target = ''] = ask.split(/[ \n]/);
    const path = target.split('?')[0] ?? '';
    const all = (Array.isArray(answer) ? answer : [answer]) as JsonObject[];
    const of = (pattern: RegExp) => method === 'GET' && pattern.test(path);
    const learnt: [about: boolean, learn: (one: JsonObject) => void][] = [
      [node === LAB, (one) => this.#machine(one)],
      [
        method === 'POST' && path === '/containers/create',
        (one) => this.#created(node, target.split('?')[1], one),
      ],
      [of(/^\/containers\/[^/]+\/json$/), (one) => this.#container(node, one)],
      [of(/^\/networks(?:\/|$)/), (one) => this.#network(node, one)],
      [
        of(/^\/nodes(?:\/|$)/),
        (one) => this.#nodes.set(`${one.ID}`, `${(one.Description as JsonObject)?.Hostname}`),
      ],
      [of(/^\/services(?:\/|$)/), (one) => this.#service(one)],
      [of(/^\/tasks$/), (one) => this.#task(one)],
      [of(/^\/swarm$/), ({ JoinTokens }) => this.#tokens(JoinTokens as { Manager?: string } | undefined)],
    ];
    const [, learn] = learnt.find(([about]) => about) ?? [];
    if (path === '/tasks') this.#unplaced = [];
    if (learn) for (const one of all) learn(one);
    // They are asked for side by side, so the tasks may have come before what their services and nodes are called.
    if (/^\/(?:services|nodes)(?:\/|$)/.test(path))
      for (const one of this.#unplaced.splice(0)) this.#task(one);
  }

  /** Nodes that were put on a second network have an address there that is their machine's own. */
  #machine({ Config, NetworkSettings }: JsonObject): void {
    const name = this.#names.find((one) => one === (Config as JsonObject | undefined)?.Hostname);
    if (!name) return;
    for (const { IPAddress } of endpointsOf(NetworkSettings))
      if (IPAddress && !this.#addresses.has(IPAddress)) {
        this.#addresses.set(IPAddress, `${variable(name)}_DATA`);
        this.#second.set(name, IPAddress);
      }
  }

  #tokens(tokens: { Manager?: string } | undefined): void {
    if (tokens?.Manager) this.#managerTokens.add(tokens.Manager);
  }

  #created(node: string, query: string | undefined, { Id }: JsonObject): void {
    const given = new URLSearchParams(query).get('name');
    const plain = { name: given ?? `plain${this.#containers.size}`, at: variable(node) };
    this.#containers.set(`${Id}`, plain);
  }

  #container(node: string, { Id, State, NetworkSettings }: JsonObject): void {
    const known = this.#containers.get(`${Id}`);
    if (!known) return;
    const { SandboxKey } = (NetworkSettings ?? {}) as { SandboxKey?: string };
    if (SandboxKey) this.#sandboxes.set(`${node} ${SandboxKey.split('/').at(-1)}`, known);
    if ('service' in known) return;
    const { Pid } = (State ?? {}) as { Pid?: number };
    if (Pid) this.#pids.set(`${node} ${Pid}`, known);
    for (const { network, IPAddress } of endpointsOf(NetworkSettings))
      this.#plain(node, known, network, IPAddress);
  }

  #network(node: string, { Id, Name, Ingress, Containers }: JsonObject): void {
    this.#networks.set(`${Id}`, `${Name}`);
    if (Ingress === true) this.ingress.add(`${Name}`);
    for (const [id, { IPv4Address }] of Object.entries((Containers ?? {}) as Record<string, JsonObject>)) {
      const known = this.#containers.get(id);
      if (known && 'at' in known) this.#plain(node, known, `${Name}`, `${IPv4Address}`.split('/')[0]);
    }
  }

  /** Bridges of different nodes have the same addresses: what a node says of its own goes before what others say. */
  #plain(node: string, { name, at }: Plain, network: string, address: string | undefined): void {
    if (!address) return;
    const expression = `$(container_address ${at} ${name} ${network})`;
    this.#addresses.set(`${node} ${address}`, expression);
    if (!this.#addresses.has(address)) this.#addresses.set(address, expression);
  }

  #service(one: JsonObject): void {
    const spec = (one.Spec ?? {}) as JsonObject;
    const name = `${spec.Name}`;
    this.#services.set(`${one.ID}`, { name, spec });
    const { VirtualIPs = [] } = (one.Endpoint ?? {}) as {
      VirtualIPs?: { NetworkID: string; Addr?: string }[];
    };
    for (const { NetworkID, Addr } of VirtualIPs ?? [])
      if (Addr) this.#addresses.set(Addr.split('/')[0] ?? '', `$(vip ${name} ${this.network(NetworkID)})`);
  }

  #task(one: JsonObject): void {
    const task = one as unknown as {
      ServiceID?: string;
      NodeID?: string;
      Slot?: number;
      DesiredState?: string;
      Status?: { ContainerStatus?: { ContainerID?: string; PID?: number } };
      NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses?: string[] }[];
    };
    const service = this.#services.get(task.ServiceID ?? '')?.name;
    const node = task.NodeID ? this.#nodes.get(task.NodeID) : '';
    if (service === undefined || node === undefined) {
      this.#unplaced.push(one);
      return;
    }
    const name = { service, slot: task.Slot ? `${task.Slot}` : variable(node) };
    const { PID, ContainerID } = task.Status?.ContainerStatus ?? {};
    if (PID) this.#pids.set(`${node} ${PID}`, name);
    if (ContainerID) this.#containers.set(ContainerID, name);
    // What ended keeps its address in the list, which another may have by now.
    if (task.DesiredState !== 'running') return;
    for (const { Network, Addresses } of task.NetworksAttachments ?? []) {
      const address = Addresses?.[0]?.split('/')[0];
      if (address)
        this.#addresses.set(address, `$(task_address ${service} ${name.slot} ${Network.Spec.Name})`);
    }
  }

  /** Name of a network by id; what is no id is a name already. */
  network(id: string): string {
    return this.#networks.get(id) ?? id;
  }

  /** A service by id or name. */
  service(id: string): { name: string; spec: JsonObject } | undefined {
    return this.#services.get(id) ?? [...this.#services.values()].findLast(({ name }) => name === id);
  }

  node(id: string): string | undefined {
    return this.#nodes.get(id);
  }

  /** The task, or the container of no task, whose process or container this is. */
  container(where: { node: string; pid: string } | { container: string }): TaskName | Plain | undefined {
    return 'pid' in where
      ? this.#pids.get(`${where.node} ${where.pid}`)
      : this.#containers.get(where.container);
  }

  /** As what a node joins that has this token. */
  roleOf(token: string): 'manager' | 'worker' {
    return this.#managerTokens.has(token) ? 'manager' : 'worker';
  }

  /** Addresses that nodes have on a second network, by node. */
  get second(): ReadonlyMap<string, string> {
    return this.#second;
  }

  /**
   * A text with what is only so in this Swarm replaced by expressions that find the same in another.
   *
   * @param node where it is said, for what is known there alone.
   */
  generally(text: string, node = ''): string {
    const addresses = text.replaceAll(/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g, (address) => {
      const expression = this.#addresses.get(`${node} ${address}`) ?? this.#addresses.get(address);
      return expression ? shellExpression(expression) : address;
    });
    const namespaces = addresses.replaceAll(
      /\b(lb_|\d+-)([a-z0-9]{9,10})\b/g,
      (all, prefix: string, id: string) => {
        const [, name] = [...this.#networks].find(([known]) => known.startsWith(id)) ?? [];
        return name ? `${prefix}${shellExpression(`$(network_id ${name} | cut -c 1-${id.length})`)}` : all;
      },
    );
    const sandboxes = namespaces.replaceAll(
      /(?:\/proc\/1\/root)?\/run\/docker\/netns\/([0-9a-f]{12})\b/g,
      (all, key: string) => {
        const container = this.#sandboxes.get(`${node} ${key}`);
        return container ? shellExpression(`$(${namespaceCall(container)})`) : all;
      },
    );
    const ids = sandboxes.replaceAll(/\b(?:[a-z0-9]{25}|[0-9a-f]{64})\b/g, (id) => {
      const network = this.#networks.get(id);
      const container = this.#containers.get(id);
      if (network) return shellExpression(`$(network_id ${network})`);
      if (container) return containerExpression(container);
      return id;
    });
    return ids.replaceAll(/\bchroot \/proc\/1\/root |\/proc\/1\/root(?=\/)/g, '');
  }

  /** Host name of a node where one is named. */
  readonly renamed = (id: string): string => {
    if (this.#names.includes(id)) return shellExpression(variable(id));
    return this.generally(this.network(id));
  };
}

/** A container as the command line takes it: by its name, or by the id that the task has there. */
export function containerExpression(container: TaskName | Plain): string {
  return 'at' in container
    ? container.name
    : shellExpression(`$(container ${container.service} ${container.slot})`);
}

function namespaceCall(container: TaskName | Plain): string {
  return 'at' in container
    ? `container_namespace ${container.at} ${container.name}`
    : `task_namespace ${container.service} ${container.slot}`;
}

function endpointsOf(settings: Json | undefined): { network: string; IPAddress?: string }[] {
  const { Networks } = (settings ?? {}) as { Networks?: Record<string, { IPAddress?: string }> };
  return Object.entries(Networks ?? {}).map(([network, { IPAddress }]) => ({
    network,
    ...(IPAddress ? { IPAddress } : {}),
  }));
}

/** The variable of the script that has a node's host name. */
export function variable(node: string): string {
  return `$${node.toUpperCase()}`;
}
