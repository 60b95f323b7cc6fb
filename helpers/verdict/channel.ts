import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import {
  type Cell,
  type CellRules,
  cellSchema,
  measurementSchema,
  rulesSchema,
  spentSchema,
  unknownCell,
} from './model.ts';

/** The project's own folder for what runs leave. */
export const DEFAULT_OUT_DIR = join(import.meta.dirname, '..', '..', 'reports', 'out');

/** Where this run leaves everything it has to say: the folder that the setting OUT_DIR names, else the project's own. */
export const OUT_DIR = resolve(process.env.OUT_DIR?.trim() || DEFAULT_OUT_DIR);

/** Where what `judge` finds out goes unless told otherwise. */
export const JUDGED_DIR = join(import.meta.dirname, '..', '..', 'reports', 'judged');

/** Environment variable that names the folder of a run, or of an opened bundle, whose transcripts are judged instead of a lab. */
export const REPLAY_VARIABLE = 'SWARMPROOF_REPLAY';

/** Where runs are remembered unless the setting HISTORY says otherwise. No run empties it. */
export const HISTORY_DIR = join(OUT_DIR, 'history');

const judgedSchema = z.strictObject({
  clause: z.string(),
  outcome: z.enum(['pass', 'fail', 'inconclusive']),
  reason: z.string(),
  message: z.string().optional(),
  node: z.string().optional(),
  spent: spentSchema,
  pace: z.number().optional(),
  measurements: z.array(measurementSchema).optional(),
});

/** What a worker concluded about one clause; the reporter combines it with how the test ended. */
export type Judged = z.infer<typeof judgedSchema>;

/** The part of a Playwright attachment that matters here. */
export interface Attachment {
  name: string;
  contentType: string;
  path?: string;
  body?: Buffer;
}

/** Name of the attachment that carries a judgement from the worker to the reporter. */
export const JUDGEMENT = 'judgement.json';

/** Name under which every drawing of a packet's walk is attached, as image/svg+xml. */
export const PACKET_WALK = "the packet's walk";

/** The arguments of `testInfo.attach` that hand a judgement to the reporter. */
export function judgementAttachment(judged: Judged): [string, { body: string; contentType: string }] {
  return [JUDGEMENT, { body: JSON.stringify(judgedSchema.parse(judged)), contentType: 'application/json' }];
}

/**
 * The last judgement on this clause among a test's attachments, or nothing if there is none.
 * @throws when an attachment pretends to be a judgement and is not.
 */
export function readJudgement(attachments: readonly Attachment[], clause: string): Judged | undefined {
  return attachments
    .filter(({ name, body }) => name === JUDGEMENT && body !== undefined)
    .map(({ body }) => judgedSchema.parse(JSON.parse(String(body))))
    .findLast((judged) => judged.clause === clause);
}

const cellFactsSchema = cellSchema.extend({ spent: spentSchema.partial().optional() });

/** What set-up knows about a cell, and the time it took outside any clause. */
export type CellFacts = z.infer<typeof cellFactsSchema>;

/** A name made fit for a file: what is not a letter, digit, dot, plus, minus or underscore becomes a dash. */
export function fileName(name: string): string {
  return name.replaceAll(/[^\w.+-]+/g, '-').replace(/^\.+/, '-') || '-';
}

/** Where the transcript of a clause lies, relative to the folder of the run. @param repeat counted from 0. */
export function transcriptPath({
  cell,
  clause,
  repeat,
}: {
  cell: string;
  clause: string;
  repeat: number;
}): string {
  const name = repeat === 0 ? clause : `${clause}-${repeat + 1}`;
  return join('transcripts', fileName(cell), `${name}.jsonl.gz`);
}

/** What the project of a cell carries, so that reports know what it was to be even when its turn never came. */
export interface CellMetadata {
  settings?: Cell['settings'];
}

/** Called as soon as a cell is known, or known never to come up; the first to know tells. Readers never find half of it. */
export function tellCell(outDir: string, facts: CellFacts): void {
  const folder = join(outDir, 'cells');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${fileName(facts.name)}.json`);
  if (existsSync(file)) return;
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify(cellFactsSchema.parse(facts), null, 2));
  renameSync(own, file);
}

/** The facts of all cells that were told, by name. A file that cannot be read yields an unknown cell that says so. */
export function readCells(outDir: string): Map<string, CellFacts> {
  const files = namesIn(join(outDir, 'cells')).filter((name) => name.endsWith('.json'));
  return new Map(
    files
      .map((name) => readCell(join(outDir, 'cells', name), name))
      .map((cell) => [cell.name, { ...cell, ...rulesOf(outDir, cell.name) }]),
  );
}

function rulesOf(outDir: string, cell: string): { rules?: CellRules } {
  const file = join(outDir, rulesFile(cell, 'json'));
  return existsSync(file) ? { rules: rulesSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) } : {};
}

/** Where a cell's rule document lies, below the folder of the run: its text, how it differs from the one on record, and what is told of both. */
export function rulesFile(cell: string, kind: 'md' | 'diff' | 'json'): string {
  return join('rules', `${fileName(cell)}.${kind}`);
}

function readCell(path: string, name: string): CellFacts {
  try {
    return cellFactsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    return unknownCell(name.replace(/\.json$/, ''), `cells/${name} is not a description of a cell: ${why}`);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The cell without what only the reporter needs. */
export function cellOf({ spent: _, ...cell }: CellFacts): Cell {
  return cell;
}
