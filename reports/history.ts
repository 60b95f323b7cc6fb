import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../helpers/errors.ts';
import { type Cell, type ClauseVerdict, VERDICTS, type VerdictFile } from '../helpers/verdict/model.ts';

/** Runs that are remembered; the oldest go first. A run of all clauses takes about 12 KB. */
export const REMEMBERED_RUNS = 200;

const FILE = 'runs.jsonl';

const cellSchema = z.strictObject({
  name: z.string(),
  kernel: z.string().nullable(),
  /** Engine versions, each once, sorted. */
  engines: z.array(z.string()),
});

const runSchema = z.strictObject({
  id: z.string(),
  startedAt: z.iso.datetime(),
  /** Wall clock of the run, in ms. */
  totalMs: z.number(),
  cells: z.array(cellSchema),
  /** By cell and clause; what was inconclusive found nothing out and is no part of it. */
  clauses: z.record(
    z.string(),
    z.record(z.string(), z.strictObject({ verdict: z.enum(VERDICTS), durationMs: z.number() })),
  ),
});

/** What is remembered of one run. */
export type RememberedRun = z.infer<typeof runSchema>;
/** What is remembered of a cell. */
export type RememberedCell = z.infer<typeof cellSchema>;
/** Runs, the oldest first. */
export type History = readonly RememberedRun[];

/** What is remembered of a cell. */
export function rememberedCell({ name, kernel, engines }: Cell): RememberedCell {
  return { name, kernel, engines: [...new Set(Object.values(engines ?? {}))].toSorted() };
}

/**
 * The runs remembered in a folder; none where there is nothing yet.
 *
 * @throws with one sentence when the file is not such a memory.
 */
export function readHistory(folder: string): History {
  const file = join(folder, FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line, index) => {
    try {
      return runSchema.parse(JSON.parse(line));
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
      throw new Error(`line ${index + 1} of ${file} is not a run (${why}): mend it or remove the file`);
    }
  });
}

/** Adds a run to what a folder remembers, unless it found nothing out. */
export function remember(folder: string, history: History, verdict: VerdictFile): void {
  const run = rememberedRun(verdict);
  if (Object.keys(run.clauses).length === 0) return;
  const runs = [...history.filter(({ id }) => id !== run.id), run].slice(-REMEMBERED_RUNS);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, FILE);
  writeFileSync(`${file}.part`, runs.map((one) => `${JSON.stringify(one)}\n`).join(''));
  renameSync(`${file}.part`, file);
}

function rememberedRun({ run, cells, clauses, time }: VerdictFile): RememberedRun {
  const found = Map.groupBy(
    clauses.filter(({ verdict }) => verdict !== 'inconclusive'),
    ({ cell }) => cell,
  );
  const verdicts = [...found].map(([cell, own]) => [
    cell,
    Object.fromEntries(own.map(({ id, verdict, durationMs }) => [id, { verdict, durationMs }])),
  ]);
  return {
    id: run.id,
    startedAt: run.startedAt,
    totalMs: time.total,
    cells: cells.map(rememberedCell),
    clauses: Object.fromEntries(verdicts),
  };
}

/** An earlier verdict on a clause. */
export interface Seen {
  verdict: ClauseVerdict['verdict'];
  run: RememberedRun;
}

/** What is remembered of one clause in one cell. */
export interface Past {
  /** Every earlier verdict, the oldest first. */
  seen: Seen[];
  /** The newest earlier verdict. */
  last?: Seen;
  /** The oldest run since which the verdict is what it is now; absent when it is new. */
  since?: RememberedRun;
  /** The newest earlier verdict that was another one than now. */
  before?: Seen;
}

/** What earlier runs found about a clause in a cell of the same name, whatever kernel and engine it had then. */
export function pastOf({ id, cell, verdict }: ClauseVerdict, history: History, run: { id: string }): Past {
  const seen = history
    .filter((earlier) => earlier.id !== run.id)
    .flatMap((earlier) => {
      const found = earlier.clauses[cell]?.[id];
      return found === undefined ? [] : [{ verdict: found.verdict, run: earlier }];
    });
  const before = seen.findLast((one) => one.verdict !== verdict);
  const streak = before === undefined ? seen : seen.slice(seen.lastIndexOf(before) + 1);
  return {
    seen,
    ...(seen.length > 0 ? { last: seen.at(-1) as Seen } : {}),
    ...(streak[0] === undefined ? {} : { since: streak[0].run }),
    ...(before === undefined ? {} : { before }),
  };
}

/** How long a clause took in the newest of the remembered runs that judged it, by cell and id (ms). */
export function durations(
  history: History,
): (clause: Pick<ClauseVerdict, 'cell' | 'id'>) => number | undefined {
  return ({ cell, id }) =>
    history.findLast((run) => run.clauses[cell]?.[id] !== undefined)?.clauses[cell]?.[id]?.durationMs;
}
