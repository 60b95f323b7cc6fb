import { gunzipSync } from 'node:zlib';
import { Inconclusive, Violation } from '../errors.ts';
import { besideByHand, datagramByHand, pingByHand, probeByHand, trafficByHand } from '../observe/by-hand.ts';
import { Capture, type CaptureOptions } from '../observe/capture.ts';
import { datagramCommand, type Echo, parseEchoes, pingCommand } from '../observe/packets.ts';
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
import type { Ongoing } from './meanwhile.ts';
import { EMBEDDED_DNS } from './network.ts';

/** The probe, where every toolbox has it. */
const PROBE = '/usr/bin/probe';

/** More operations than any clause can wait for, and fewer than the probe refuses. */
const ENDLESS = 1e8;

/** How gzip begins (RFC 1952), as base64 has it. */
const GZIP = 'H4sI';

/** Traffic that is being sent. */
export interface Underway<R extends ProbeRequest> {
  /** Its samples until now, in the order in which they ended. */
  soFar: () => Promise<SampleOf<R>[]>;
  /** Waits until it ends by itself, which must be soon, and returns all its samples. */
  ended: () => Promise<SampleOf<R>[]>;
  /** Lets it finish what is running and returns all its samples. @throws Inconclusive (observer) when the probe broke. */
  stop: () => Promise<SampleOf<R>[]>;
}

/** Takes note of traffic: what was asked, and what became of it. */
type NoteTraffic = <R extends ProbeRequest>(request: R, samples: readonly SampleOf<R>[]) => void;

/** A place from which traffic is sent: a task's network namespace, a node's, or a host outside the Swarm. */
export class Vantage {
  readonly name: string;
  /** The node on which it is; undefined for a host outside the Swarm. */
  readonly node: string | undefined;
  readonly #run: Run;
  readonly #note: NoteTraffic;

  /** @param note is told of all traffic that is sent from here. */
  constructor(name: string, node: string | undefined, run: Run, note: NoteTraffic = () => {}) {
    this.name = name;
    this.node = node;
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
    const byHand = plain().map((one) => besideByHand(this.name, one));
    const folder = (await this.must(`sh -c ${quote(script)}`, () => byHand.map(({ begin }) => begin))).trim();
    const end = async (lastMs: number, { stop = true } = {}) => {
      const script = [
        `cd ${folder} || exit 1`,
        ...(stop ? ['kill -TERM "$(cat pid)" 2>/dev/null'] : []),
        // What a minute of traffic printed takes a console of the guest seconds, a tenth of it when packed.
        'until [ -s status ]; do sleep 0.05; done; gzip -c out | base64 -w 0; exit "$(cat status)"',
      ].join('; ');
      const { text: packed, status } = await this.#run(`sh -c ${quote(script)}`, 60_000 + lastMs, () =>
        byHand.map(({ end }) => end),
      );
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
   * @param options.mayBeSilent leaves out the queries that got no answer, as some engines give none for names they do not know
   *   (`unservedQuery`).
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
      mayBeSilent = false,
    }: {
      count?: number;
      window?: number;
      type?: 'A' | 'AAAA' | 'PTR';
      server?: string;
      proto?: 'udp' | 'tcp';
      mayBeSilent?: boolean;
    } = {},
  ): Promise<DnsAnswer[]> {
    const questions = names.map((name) => ({ name, type }));
    const samples = await this.probe({ kind: 'dns', server, questions, count, window, proto });
    return samples.flatMap((sample) => {
      if (!failed(sample)) return [sample];
      if (mayBeSilent && sample.error === 'timeout') return [];
      const silence = `${names[sample.q]} asked from ${this.name} got no answer: ${sample.error}`;
      throw server === EMBEDDED_DNS ? new Violation(silence) : new Inconclusive('observer', silence);
    });
  }

  /** Addresses in the answer to each name, in the order received; one cut short is asked for again by TCP, as resolvers do (RFC 7766). */
  async addresses(
    names: readonly string[],
    options: { mayBeSilent?: boolean; window?: number; proto?: 'udp' | 'tcp' } = {},
  ): Promise<Map<string, string[]>> {
    const short = await this.resolve(names, options);
    const cut = short.flatMap(({ q, flags }) => (flags.tc ? [q] : []));
    const whole =
      cut.length > 0
        ? await this.resolve(
            cut.map((q) => names[q] ?? ''),
            { ...options, proto: 'tcp' },
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
