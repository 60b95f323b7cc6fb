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

interface TaskName {
  service: string;
  /** Slot, or the node's variable for a global service. */
  slot: string;
}

/** Grows as a transcript is read, so that a value means what it meant at that time. */
export class Known {
  readonly #networks = new Map<string, string>();
  readonly #services = new Map<string, { name: string; spec: JsonObject }>();
  readonly #nodes = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  readonly #pids = new Map<string, TaskName>();
  readonly #containers = new Map<string, TaskName>();
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
    if (!to.startsWith('api ') || !ask.startsWith('GET ') || answer === null || typeof answer !== 'object')
      return;
    const path = ask.slice(4).split('?')[0] ?? '';
    const all = Array.isArray(answer) ? answer : [answer];
    const objects = all as JsonObject[];
    if (/^\/networks(?:\/|$)/.test(path))
      for (const one of objects) this.#networks.set(`${one.Id}`, `${one.Name}`);
    else if (/^\/nodes(?:\/|$)/.test(path))
      for (const one of objects) this.#nodes.set(`${one.ID}`, `${(one.Description as JsonObject)?.Hostname}`);
    else if (/^\/services(?:\/|$)/.test(path)) for (const one of objects) this.#service(one);
    else if (path === '/tasks') for (const one of objects) this.#task(one);
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
    if (!service) return;
    const node = this.#nodes.get(task.NodeID ?? '') ?? '';
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

  /** The task whose process or container this is. */
  task(where: { node: string; pid: string } | { container: string }): TaskName | undefined {
    return 'pid' in where
      ? this.#pids.get(`${where.node} ${where.pid}`)
      : this.#containers.get(where.container);
  }

  /** A text with what is only so in this Swarm replaced by expressions that find the same in another. */
  generally(text: string): string {
    const addresses = text.replaceAll(/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g, (address) => {
      const expression = this.#addresses.get(address);
      return expression ? shellExpression(expression) : address;
    });
    const namespaces = addresses.replaceAll(
      /\b(lb_|\d+-)([a-z0-9]{9,10})\b/g,
      (all, prefix: string, id: string) => {
        const [, name] = [...this.#networks].find(([known]) => known.startsWith(id)) ?? [];
        return name ? `${prefix}${shellExpression(`$(network_id ${name} | cut -c 1-${id.length})`)}` : all;
      },
    );
    const ids = namespaces.replaceAll(/\b(?:[a-z0-9]{25}|[0-9a-f]{64})\b/g, (id) => {
      const network = this.#networks.get(id);
      const container = this.#containers.get(id);
      if (network) return shellExpression(`$(network_id ${network})`);
      if (container) return shellExpression(`$(container ${container.service} ${container.slot})`);
      return id;
    });
    return ids.replaceAll(/\/proc\/1\/root(?=\/)/g, '');
  }

  /** Host name of a node where one is named. */
  readonly renamed = (id: string): string => {
    if (this.#names.includes(id)) return shellExpression(variable(id));
    return this.generally(this.network(id));
  };
}

/** The variable of the script that has a node's host name. */
export function variable(node: string): string {
  return `$${node.toUpperCase()}`;
}
