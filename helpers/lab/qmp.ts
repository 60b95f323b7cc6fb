import { once } from 'node:events';
import readline from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { Inconclusive } from '../errors.ts';

interface Reply {
  QMP?: unknown;
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  id?: number;
}

/**
 * QEMU's machine protocol: one JSON object a line, over QEMU's own standard input and output.
 * Source: QEMU docs/interop/qmp-spec.rst.
 */
export class Qmp {
  readonly #input: Writable;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void; command: string }
  >();
  #next = 1;
  #ended: Error | undefined;
  readonly #greeting: Promise<void>;

  constructor(input: Writable, output: Readable) {
    this.#input = input;
    input.on('error', (error) => this.#end(error));
    const lines = readline.createInterface({ input: output });
    let greet: () => void = () => {};
    this.#greeting = new Promise((resolve) => {
      greet = resolve;
    });
    lines.on('line', (line) => {
      const reply = JSON.parse(line) as Reply;
      if (reply.QMP) greet();
      if (reply.id === undefined) return;
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error)
        waiting?.reject(new Inconclusive('lab', `QEMU refused ${waiting.command}: ${reply.error.desc}`));
      else waiting?.resolve(reply.return);
    });
    void once(lines, 'close').then(() => this.#end(new Error('QEMU ended')));
  }

  /** Waits for QEMU's greeting and takes up the conversation. @throws Inconclusive when QEMU ends first. */
  async open(): Promise<void> {
    const ended = new Promise<never>((_, reject) => {
      this.#waiting.set(0, { resolve: () => {}, reject, command: 'start' });
    });
    await Promise.race([this.#greeting, ended]);
    this.#waiting.delete(0);
    await this.command('qmp_capabilities');
  }

  /** Runs one command. @throws Inconclusive when QEMU refuses it or ends. */
  async command<T = unknown>(execute: string, args: Record<string, unknown> = {}): Promise<T> {
    if (this.#ended)
      throw new Inconclusive('lab', `QEMU has ended before ${execute}: ${this.#ended.message}`);
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) =>
      this.#waiting.set(id, { resolve, reject, command: execute }),
    );
    this.#input.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    return answer as Promise<T>;
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject, command } of this.#waiting.values()) {
      reject(new Inconclusive('lab', `QEMU ended during ${command}: ${error.message}`));
    }
    this.#waiting.clear();
  }
}
