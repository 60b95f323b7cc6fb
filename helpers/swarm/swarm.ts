import { gunzipSync } from 'node:zlib';
import type Docker from 'dockerode';
import { type Generation, generationOf } from '../catalogue/catalogue.ts';
import { type EngineAddress, engineClient } from '../engine/client.ts';
import { Inconclusive, Violation } from '../errors.ts';
import { datagramByHand, pingByHand, probeByHand, trafficByHand } from '../observe/by-hand.ts';
import { Capture, type CaptureOptions } from '../observe/capture.ts';
import { ipvsChangesCommand } from '../observe/ipvs-over-time.ts';
import { Journal, type Place } from '../observe/journal.ts';
import { type LogPlaces, LogReader } from '../observe/logs.ts';
import { type Aspect, type NamespaceState, observeNode, type Reading, readNode } from '../observe/node.ts';
import { datagramCommand, type Echo, parseEchoes, pingCommand } from '../observe/packets.ts';
import { type IpvsChange, parseIpvsChanges } from '../observe/parse/ipvs-changes.ts';
import type { Packet } from '../observe/parse/pcap.ts';
import { type Listener, parseListeners } from '../observe/parse/ss.ts';
import {
  type DnsAnswer,
  failed,
  type ProbeRequest,
  parseLine,
  parseSamples,
  probeCommand,
  type SampleOf,
} from '../observe/probe.ts';
import { type Plain, quote, type Run, Toolbox } from '../observe/shell.ts';
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
import { LAB_NETWORK, type NodeFacts, type SwarmFacts, type ToolboxFacts } from './facts.ts';
import type { Ongoing } from './meanwhile.ts';
import { unready, viewNodes } from './membership.ts';
import { EMBEDDED_DNS, type NetworkOnNode, viewNetwork } from './network.ts';
import {
  type ApiPart,
  createNetworkBody,
  createServiceBody,
  laidOver,
  type NetworkSpec,
  type ServiceSpec,
  type Stack,
} from './services.ts';
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

/** The probe, where every toolbox has it. */
const PROBE = '/usr/bin/probe';

/** More operations than any clause can wait for, and fewer than the probe refuses. */
const ENDLESS = 1e8;

/** The interface by which a node is on the lab network: the first and only one its container gets. */
export const UPLINK = 'eth0';

/**
 * How long the product may take until all nodes tell the same after a change. Calibrated: 10-17 s for a service of three
 * replicas under emulation; the rest is for a loaded host.
 */
const SETTLE: Convergence = { withinMs: 180_000, holdMs: 1000, everyMs: 500 };

/** Traffic that is being sent. */
export interface Underway<R extends ProbeRequest> {
  /** Its samples until now, in the order in which they ended. */
  soFar: () => Promise<SampleOf<R>[]>;
  /** Waits until it ends by itself, which must be soon, and returns all its samples. */
  ended: () => Promise<SampleOf<R>[]>;
  /** Lets it finish what is running and returns all its samples. @throws Inconclusive (observer) when the probe broke. */
  stop: () => Promise<SampleOf<R>[]>;
}

/** Which nodes are asked whether they agree: all that are up unless some stand apart. */
export interface Among {
  apart?: readonly Node[];
}

/** Takes note of traffic: what was asked, and what became of it. */
type NoteTraffic = <R extends ProbeRequest>(request: R, samples: readonly SampleOf<R>[]) => void;

/** A place from which traffic is sent: a task's network namespace, a node's, or a host outside the Swarm. */
export class Vantage {
  readonly name: string;
  readonly #run: Run;
  readonly #note: NoteTraffic;

  /** @param note is told of all traffic that is sent from here. */
  constructor(name: string, run: Run, note: NoteTraffic = () => {}) {
    this.name = name;
    this.#run = run;
    this.#note = note;
  }

  /**
   * Sends traffic from here and returns what became of each operation; failures are samples too.
   *
   * @throws Inconclusive (observer) when the probe itself broke.
   */
  async probe<R extends ProbeRequest>(request: R): Promise<SampleOf<R>[]> {
    // Ours: every operation may time out one after another, and starting the probe takes its time under emulation.
    const operations =
      (request.count ?? 1) *
      ('to' in request ? [request.to].flat().length : request.kind === 'dns' ? request.questions.length : 1);
    const held = request.kind === 'hold' ? request.ms : 0;
    const { text, status } = await this.#run(
      probeCommand(PROBE, request),
      30_000 + held + operations * ((request.timeoutMs ?? 5000) + (request.intervalMs ?? 0)),
      () => probeByHand(request),
    );
    if (status !== 0)
      throw new Inconclusive('observer', `the probe at ${this.name} ended with ${status}: ${text.trim()}`);
    return this.#noted(request, parseSamples(request, text));
  }

  #noted<R extends ProbeRequest>(request: R, samples: SampleOf<R>[]): SampleOf<R>[] {
    this.#note(request, samples);
    return samples;
  }

  /**
   * Traffic from here that goes on while something is done, for {@link meanwhile}: operations one after another, each at its
   * time even while others hang, until it is ended; what is under way then is finished. Held connections end after their time.
   *
   * @param request all of its targets get their turn. 5 operations a second unless it says otherwise, which emulation bears
   *   from several places at once.
   */
  sending<R extends ProbeRequest>(request: R): Ongoing<SampleOf<R>[]> {
    const sustained =
      request.kind === 'hold'
        ? request
        : {
            count: ENDLESS,
            intervalMs: 200,
            rounds: true,
            ...(request.kind === 'dns' ? { window: 16 } : { parallel: 16 }),
            ...request,
          };
    return async () => {
      const end = await this.begin(probeCommand(PROBE, sustained), () => trafficByHand(request));
      const lastMs = (request.timeoutMs ?? 5000) + (request.kind === 'hold' ? request.ms : 0);
      return async () => {
        const samples = parseSamples(sustained, await end(lastMs), { stopped: true }) as SampleOf<R>[];
        return this.#noted(request, samples);
      };
    };
  }

  /**
   * Starts a command here that goes on beside whatever else is done here, and waits until it has printed something.
   *
   * @param plain how anyone does the same by hand, where that is not the command itself.
   * @returns what sends it TERM, waits for its end, at most `lastMs` and what emulation takes, and gives all it printed.
   * @throws Inconclusive (observer) when it ends with another status than 0.
   */
  async begin(command: string, plain?: Plain): Promise<(lastMs: number) => Promise<string>> {
    const { end } = await this.#begin(command, plain);
    return end;
  }

  /**
   * Traffic from here that can be looked at while it goes on: for what becomes of connections that stand when something is done.
   * It begins at once; {@link Vantage.sending} is simpler where the end is all that counts.
   */
  async underway<R extends ProbeRequest>(request: R): Promise<Underway<R>> {
    const { folder, end } = await this.#begin(probeCommand(PROBE, request), () => trafficByHand(request));
    const lastMs = (request.timeoutMs ?? 5000) + (request.kind === 'hold' ? request.ms : 0);
    return {
      soFar: async () => {
        const text = await this.must(`cat ${folder}/out`, () => []);
        // Its last line may be half written.
        const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
        return lines.filter((line) => line !== '').map((line) => parseLine(request, line));
      },
      ended: async () => this.#noted(request, parseSamples(request, await end(lastMs, { stop: false }))),
      stop: async () => this.#noted(request, parseSamples(request, await end(lastMs), { stopped: true })),
    };
  }

  async #begin(command: string, plain: Plain = () => [command]) {
    const script = [
      'folder=$(mktemp -d /tmp/ongoing.XXXXXX) && cd "$folder" || exit 1',
      `( ${command} & echo $! > pid; wait $!; echo $? > status ) > out 2>&1 &`,
      'until [ -s out ] || [ -s status ]; do sleep 0.05; done; echo "$folder"',
    ].join('\n');
    const aside = () => plain().map((one) => `( ${one} ) > /tmp/meanwhile.$$ 2>&1 &`);
    const folder = (await this.must(`sh -c ${quote(script)}`, aside)).trim();
    const end = async (lastMs: number, { stop = true } = {}) => {
      const script = [
        `cd ${folder} || exit 1`,
        ...(stop ? ['kill -TERM "$(cat pid)" 2>/dev/null'] : []),
        // What a minute of traffic printed takes a console of the guest seconds, a tenth of it when packed.
        'until [ -s status ]; do sleep 0.05; done; gzip -c out | base64 -w 0; exit "$(cat status)"',
      ].join('; ');
      const { text: packed, status } = await this.#run(`sh -c ${quote(script)}`, 60_000 + lastMs, () => [
        'cat /tmp/meanwhile.*; rm -f /tmp/meanwhile.*',
      ]);
      // Where the place is gone meanwhile, as of a task that was replaced, there is only what the shell says of that.
      const text = packed.startsWith(GZIP) ? gunzipSync(Buffer.from(packed, 'base64')).toString() : packed;
      if (status === 0) return text;
      const said = text.trim().slice(-300);
      throw new Inconclusive('observer', `\`${command}\` at ${this.name} ended with ${status}: ${said}`);
    };
    return { folder, end };
  }

  /**
   * Asks the embedded DNS, or another server, for A records, each name `count` times.
   *
   * @returns the answers in the order asked, with records in the order received.
   * @throws Violation when the embedded DNS does not answer a query at all, Inconclusive when another server does not; an
   *   answer that says no is an answer.
   */
  async resolve(
    names: readonly string[],
    {
      count = 1,
      window = 1,
      type = 'A' as const,
      server = EMBEDDED_DNS,
      proto = 'udp' as const,
    }: {
      count?: number;
      window?: number;
      type?: 'A' | 'AAAA' | 'PTR';
      server?: string;
      proto?: 'udp' | 'tcp';
    } = {},
  ): Promise<DnsAnswer[]> {
    const questions = names.map((name) => ({ name, type }));
    const samples = await this.probe({ kind: 'dns', server, questions, count, window, proto });
    return samples.map((sample) => {
      if (!failed(sample)) return sample;
      const silence = `${names[sample.q]} asked from ${this.name} got no answer: ${sample.error}`;
      throw server === EMBEDDED_DNS ? new Violation(silence) : new Inconclusive('observer', silence);
    });
  }

  /** Addresses in the answer to each name, in the order received; one cut short is asked for again by TCP, as resolvers do (RFC 7766). */
  async addresses(names: readonly string[]): Promise<Map<string, string[]>> {
    const short = await this.resolve(names);
    const cut = short.flatMap(({ q, flags }) => (flags.tc ? [q] : []));
    const whole =
      cut.length > 0
        ? await this.resolve(
            cut.map((q) => names[q] ?? ''),
            { proto: 'tcp' },
          )
        : [];
    const answers = [
      ...short.filter(({ q }) => !cut.includes(q)),
      ...whole.map((answer) => ({ ...answer, q: cut[answer.q] })),
    ];
    return new Map(
      names.map((name, i) => [
        name,
        answers
          .find(({ q }) => q === i)
          ?.answers.filter(({ type }) => type === 'A')
          .map(({ data }) => data) ?? [],
      ]),
    );
  }

  /**
   * Sends one ICMP echo request with the DF bit to each target at once, and waits for all answers.
   *
   * @param targets `bytes` are of payload: the packet has {@link ECHO_HEADERS} more.
   * @param seconds how long an answer is waited for.
   */
  async ping(targets: readonly { to: string; bytes: number }[], seconds = 3): Promise<Echo[]> {
    return parseEchoes(
      targets,
      await this.must(pingCommand(targets, seconds), () => pingByHand(targets, seconds)),
    );
  }

  /** Sends the same UDP datagram `count` times, from a fresh port. */
  async send(to: { address: string; port: number }, data: Buffer, count = 1): Promise<void> {
    await this.must(datagramCommand(to, data, count), () => [datagramByHand(to, data, count)]);
  }

  /** Starts to listen to what passes here; {@link Capture.stop} gives the packets. */
  async listen(options: CaptureOptions): Promise<Capture> {
    return Capture.start(this.name, this.#run, options);
  }

  /** Runs a command here. @param plain see {@link Toolbox.run}. @throws Inconclusive (observer) when it fails. */
  async must(script: string, plain?: Plain): Promise<string> {
    const { text, status } = await this.#run(script, 60_000, plain);
    if (status !== 0)
      throw new Inconclusive(
        'observer',
        `a command at ${this.name} ended with ${status}: \`${script}\`: ${text.trim()}`,
      );
    return text;
  }
}

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
          ...(plain && { plain: enter === null ? plain : () => plain().map((one) => entered(enter, one)) }),
        }),
      );
    return new Vantage(
      name,
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

  /**
   * Cuts it off from the other hosts of the lab network, as a pulled cable does, until {@link Node.mend}: nothing passes to or
   * from them. Its API stays within our reach.
   *
   * @param ports cuts only what goes to these ports, TCP and UDP, either way.
   */
  async cut({ ports = [] }: { ports?: readonly number[] } = {}): Promise<void> {
    this.hurt = true;
    const { subnet, gateway } = LAB_NETWORK;
    const all = [`-s ${gateway} -j RETURN`, `-d ${gateway} -j RETURN`, `-s ${subnet} -d ${subnet} -j DROP`];
    const some = ports.flatMap((port) =>
      ['udp', 'tcp'].map((protocol) => `-s ${subnet} -d ${subnet} -p ${protocol} --dport ${port} -j DROP`),
    );
    // In raw, which comes first: before connection tracking knows the packet, and before nat changes where it goes.
    await this.toolbox.must(
      [
        `iptables -t raw -N ${CUT}`,
        ...(ports.length > 0 ? some : all).map((rule) => `iptables -t raw -A ${CUT} ${rule}`),
        ...['PREROUTING', 'OUTPUT'].map((chain) => `iptables -t raw -I ${chain} -j ${CUT}`),
      ].join(' && '),
    );
  }

  /** Ends {@link Node.cut}. */
  async mend(): Promise<void> {
    await this.toolbox.must(
      [
        ...['PREROUTING', 'OUTPUT'].map((chain) => `iptables -t raw -D ${chain} -j ${CUT}`),
        `iptables -t raw -F ${CUT}`,
        `iptables -t raw -X ${CUT}`,
      ].join(' && '),
    );
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

/** How gzip begins (RFC 1952), as base64 has it. */
const GZIP = 'H4sI';

/** A command as it is run in another namespace; what goes on beside the next ones keeps doing so. */
function entered(enter: string, command: string): string {
  const [, inner = '', rest = ''] = /^\( (.*) \)( > .* &)$/s.exec(command) ?? [];
  return rest ? `( ${enter} ${inner} )${rest}` : `${enter} ${command}`;
}

/** Ours: an engine answers 5-10 s after it was started; the rest is for a loaded host. */
const ENGINE_ANSWERS = { withinMs: 120_000, everyMs: 300 };

/** Chain of the rules by which a node is cut off. */
export const CUT = 'SWARMPROOF-CUT';

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

  /** The addresses behind names, in the order heard, as one task on each node hears it that runs any on this network. */
  async hear(
    view: SwarmView,
    network: string,
    names: readonly string[],
  ): Promise<Record<string, Record<string, string[]>>> {
    const heard = taskOnEachNode(view, network).map(
      async (asker) => [asker.node, Object.fromEntries(await this.inside(asker).addresses(names))] as const,
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
   * The running containers of a service, as `NAME on NODE`: the engines know them even when the managers have forgotten the
   * service.
   */
  async containersOf(service: string): Promise<string[]> {
    const filters = { label: [`com.docker.swarm.service.name=${service}`] };
    const found = await this.everywhere(({ api }) => api.listContainers({ filters }));
    return Object.entries(found).flatMap(([node, all]) =>
      all.map(({ Names }) => `${Names.join().replace(/^\//, '')} on ${node}`),
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

  /** Creates the networks and services of a stack; `settled` tells when they serve. */
  async deploy({ networks, services }: Stack): Promise<void> {
    await this.#time.spend('swarm', async () => {
      for (const spec of networks) await this.createNetwork(spec);
      for (const spec of services) await this.create(spec);
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
