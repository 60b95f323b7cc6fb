/**
 * The pool's daemon: owns the labs of one run, lends them to workers, and ends with the run.
 *
 * Playwright throws a worker away after every red test, and a runner can be killed; labs must survive the first and not the
 * second. So they belong to a process of their own, which reads a pipe that only the runner holds: when the pipe closes,
 * everything ends. Guests end even when this process is killed (see machine.ts).
 */
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { Inconclusive, messageOf, UsageError } from '../errors.ts';
import { Cache } from '../lab/cache.ts';
import { cellsOfRun } from '../lab/cells.ts';
import { readSettings, type Settings } from '../lab/settings.ts';
import { pass } from '../waiting.ts';
import { Cells } from './cells.ts';
import type { AnswerLine, PoolCalls, Provider } from './protocol.ts';
import { openRunFolder, sweepRuns } from './runs.ts';

/** Ours: a lab is gone in a second or two, one in a slow engine of the user's in half a minute. */
const CLOSE_MS = 60_000;

const outlive = process.argv.includes('--outlive');

async function main(): Promise<void> {
  const cells = cellsOfRun();
  const [{ name, settings } = { name: '', settings: readSettings() }, ...others] = cells;
  if (outlive && others.length > 0)
    throw new UsageError(
      `one lab can be kept, and CELLS=${settings.CELLS} has ${cells.length} cells: leave CELLS out.`,
    );
  const cache = await new Cache(settings.LAB_CACHE).open();
  const swept = await sweepRuns(cache.root);
  const run = await openRunFolder(cache.root);
  const lent = new Cells(cells, run.folder, async (cell, folder) => {
    await fs.mkdir(folder, { recursive: true, mode: 0o700 });
    return cell.settings.LAB === 'vm'
      ? new (await import('./vm-provider.ts')).VmProvider(cell.settings, folder)
      : dockerProvider(cell.settings, folder);
  });

  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= (async () => {
      server.close();
      // An engine that no longer answers must not keep this process: what is left in it, the next run sweeps.
      const closed = lent.close().catch((error) => process.stderr.write(`lab: ${messageOf(error)}\n`));
      await Promise.race([closed, pass(CLOSE_MS)]);
      await run[Symbol.asyncDispose]();
      process.exit(0);
    })();
    return ending;
  };

  const handle = async (call: string, request: never, progress: (line: string) => void): Promise<unknown> => {
    const calls: {
      [C in keyof PoolCalls]: (request: PoolCalls[C]['request']) => Promise<PoolCalls[C]['answer']>;
    } = {
      async prepare({ cell, slots }) {
        if (swept > 0) progress(`removed what ${swept} killed run${swept > 1 ? 's' : ''} had left`);
        return lent.prepare(cell, slots, progress);
      },
      lease: (wanted) => lent.lease(wanted, progress),
      async unsettled({ cell, stack, why }) {
        await lent.unsettled(cell, stack, why);
        return null;
      },
      keep: (request) => lent.keep(request, progress),
      async spoilt({ slot }) {
        await lent.spoilt(slot, progress);
        return null;
      },
      async release({ slot }) {
        await lent.release(slot);
        return null;
      },
      status: ({ cell }) => lent.status(cell),
      async stop() {
        // Answered first: ending closes the socket the answer would take.
        setImmediate(() => void end());
        return null;
      },
    };
    const known = calls[call as keyof PoolCalls];
    if (!known) throw new Inconclusive('suite', `the pool does not know ${call}`);
    return known(request);
  };

  const server = http.createServer(async (request, response) => {
    const send = (line: AnswerLine) => response.write(`${JSON.stringify(line)}\n`);
    try {
      const body = JSON.parse(await text(request)) as never;
      send({ result: await handle((request.url ?? '').slice(1), body, (progress) => send({ progress })) });
    } catch (error) {
      const reason = error instanceof Inconclusive ? error.reason : 'lab';
      send({
        error: {
          kind: error instanceof UsageError ? 'usage' : 'inconclusive',
          reason,
          message: messageOf(error),
        },
      });
    }
    response.end();
  });
  // Cold labs take minutes; nobody waits in vain, since callers see the socket close when this process ends.
  server.requestTimeout = 0;
  server.listen(run.socket);
  await once(server, 'listening');

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end());
  if (outlive)
    await fs.writeFile(
      path.join(run.folder, 'kept.json'),
      JSON.stringify({ socket: run.socket, pid: process.pid, cell: name, settings }),
    );
  else process.stdin.on('close', () => void end()).resume();
  process.stdout.write(`${JSON.stringify({ socket: run.socket })}\n`);
}

async function dockerProvider(settings: Settings, folder: string): Promise<Provider> {
  const { DockerProvider, engineOfEnvironment } = await import('./docker-provider.ts');
  return new DockerProvider(settings, folder, await engineOfEnvironment());
}

await main().catch((error) => {
  process.stdout.write(`${JSON.stringify({ error: messageOf(error) })}\n`);
  process.exitCode = 1;
});
