import { createWriteStream, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { messageOf } from '../errors.ts';
import { holds } from '../verdict/model.ts';
import { readVerdict } from '../verdict/read.ts';
import type { Judgement } from './log.ts';

const REPOSITORY = path.dirname(path.dirname(import.meta.dirname));

/** What judges: a runner in a folder, and what it is given beside the settings of a judgement. */
export interface Suite {
  /** Folder of the Playwright project. */
  folder: string;
  /** The runner's program for Node. */
  runner: string;
  /** Variables for the run of one version. */
  env?: (version: string) => Record<string, string>;
}

/** This suite. */
export const THIS_SUITE: Suite = {
  folder: REPOSITORY,
  runner: path.join(REPOSITORY, 'node_modules', '@playwright', 'test', 'cli.js'),
};

/** One judgement to be made. */
export interface Order {
  clause: string;
  /** The setting and its value. */
  varies: string;
  version: string;
  /** Folder for what the run leaves. */
  outDir: string;
}

/**
 * Judges one clause at one version in a run of its own, which starts on a fresh restore: nothing of one judgement is left for the next.
 *
 * @param say is given each line that tells what the lab does.
 * @param stop asks the run to end, which it does in its own order.
 * @returns the judgement, open when the run says nothing on the clause; undefined when it was stopped.
 */
export async function judgeBySuite(
  { folder, runner, env }: Suite,
  { clause, varies, version, outDir }: Order,
  say: (line: string) => void,
  stop: AbortSignal,
): Promise<Omit<Judgement, 'at' | 'folder'> | undefined> {
  if (stop.aborted) return undefined;
  // What an interrupted judgement left must not be taken for this one's.
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  const reporter = path.join(REPOSITORY, 'reports', 'reporter.ts');
  const words = ['test', '--grep', `\\b${clause}\\b`, '--workers=1', `--reporter=${reporter}`];
  const run = execa(process.execPath, [runner, ...words], {
    cwd: folder,
    // One cell of the run's own, whatever set of them this terminal is used to.
    env: { ...env?.(version), [varies]: version, OUT_DIR: outDir, CELLS: undefined },
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
  });
  // The runner ends its lab and its workers on this signal. A terminal's Ctrl-C has reached it already; it takes both for one.
  const interrupt = () => run.kill('SIGINT');
  stop.addEventListener('abort', interrupt);
  const output = createWriteStream(path.join(outDir, '..', `${path.basename(outDir)}.txt`));
  let last = '';
  for await (const line of createInterface({ input: run.all })) {
    output.write(`${line}\n`);
    if (line.startsWith('lab:')) say(line);
    if (line.trim()) last = line.trim();
  }
  const { exitCode, signal } = await run;
  stop.removeEventListener('abort', interrupt);
  await new Promise((resolve) => output.end(resolve));
  if (stop.aborted) return undefined;
  return { version, ...found(clause, outDir, `the run ended with ${signal ?? exitCode}: ${last}`) };
}

/** What the run in this folder says of a clause. */
function found(
  clause: string,
  outDir: string,
  otherwise: string,
): Omit<Judgement, 'at' | 'folder' | 'version'> {
  try {
    const { clauses, cells } = readVerdict(outDir);
    const [verdict] = clauses.filter(({ id }) => id === clause);
    const [cell] = cells;
    const engines = cell?.engines ? [...new Set(Object.values(cell.engines))] : null;
    const facts = { kernel: cell?.kernel ?? null, engines };
    if (!verdict) return { outcome: 'open', why: otherwise, ...facts };
    const held = holds(verdict);
    const outcome = held === undefined ? 'open' : held ? 'holds' : 'broken';
    const grounds = [verdict.reason, verdict.node && `on ${verdict.node}`, verdict.message].filter(Boolean);
    return { outcome, why: [verdict.verdict, ...grounds].join(': ').replaceAll(/\s*\n\s*/g, ' '), ...facts };
  } catch (error) {
    return { outcome: 'open', why: `${otherwise} (${messageOf(error)})`, kernel: null, engines: null };
  }
}
