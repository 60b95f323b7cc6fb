import type Docker from 'dockerode';
import { type Generation, generationOf } from '../catalogue/catalogue.ts';
import { Inconclusive } from '../errors.ts';
import { ipvsChangesCommand } from '../observe/ipvs-over-time.ts';
import type { Journal, Place } from '../observe/journal.ts';
import { type Aspect, type NamespaceState, observeNode, type Reading, readNode } from '../observe/node.ts';
import { type IpvsChange, parseIpvsChanges } from '../observe/parse/ipvs-changes.ts';
import { type Listener, parseListeners } from '../observe/parse/ss.ts';
import { quote, type Run, type Toolbox } from '../observe/shell.ts';
import type { Stopwatch } from '../verdict/stopwatch.ts';
import { until } from '../waiting.ts';
import type { NodeFacts } from './facts.ts';
import type { Ongoing } from './meanwhile.ts';
import { type NetworkOnNode, viewNetwork } from './network.ts';
import type { ApiPart } from './services.ts';
import { Vantage } from './vantage.ts';
import { logLines, type SwarmView } from './view.ts';

/** The interface by which a node is on the lab network: the first and only one its container gets. */
export const UPLINK = 'eth0';

/** Ours: an engine answers 5-10 s after it was started; the rest is for a loaded host. */
const ENGINE_ANSWERS = { withinMs: 120_000, everyMs: 300 };

/** A Swarm member, seen through its own engine's API and the tools beside it. */
export class Node {
  readonly name: string;
  /** What it is in the Swarm; a spare runs an engine and is in none. */
  role: 'manager' | 'worker' | 'spare';
  /** Its address on the lab network. */
  readonly address: string;
  /** Version its engine reports. */
  readonly engine: string;
  readonly generation: Generation;
  readonly api: Docker;
  /** Its container in the lab's engine. */
  readonly container: Docker.Container;
  readonly toolbox: Toolbox;
  /** From the node's own network namespace. */
  readonly vantage: Vantage;
  /** Whether its engine runs, as far as we did not end it. */
  up = true;
  /** Whether something was done to it that others lose sight of it by: its engine was ended or frozen, it was cut off or lost, it left. */
  hurt = false;
  readonly #time: Stopwatch;

  readonly #journal: Journal<SwarmView>;

  constructor(
    facts: NodeFacts,
    api: Docker,
    container: Docker.Container,
    toolbox: Toolbox,
    time: Stopwatch,
    journal: Journal<SwarmView>,
  ) {
    this.#journal = journal;
    this.name = facts.name;
    this.role = facts.role;
    this.address = facts.address;
    this.engine = facts.engine;
    this.generation = generationOf(facts.engine);
    this.api = api;
    this.container = container;
    this.toolbox = toolbox;
    this.#time = time;
    this.vantage = this.#vantage(facts.name, null, { kind: 'host', node: facts.name });
  }

  /**
   * A place on this node.
   *
   * @param enter a command that runs the words after it there; null for the node's own namespace, where the shell is.
   * @param place what traffic from there is noted under; null for traffic that is none of the clause's.
   */
  #vantage(name: string, enter: string | null, place: Place | null): Vantage {
    const run: Run = (script, limitMs, plain) =>
      this.#time.spend('observing', () =>
        this.toolbox.run(enter === null ? script : `${enter} ${script}`, {
          limitMs,
          ...(plain && { plain: enter === null ? plain : () => plain().map((one) => `${enter} ${one}`) }),
        }),
      );
    return new Vantage(
      name,
      this.name,
      run,
      place ? (request, samples) => this.#journal.note(place, request, samples) : undefined,
    );
  }

  /** Kernel state of its namespaces, see observeNode. */
  async observe(aspects?: readonly Aspect[], which?: readonly string[]): Promise<NamespaceState[]> {
    return this.#time.spend('observing', () => observeNode(this.toolbox, aspects, which));
  }

  /** Different things of different namespaces, see {@link readNode}. */
  async read(readings: readonly Reading[]): Promise<NamespaceState[]> {
    return this.#time.spend('observing', () => readNode(this.toolbox, readings));
  }

  /** Kernel state of one namespace. @throws Inconclusive (observer) when the node has none of that name. */
  async namespace(name: string, aspects?: readonly Aspect[]): Promise<NamespaceState> {
    const [state] = await this.observe(aspects, [name]);
    if (!state)
      throw new Inconclusive('observer', `${this.name} has no namespace ${name}`, { node: this.name });
    return state;
  }

  /** Inside one of its namespaces: `name` is its file under /run/docker/netns. */
  within(name: string): Vantage {
    const entry = `nsenter --net=/proc/1/root/run/docker/netns/${name}`;
    return this.#vantage(`${name} on ${this.name}`, entry, { kind: 'namespace', node: this.name, name });
  }

  /** The sockets of its own namespace that wait for connections or datagrams. */
  async listeners(): Promise<Listener[]> {
    return parseListeners(await this.vantage.must('ss -Htulnp'));
  }

  /**
   * From the network namespace of one of its processes.
   *
   * @param what it is, for messages.
   * @param quietly what is asked is for the suite's own ends, and no traffic of the clause's.
   */
  inside(pid: number, what: string, { quietly = false } = {}): Vantage {
    const place: Place = { kind: 'process', node: this.name, pid, what };
    return this.#vantage(
      `${what} on ${this.name}`,
      `nsenter --net=/proc/${pid}/ns/net`,
      quietly ? null : place,
    );
  }

  /**
   * The IPVS table of one namespace while something is done, for {@link meanwhile}: at its beginning and whenever anything but
   * counters has changed, seen within a tenth of a second.
   */
  ipvsOverTime(namespace: string): Ongoing<IpvsChange[]> {
    return async () => {
      const end = await this.within(namespace).begin(ipvsChangesCommand(), () => [
        "sh -c 'while :; do date; ipvsadm -Ln --exact; sleep 0.5; done'",
      ]);
      return async () => parseIpvsChanges(await end(0));
    };
  }

  /** A network as this node's engine shows it. */
  async network(id: string): Promise<NetworkOnNode> {
    return this.#time.spend('observing', () => viewNetwork(this.name, this.api, id));
  }

  /**
   * Ends the node's engine: `TERM` as a service manager stops it, `KILL` as a crash does. It stays down until
   * {@link Node.startEngine}.
   */
  async endEngine(signal: 'TERM' | 'KILL'): Promise<void> {
    this.hurt = true;
    this.up = false;
    // The node's init starts its engine again unless this file says that it shall stay down (node-init.sh).
    const script = [
      'touch /proc/1/root/run/engine-down',
      `kill -${signal} $(cat /proc/1/root/run/docker.pid)`,
      'while [ -d /proc/$(cat /proc/1/root/run/docker.pid 2>/dev/null || echo none) ]; do sleep 0.2; done',
    ];
    const plain = () => [
      signal === 'TERM'
        ? 'systemctl stop docker.socket docker'
        : 'systemctl kill -s KILL docker; systemctl stop docker.socket docker',
    ];
    await this.toolbox.must(script.join('; '), { plain });
  }

  /** Waits until its engine answers, as it should soon after it was started. @throws Inconclusive (lab) when it does not. */
  async answers(): Promise<void> {
    const ask = async () => ((await this.api.ping()) ? true : undefined);
    await this.#time.spend('swarm', () => until(`${this.name} to answer`, ask, ENGINE_ANSWERS));
  }

  /** Has the node's init start its engine again; does not wait until it answers. */
  async startEngine(): Promise<void> {
    await this.toolbox.must('rm -f /proc/1/root/run/engine-down', {
      plain: () => ['systemctl start docker'],
    });
    this.up = true;
  }

  /**
   * Stops its engine as it stands, as a starved or swapped-out process does, until {@link Node.thawEngine}: whatever it was
   * asked stays unanswered, while its containers and the kernel go on.
   */
  async freezeEngine(): Promise<void> {
    this.hurt = true;
    await this.toolbox.must('kill -STOP $(cat /proc/1/root/run/docker.pid)');
  }

  /** Ends {@link Node.freezeEngine}. */
  async thawEngine(): Promise<void> {
    await this.toolbox.must('kill -CONT $(cat /proc/1/root/run/docker.pid)');
  }

  /** Drops what the node sends to a port, wherever that is, and what it forwards there for its containers. */
  async closeWayOut(port: number): Promise<void> {
    // In mangle, which comes before nat: a destination that nat would change is still the one that was meant.
    const rules = ['OUTPUT', 'FORWARD'].flatMap((chain) =>
      ['udp', 'tcp'].map(
        (protocol) => `iptables -t mangle -I ${chain} -p ${protocol} --dport ${port} -j DROP`,
      ),
    );
    await this.toolbox.must(rules.join(' && '));
  }

  /**
   * Gives its engine settings for daemon.json (docs: dockerd, daemon configuration file) and starts it anew with them; does not
   * wait until it answers.
   */
  async configureEngine(settings: ApiPart): Promise<void> {
    await this.endEngine('TERM');
    await this.toolbox.must(
      `mkdir -p /proc/1/root/etc/docker && printf %s ${quote(JSON.stringify(settings))} > /proc/1/root/etc/docker/daemon.json`,
    );
    await this.startEngine();
  }

  /** What its engine has logged since a moment (epoch ms), line by line. */
  async log(since: number): Promise<string[]> {
    const frames = await this.container.logs({
      stdout: true,
      stderr: true,
      follow: false,
      since: since / 1000,
    });
    return logLines(frames);
  }

  /** Kills the node with everything on it, as a power failure does. Nothing can be asked of it any more. */
  async lose(): Promise<void> {
    this.hurt = true;
    this.up = false;
    await this.container.kill();
  }
}
