import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { ClientCertificates } from '../engine/certificates.ts';
import { Inconclusive, messageOf } from '../errors.ts';
import { exchange } from '../transcript/transcript.ts';

/** Ours: a line that loses something three times in a row is no line to work with. */
const MOST_SENDINGS = 3;

/** What a script printed (standard output and error, in order) and how it ended. */
export interface Output {
  text: string;
  status: number;
}

/** Ours, not the product's: the slowest observation takes a few seconds, long traffic says how long it takes. */
const DEFAULT_LIMIT_MS = 60_000;

/** Commands of common tools that do what a script of ours does. */
export type Plain = () => readonly string[];

/** Runs a script in some place. */
export type Run = (script: string, limitMs: number, plain?: Plain) => Promise<Output>;

/** How a toolbox is reached. */
export interface ToolboxAddress {
  host: string;
  port: number;
  tls: ClientCertificates;
  /** Socket of a guest's console on which a shell of this toolbox already runs. */
  console?: string | undefined;
}

/**
 * One long-lived shell in a toolbox. A script costs 20-40 ms under emulation, where `docker exec` costs seconds. Scripts
 * run one after another.
 */
export class Shell {
  readonly #socket: Duplex & { ref(): unknown; unref(): unknown };
  #text = '';
  #wake: () => void = () => {};
  #broken: string | undefined;
  #serial = 0;

  private constructor(socket: tls.TLSSocket | net.Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      this.#text += chunk;
      this.#wake();
    });
    const broke = (why: string) => {
      this.#broken ??= why;
      this.#wake();
    };
    socket.on('error', (error) => broke(error.message));
    socket.on('close', () => broke('the connection was closed'));
    // A run must be able to end while idle shells are open.
    socket.unref();
  }

  /** A new shell, over TLS. */
  static async open({ host, port, tls: certificates }: ToolboxAddress): Promise<Shell> {
    // P-256: what both ends have compiled in assembly; the post-quantum default is slow under emulation.
    const socket = tls.connect({ host, port, ...certificates, ecdhCurve: 'P-256' });
    await once(socket, 'secureConnect');
    return new Shell(socket);
  }

  /** The shell that runs on a guest's console. */
  static async onConsole(path: string): Promise<Shell> {
    const socket = net.connect({ path });
    await once(socket, 'connect');
    return new Shell(socket);
  }

  get usable(): boolean {
    return this.#broken === undefined;
  }

  /** @throws Error when the script does not arrive whole, or does not end in time. */
  async run(script: string, limitMs: number): Promise<Output> {
    // The shell counts what it got before it runs it: a busy guest's console has been seen to lose a hundred bytes of a line.
    const bytes = Buffer.byteLength(script);
    const line = (mark: string) =>
      `s=${quote(script)}; if [ \${#s} -eq ${bytes} ]; then ( eval "$s" ) 2>&1 </dev/null; printf '\\n%s %s\\n' ${mark} $?; ` +
      `else printf '\\n%s lost\\n' ${mark}; fi\n`;
    for (let sent = 1; sent <= MOST_SENDINGS; sent += 1) {
      const output = await this.#write(line, limitMs);
      if (!Number.isNaN(output.status)) return output;
    }
    throw new Error(`a script of ${bytes} bytes did not arrive whole, ${MOST_SENDINGS} times`);
  }

  /**
   * Puts a shell elsewhere in this one's place, and waits until it is there.
   *
   * @param entry a command that runs the words after it in that place, such as `nsenter ...`.
   */
  async replace(entry: string, limitMs: number): Promise<void> {
    // Nothing may follow the line before the new shell reads: the old one would have taken it with it.
    await this.#write(
      (mark) => `exec ${entry} sh -c "printf '\\n%s 0\\n' ${mark}; exec sh 2>/dev/null"\n`,
      limitMs,
    );
  }

  async #write(line: (mark: string) => string, limitMs: number): Promise<Output> {
    // The end mark carries a serial number: output of an earlier script can never be taken for this one's.
    const mark = `--swarmproof-end-${++this.#serial}--`;
    this.#text = '';
    this.#socket.ref();
    const timer = setTimeout(() => {
      this.#broken ??= `no end of the script within ${limitMs / 1000} s`;
      this.#socket.destroy();
      this.#wake();
    }, limitMs);
    try {
      this.#socket.write(line(mark));
      for (;;) {
        const end = this.#text.indexOf(`\n${mark} `);
        const tail = end < 0 ? '' : this.#text.slice(end + mark.length + 2);
        if (tail.includes('\n')) return { text: this.#text.slice(0, end), status: Number.parseInt(tail, 10) };
        if (this.#broken)
          throw new Error(`${this.#broken}; it had printed: ${JSON.stringify(this.#text.slice(-300))}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
      this.#socket.unref();
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** The tools beside one node (or outside the Swarm): runs scripts, several at a time when asked to. */
export class Toolbox {
  readonly name: string;
  readonly #address: ToolboxAddress;
  readonly #idle: Shell[] = [];
  readonly #all = new Set<Shell>();
  #consoleTaken = false;

  /** @param name the node it stands beside, for messages. */
  constructor(name: string, address: ToolboxAddress) {
    this.name = name;
    this.#address = address;
  }

  /** The shell on the console first: it is there already; more shells come over TLS. */
  async #open(): Promise<Shell> {
    const { console } = this.#address;
    if (!console || this.#consoleTaken) return Shell.open(this.#address);
    // Taken before anything is awaited: two scripts that start at once must not share it.
    this.#consoleTaken = true;
    return Shell.onConsole(console);
  }

  /**
   * Runs a script with `sh`, in the node's network namespace.
   *
   * @param options.plain how anyone does the same by hand, where the script itself is not for that; one command each.
   * @throws Inconclusive (observer) when the shell cannot be reached or breaks; never for the script's own status.
   */
  async run(
    script: string,
    { limitMs = DEFAULT_LIMIT_MS, plain }: { limitMs?: number; plain?: Plain } = {},
  ): Promise<Output> {
    return exchange(`shell ${this.name}`, script, () => this.#run(script, limitMs), plain);
  }

  async #run(script: string, limitMs: number): Promise<Output> {
    let shell: Shell | undefined;
    try {
      shell = this.#idle.pop() ?? (await this.#open());
      this.#all.add(shell);
      return await shell.run(script, limitMs);
    } catch (error) {
      const first = script.trim().split('\n')[0];
      throw new Inconclusive(
        'observer',
        `the shell beside ${this.name} broke during \`${first}\`: ${messageOf(error)}`,
        {
          node: this.name,
          cause: error,
        },
      );
    } finally {
      if (shell?.usable) this.#idle.push(shell);
    }
  }

  /** Runs a script that must succeed. @throws Inconclusive (observer) with what it printed when it does not. */
  async must(script: string, options: { limitMs?: number; plain?: Plain } = {}): Promise<string> {
    const { text, status } = await this.run(script, options);
    if (status !== 0) {
      throw new Inconclusive(
        'observer',
        `a command beside ${this.name} ended with ${status}: \`${script.trim()}\`: ${text.trim()}`,
        {
          node: this.name,
        },
      );
    }
    return text;
  }

  close(): void {
    for (const shell of this.#all) shell.close();
  }
}

/** Quotes a word for `sh`. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
