import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { Inconclusive, messageOf, UsageError } from '../errors.ts';
import type { AnswerLine, PoolCall, PoolCalls } from './protocol.ts';

/** Environment variable by which workers find the pool of their run. */
export const POOL_SOCKET = 'SWARMPROOF_POOL';

/** Talks to a pool's daemon over its Unix socket. */
export class PoolClient {
  readonly socket: string;

  constructor(socket: string) {
    this.socket = socket;
  }

  /** The pool of this run. @throws Inconclusive when global set-up did not run. */
  static ofThisRun(): PoolClient {
    const socket = process.env[POOL_SOCKET];
    if (!socket) throw new Inconclusive('suite', `${POOL_SOCKET} is not set: global set-up did not run.`);
    return new PoolClient(socket);
  }

  /** @throws UsageError or Inconclusive as the pool says; Inconclusive (lab) when the pool is gone. */
  async call<C extends PoolCall>(
    call: C,
    request: PoolCalls[C]['request'],
    progress: (line: string) => void = () => {},
  ): Promise<PoolCalls[C]['answer']> {
    const sent = http.request({ socketPath: this.socket, path: `/${call}`, method: 'POST', agent: false });
    sent.end(JSON.stringify(request));
    try {
      const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
      for await (const line of readline.createInterface({ input: response })) {
        const answer = JSON.parse(line) as AnswerLine;
        if ('progress' in answer) progress(answer.progress);
        else if ('result' in answer) return answer.result as PoolCalls[C]['answer'];
        else if (answer.error.kind === 'usage') throw new UsageError(answer.error.message);
        else throw new Inconclusive(answer.error.reason, answer.error.message);
      }
    } catch (error) {
      if (error instanceof UsageError || error instanceof Inconclusive) throw error;
      throw new Inconclusive('lab', `the lab's pool is gone (${messageOf(error)})`, { cause: error });
    }
    throw new Inconclusive('lab', `the lab's pool ended before it had answered ${call}`);
  }
}

/** A daemon started by this process. */
export interface StartedPool {
  client: PoolClient;
  process: ChildProcess;
}

/**
 * Starts a pool's daemon.
 *
 * @param options.outlive whether it outlives this process (`lab up`). If not, it holds our pipe, and ends with everything
 *   it started as soon as this process is gone, however it went.
 */
export async function startPool(options: {
  outlive: boolean;
  env?: NodeJS.ProcessEnv;
}): Promise<StartedPool> {
  const daemon = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'daemon.ts'), options.outlive ? '--outlive' : '--lifeline'],
    {
      // A session of its own: Ctrl-C reaches the runner, which ends the pool in its own order.
      detached: true,
      stdio: ['pipe', 'pipe', options.outlive ? 'ignore' : 'inherit'],
      env: { ...process.env, ...options.env },
    },
  );
  const [line] = await Promise.race([
    once(readline.createInterface({ input: daemon.stdout as NodeJS.ReadableStream }), 'line'),
    once(daemon, 'exit').then(([code]) => [
      JSON.stringify({ error: `the lab's pool did not start (exit ${code})` }),
    ]),
  ]);
  const said = JSON.parse(String(line)) as { socket?: string; error?: string };
  if (!said.socket) throw new UsageError(said.error ?? "the lab's pool did not start");
  daemon.unref();
  // Pipes are sockets in Node; held open they would keep this process from ending.
  for (const pipe of [daemon.stdin, daemon.stdout]) (pipe as Socket | null)?.unref();
  return { client: new PoolClient(said.socket), process: daemon };
}
