import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
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
import { clearRunFolder } from './leftovers.ts';
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
 * @param outDir loses what an earlier run left there.
 * @throws UsageError when a folder holds no verdict, the parts do not belong together, or `outDir` holds something that no run left.
 */
export async function mergeRuns(
  folders: readonly string[],
  outDir: string,
  catalogue: Catalogue,
  historyDir = join(outDir, 'history'),
): Promise<{ verdict: VerdictFile; made: Made }> {
  if (folders.some((folder) => resolve(folder) === resolve(outDir)))
    throw new UsageError(
      `${outDir} is where the merged run goes, and cannot be a part of it: move it first.`,
    );
  const parts = folders.map((folder) => ({ folder, verdict: readVerdict(folder) }));
  const verdict = verdictSchema.parse(mergeVerdicts(parts));
  clearRunFolder(outDir);
  mkdirSync(join(outDir, 'allure-results'), { recursive: true });
  for (const [i, { folder }] of parts.entries()) {
    for (const kind of ['evidence', 'transcripts', 'rules'])
      copyIfThere(join(folder, kind), join(outDir, placeOf(i, kind)));
    copyIfThere(join(folder, 'allure-results'), join(outDir, 'allure-results'));
  }
  writeFileSync(join(outDir, 'verdict.json'), `${JSON.stringify(verdict, null, 2)}\n`);
  writeFileSync(join(outDir, 'junit.xml'), junitXml(verdict));
  return { verdict, made: await makePages({ outDir, historyDir }, verdict, catalogue, { allure: true }) };
}

/** Where a file or folder of a part goes, as `evidence/part-1/…`: two parts may have judged the same clause. */
function placeOf(part: number, file: string): string {
  const [kind = '', ...rest] = file.split('/');
  return join(kind, `part-${part + 1}`, ...rest);
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
      transcript: clause.transcript && placeOf(i, clause.transcript),
      evidence: clause.evidence.map((file) => ({ ...file, path: placeOf(i, file.path) })),
    })),
  );
  const judged = [...Map.groupBy(clauses, ({ cell, id }) => `${cell} ${id}`).values()].map(worst);
  const starts = parts.map(({ verdict }) => verdict.run.startedAt).sort();
  const ends = parts.map(({ verdict }) => verdict.run.finishedAt);
  const finishedAt = ends.includes(null) ? null : (ends.sort().at(-1) ?? null);
  const startedAt = starts[0] ?? '';
  const missing = missingShards(parts);
  const message = [
    ...parts.flatMap(({ folder, verdict: { run } }) =>
      run.message === undefined ? [] : [`${folder}: ${run.message}`],
    ),
    ...missing.map((shard) => `the part that ran with --shard=${shard} is not among these`),
  ].join('\n');
  const reasons = parts.map(({ verdict }) => verdict.run.exitReason);
  const spent = sum(parts.map(({ verdict }) => spentIn(verdict)));
  return {
    schema: first.verdict.schema,
    run: {
      id: parts.map(({ verdict }) => verdict.run.id).join('+'),
      startedAt,
      finishedAt,
      command: [...new Set(parts.map(({ verdict }) => verdict.run.command.replace(SHARD, '')))].join('; '),
      suite: first.verdict.run.suite,
      // A part that is lost, with all that it judged, is no end of the run either.
      exitReason: exitReasonOf([...reasons, ...(missing.length > 0 ? ['interrupted' as const] : [])]),
      ...(message && { message }),
    },
    cells: mergeCells(parts),
    clauses: judged,
    totals: totalsOf(judged),
    time: timeOf(spent, Math.max(...parts.map(({ verdict }) => verdict.time.total))),
  };
}

/** The option by which a run is spread over machines, in its command. */
const SHARD = / --shard[= ](\d+)\/(\d+)/;

/** The shards, as `3/4`, that no part judged of the runs that these are parts of. */
function missingShards(parts: readonly Part[]): string[] {
  const shards = parts.flatMap(({ verdict: { run } }) => {
    const [, number, of] = SHARD.exec(run.command) ?? [];
    return number && of ? [{ number: Number(number), of: Number(of) }] : [];
  });
  return [...Map.groupBy(shards, ({ of }) => of)].flatMap(([of, there]) =>
    Array.from({ length: of }, (_, i) => i + 1)
      .filter((number) => !there.some((shard) => shard.number === number))
      .map((number) => `${number}/${of}`),
  );
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
  for (const [i, { folder, verdict }] of parts.entries()) {
    for (const cell of verdict.cells) {
      const known = cells.get(cell.name);
      if (known && known.cell.kernel !== null && cell.kernel !== null) requireSame(known, { cell, folder });
      // What is known of a cell outweighs that it was not known elsewhere; that its lab failed there stays told.
      const facts = known?.cell.kernel == null ? cell : known.cell;
      const error = known?.cell.error ?? cell.error;
      // Only the part that ran the stack of reference tells of rules.
      const rules = known?.cell.rules ?? (cell.rules && { ...cell.rules, path: placeOf(i, cell.rules.path) });
      const told = { ...facts, ...(rules && { rules }), ...(error !== undefined && { error }) };
      cells.set(cell.name, { cell: told, folder });
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
