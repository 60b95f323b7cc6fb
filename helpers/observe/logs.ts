import fs from 'node:fs/promises';
import { Inconclusive, messageOf } from '../errors.ts';
import { exchange } from '../transcript/transcript.ts';
import { quote, Shell } from './shell.ts';

/** Where a lab's logs can be read without asking any engine; serialisable. */
export interface LogPlaces {
  /** File on this host that the guest's kernel log is written to, from warnings up. */
  kernel: string;
  /** Socket of a console on which a shell of the guest runs, for nothing else. */
  shell: string;
  /** Each node's log in the guest, as Docker's driver json-file writes it, by node. */
  engines: Record<string, string>;
}

/** Lines of a lab's logs, oldest first. */
export interface LogLines {
  kernel: string[];
  engines: Record<string, string[]>;
}

/** Ours: a few kilobytes through a console take milliseconds. */
const READ_LIMIT_MS = 30_000;

/** Reads what was logged since it last looked. */
export class LogReader {
  readonly #places: LogPlaces;
  /** Bytes read so far, by file. */
  readonly #read = new Map<string, number>();
  #shell: Shell | undefined;

  constructor(places: LogPlaces) {
    this.#places = places;
  }

  /**
   * What was logged since the last call; the first call gives the kernel's lines since the guest was restored,
   * and all there is of the nodes.
   *
   * @throws Inconclusive (observer) when a log cannot be read, if only that of one node.
   */
  async fresh(): Promise<LogLines> {
    return exchange('logs', 'what is new', () => this.#fresh());
  }

  async #fresh(): Promise<LogLines> {
    const { kernel, shell, engines } = this.#places;
    const whole = await fs.readFile(kernel, 'utf8').catch((error: unknown) => {
      throw new Inconclusive('observer', `the kernel's log could not be read: ${messageOf(error)}`);
    });
    this.#shell ??= await Shell.onConsole(shell);
    const files = Object.entries(engines);
    const script = files
      .map(([, file]) => `printf '\\n@@\\n'; tail -c +${(this.#read.get(file) ?? 0) + 1} ${quote(file)}`)
      .join(' && ');
    const { text, status } = await this.#shell.run(script, READ_LIMIT_MS);
    const parts = text.split('\n@@\n').slice(1);
    if (status !== 0 || parts.length !== files.length)
      throw new Inconclusive('observer', `the nodes' logs could not be read: ${text.trim().slice(-1000)}`);
    return {
      kernel: this.#whole(kernel, whole.slice(this.#read.get(kernel) ?? 0)),
      engines: Object.fromEntries(
        files.map(([node, file], i) => [node, this.#whole(file, parts[i] ?? '').flatMap(messageIn)]),
      ),
    };
  }

  close(): void {
    this.#shell?.close();
  }

  /** The lines that are complete; the rest is read again the next time. */
  #whole(file: string, text: string): string[] {
    const complete = text.slice(0, text.lastIndexOf('\n') + 1);
    this.#read.set(file, (this.#read.get(file) ?? 0) + Buffer.byteLength(complete));
    return complete.split(/\r?\n/).filter((line) => line !== '');
  }
}

/** The message in a line of the driver json-file (moby daemon/logger/jsonfilelog/jsonlog). */
function messageIn(line: string): string[] {
  const { log } = JSON.parse(line) as { log: string };
  return log.trim() === '' ? [] : [log.trimEnd()];
}
