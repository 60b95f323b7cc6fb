import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { UsageError } from '../helpers/errors.ts';
import {
  type Cell,
  type ExitReason,
  NO_TIME,
  type Spent,
  type VerdictFile,
  verdictSchema,
} from '../helpers/verdict/model.ts';
import { readVerdict } from '../helpers/verdict/read.ts';
import { type Catalogue, sum, timeOf, totalsOf, worst } from './compose.ts';
import { junitXml } from './junit.ts';
import { type Made, makePages } from './pages.ts';

/** What one machine left of a run that was spread over several. */
interface Part {
  folder: string;
  verdict: VerdictFile;
}

/**
 * Puts together what the parts of a run left, each in a folder like `reports/out`: one verdict, one JUnit file, all evidence, one page.
 * Playwright's own blob reports know nothing of cells and cannot be read back by Allure's reporter, so the verdict files are what is merged.
 *
 * @param outDir is emptied first.
 * @throws UsageError when a folder holds no verdict, or the parts do not belong together.
 */
export async function mergeRuns(
  folders: readonly string[],
  outDir: string,
  catalogue: Catalogue,
): Promise<{ verdict: VerdictFile; made: Made }> {
  if (folders.some((folder) => join(folder) === join(outDir)))
    throw new UsageError(
      `${outDir} is where the merged run goes, and cannot be a part of it: move it first.`,
    );
  const parts = folders.map((folder) => ({ folder, verdict: readVerdict(folder) }));
  const verdict = verdictSchema.parse(mergeVerdicts(parts));
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(join(outDir, 'allure-results'), { recursive: true });
  for (const [i, { folder }] of parts.entries()) {
    copyIfThere(join(folder, 'evidence'), join(outDir, evidenceOf(i)));
    copyIfThere(join(folder, 'transcripts'), join(outDir, transcriptsOf(i)));
    copyIfThere(join(folder, 'allure-results'), join(outDir, 'allure-results'));
  }
  writeFileSync(join(outDir, 'verdict.json'), `${JSON.stringify(verdict, null, 2)}\n`);
  writeFileSync(join(outDir, 'junit.xml'), junitXml(verdict));
  const places = { outDir, historyDir: join(outDir, 'history') };
  return { verdict, made: await makePages(places, verdict, catalogue, { allure: true }) };
}

/** Where the evidence of a part goes: two parts may have judged the same clause. */
function evidenceOf(part: number): string {
  return join('evidence', `part-${part + 1}`);
}

function transcriptsOf(part: number): string {
  return join('transcripts', `part-${part + 1}`);
}

function copyIfThere(from: string, to: string): void {
  if (existsSync(from)) cpSync(from, to, { recursive: true });
}

/** The verdict of a run from those of its parts. A clause that several judged in the same cell keeps the worst verdict. */
export function mergeVerdicts(parts: readonly Part[]): VerdictFile {
  const [first, ...others] = parts;
  if (!first || others.length === 0) throw new UsageError('merging takes the folders of two runs or more.');
  const clauses = parts.flatMap(({ verdict }, i) =>
    verdict.clauses.map((clause) => ({
      ...clause,
      transcript:
        clause.transcript && join(transcriptsOf(i), clause.transcript.replace(/^transcripts\//, '')),
      evidence: clause.evidence.map((file) => ({
        ...file,
        path: join(evidenceOf(i), file.path.replace(/^evidence\//, '')),
      })),
    })),
  );
  const judged = [...Map.groupBy(clauses, ({ cell, id }) => `${cell} ${id}`).values()].map(worst);
  const starts = parts.map(({ verdict }) => verdict.run.startedAt).sort();
  const ends = parts.map(({ verdict }) => verdict.run.finishedAt);
  const finishedAt = ends.includes(null) ? null : (ends.sort().at(-1) ?? null);
  const startedAt = starts[0] ?? '';
  const message = parts
    .flatMap(({ folder, verdict: { run } }) =>
      run.message === undefined ? [] : [`${folder}: ${run.message}`],
    )
    .join('\n');
  const spent = sum(parts.map(({ verdict }) => spentIn(verdict)));
  return {
    schema: first.verdict.schema,
    run: {
      id: parts.map(({ verdict }) => verdict.run.id).join('+'),
      startedAt,
      finishedAt,
      command: [...new Set(parts.map(({ verdict }) => verdict.run.command))].join(' | '),
      suite: first.verdict.run.suite,
      exitReason: exitReasonOf(parts.map(({ verdict }) => verdict.run.exitReason)),
      ...(message && { message }),
    },
    cells: mergeCells(parts),
    clauses: judged,
    totals: totalsOf(judged),
    time: timeOf(spent, Math.max(...parts.map(({ verdict }) => verdict.time.total))),
  };
}

/** The first reason for which a part did not come to its end; completed when all did. */
function exitReasonOf(reasons: readonly ExitReason[]): ExitReason {
  return reasons.find((reason) => reason !== 'completed') ?? 'completed';
}

function spentIn({ time }: VerdictFile): Spent {
  return Object.fromEntries(Object.keys(NO_TIME).map((part) => [part, time[part as keyof Spent]])) as Spent;
}

/** Every cell once. @throws UsageError when two parts that name the same cell judged on different kernels, engines or nodes. */
function mergeCells(parts: readonly Part[]): Cell[] {
  const cells = new Map<string, { cell: Cell; folder: string }>();
  for (const { folder, verdict } of parts) {
    for (const cell of verdict.cells) {
      const known = cells.get(cell.name);
      if (known && known.cell.kernel !== null && cell.kernel !== null) requireSame(known, { cell, folder });
      // What is known of a cell outweighs that it was not known elsewhere; that its lab failed there stays told.
      const facts = known?.cell.kernel == null ? cell : known.cell;
      const error = known?.cell.error ?? cell.error;
      cells.set(cell.name, { cell: { ...facts, ...(error !== undefined && { error }) }, folder });
    }
  }
  return [...cells.values()].map(({ cell }) => cell);
}

function requireSame(one: { cell: Cell; folder: string }, other: { cell: Cell; folder: string }): void {
  for (const fact of ['kernel', 'engines', 'nodes'] as const) {
    if (isDeepStrictEqual(one.cell[fact], other.cell[fact])) continue;
    const told = [one, other].map(({ cell, folder }) => `${JSON.stringify(cell[fact])} in ${folder}`);
    throw new UsageError(
      `cell "${one.cell.name}" is not the same in all parts: its ${fact} ${fact === 'kernel' ? 'is' : 'are'} ${told.join(', ')}. ` +
        'Runs of different versions cannot make one verdict; name versions in the cell.',
    );
  }
}
