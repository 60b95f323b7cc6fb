import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { SABOTAGE_PROJECT } from '../sabotage/plan.ts';
import { type Cell, cellSchema, spentSchema, unknownCell } from './model.ts';

/** The project's own folder for what runs leave. */
export const DEFAULT_OUT_DIR = join(import.meta.dirname, '..', '..', 'reports', 'out');

/** Where this run leaves everything it has to say: the folder that the setting OUT_DIR names, else the project's own. */
export const OUT_DIR = resolve(process.env.OUT_DIR?.trim() || DEFAULT_OUT_DIR);

/** Where a run of a project leaves it: what a sabotage run finds does not replace verdicts. */
export function outDirOf(project: string): string {
  return project === SABOTAGE_PROJECT ? join(OUT_DIR, SABOTAGE_PROJECT) : OUT_DIR;
}

const judgedSchema = z.strictObject({
  clause: z.string(),
  outcome: z.enum(['pass', 'fail', 'inconclusive']),
  reason: z.string(),
  message: z.string().optional(),
  node: z.string().optional(),
  spent: spentSchema,
  pace: z.number().optional(),
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

/** Called by set-up as soon as it knows a cell, or knows that the cell's lab will never come up. */
export function writeCell(outDir: string, facts: CellFacts): void {
  const folder = join(outDir, 'cells');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, `${fileName(facts.name)}.json`),
    JSON.stringify(cellFactsSchema.parse(facts), null, 2),
  );
}

/** The facts of all cells set-up wrote, by name. A file that cannot be read yields an unknown cell that says so. */
export function readCells(outDir: string): Map<string, CellFacts> {
  const files = namesIn(join(outDir, 'cells')).filter((name) => name.endsWith('.json'));
  return new Map(
    files.map((name) => readCell(join(outDir, 'cells', name), name)).map((cell) => [cell.name, cell]),
  );
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
