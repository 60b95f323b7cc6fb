import path from 'node:path';
import { BisectLog, type Judgement, type Question } from '../helpers/bisect/log.ts';
import { type Answer, type Ask, bisect as search } from '../helpers/bisect/search.ts';
import { judgeBySuite, type Suite, THIS_SUITE } from '../helpers/bisect/suite.ts';
import { type RangeResolver, versionsIn } from '../helpers/bisect/versions.ts';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { INTERRUPTED, UsageError } from '../helpers/errors.ts';
import { readSettings, SETTINGS } from '../helpers/lab/settings.ts';
import { DEFAULT_OUT_DIR, fileName } from '../helpers/verdict/channel.ts';
import { kernelRange } from './kernels.ts';
import { count } from './words.ts';

/** Exit statuses of `bisect`; 2 is wrong use, as everywhere. */
const STATUS = { found: 0, none: 1, open: 3 } as const satisfies Record<Answer['outcome'], number>;

/** What the command line says. */
export interface BisectOptions {
  clause: string;
  kernels?: string;
  engines?: string;
  /** Chance that the answer is right. */
  confidence?: number;
  /** Where the log and what runs leave are kept. */
  folder?: string;
}

/** What stands behind the command: other things do in tests, and where a defect is planted. */
export interface BisectMeans {
  suite?: Suite;
  resolve?: RangeResolver;
  /** Is given the answer, besides what is printed. */
  answered?: (answer: Answer) => void;
}

/**
 * `bisect`: finds the first version at which a clause does not hold, by runs of the suite.
 *
 * @returns 0 when it is found; 1 when the clause does not break between the ends; 3 when a version that matters cannot be judged;
 * 130 when it was interrupted: the same command goes on.
 * @throws UsageError when the question makes no sense, or the log belongs to another one.
 */
export async function bisect(
  options: BisectOptions,
  { suite = THIS_SUITE, resolve = (range) => kernelRange(readSettings(), range), answered }: BisectMeans = {},
): Promise<number> {
  const asked = await questionOf(options, resolve);
  const folder = path.resolve(options.folder ?? path.join(DEFAULT_OUT_DIR, 'bisect', asked.clause));
  const log = BisectLog.open(folder, asked);
  const { question } = log;
  const steps = search(question);
  let step = steps.next('open');
  for (const { version, outcome } of log.judgements) {
    if (step.done || step.value.version !== version)
      throw new UsageError(`${log.file} does not tell one search in its order: remove it to begin anew.`);
    step = steps.next(outcome);
  }
  tell(question, log);
  using stop = stopBySignal();
  while (!step.done) {
    const ask = step.value;
    const number = log.judgements.length + 1;
    const name = `${String(number).padStart(3, '0')}-${fileName(ask.version)}`;
    const order = { ...question, version: ask.version, outDir: path.join(folder, name) };
    const seen = await judgeBySuite(suite, order, (line) => console.error(`      ${line}`), stop.signal);
    if (!seen) {
      console.log(
        `Interrupted. ${log.file} holds ${count(log.judgements.length, 'judgement')}: the same command goes on.`,
      );
      return INTERRUPTED;
    }
    const judgement = { at: new Date().toISOString(), ...seen, folder: name };
    log.add(judgement);
    console.log(progress(number, judgement, ask));
    step = steps.next(judgement.outcome);
  }
  answered?.(step.value);
  for (const line of conclusion(step.value, question, log)) console.log(line);
  return STATUS[step.value.outcome];
}

async function questionOf(options: BisectOptions, resolve: RangeResolver): Promise<Question> {
  const { clause, kernels, engines, confidence = 0.95 } = options;
  if ((kernels === undefined) === (engines === undefined))
    throw new UsageError('bisect varies one thing: give either --kernels or --engines.');
  if (!(confidence >= 0.5 && confidence < 1))
    throw new UsageError(
      `a confidence of ${confidence} makes no sense: give one from 0.5 to below 1, such as 0.95.`,
    );
  const varies = kernels === undefined ? 'ENGINE' : 'KERNEL';
  const asked = (kernels ?? engines ?? '').trim();
  const versions = await versionsIn(asked, kernels === undefined ? undefined : resolve);
  const settings = settingsBeside(varies);
  requireClause(clause);
  for (const version of versions) {
    const { LAB } = readSettings({ ...process.env, [varies]: version });
    if (varies === 'KERNEL' && LAB !== 'vm')
      throw new UsageError(`LAB=${LAB} has a kernel of its own: kernels are compared in the lab vm.`);
  }
  return { schema: 'swarmproof/bisect/1', clause, varies, asked, versions, confidence, settings };
}

/** Where things lie, how much of them is kept, and which cells other runs have, has no say in what is judged. */
const NO_SAY = ['OUT_DIR', 'HISTORY', 'LAB_CACHE', 'LAB_CACHE_SIZE', 'CELLS'];

function settingsBeside(varies: string): Record<string, string> {
  const names = Object.keys(SETTINGS).filter((name) => name !== varies && !NO_SAY.includes(name));
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name]?.trim();
      return value ? [[name, value]] : [];
    }),
  );
}

/** @throws UsageError when no run would judge the clause. */
function requireClause(id: string): void {
  const clause = loadCatalogue().get(id);
  if (!clause)
    throw new UsageError(`the catalogue has no clause ${id}: \`npx playwright test --list\` has them all.`);
  const { SOAK, DRAFTS } = readSettings();
  if (clause.soak && SOAK === 0)
    throw new UsageError(`${id} is a long clause: say with SOAK how long it may take.`);
  if (clause.draft && DRAFTS === 'no')
    throw new UsageError(`${id} is a draft: set DRAFTS=yes to have it judged.`);
}

/** A signal that is raised by Ctrl-C or a polite kill; a second one ends this process at once. */
function stopBySignal(): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  let asked = 0;
  const stop = () => {
    asked = asked || performance.now();
    // Whoever starts this process may pass on a signal that the terminal has sent it as well.
    if (controller.signal.aborted && performance.now() - asked > 1000) process.exit(INTERRUPTED);
    controller.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}

function tell({ clause, versions, confidence }: Question, { file, judgements }: BisectLog): void {
  const known = judgements.length > 0 ? `, going on after ${count(judgements.length, 'judgement')}` : '';
  const percent = `${Number((confidence * 100).toFixed(3))} %`;
  console.log(
    `${clause} over ${versions.length} versions, ${versions[0]} to ${versions.at(-1)}, at ${percent} confidence${known}`,
  );
  console.log(`log  ${path.relative('', file)}`);
}

function progress(number: number, { version, outcome, why }: Judgement, { purpose, left }: Ask): string {
  const rest = left - (outcome === 'holds' ? 1 : 0);
  const more = rest > 0 ? `, at most ${rest} more here` : '';
  const grounds = outcome === 'holds' ? `${purpose}${more}` : `${purpose}; ${why}`;
  const line = `${String(number).padStart(3)}  ${outcome.padEnd(6)}  ${version}  ${grounds}`;
  const width = process.stdout.columns || 160;
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** What came of it: the answer, what it rests on, and what to do next. */
function conclusion(
  answer: Answer,
  { clause, confidence, versions }: Question,
  { judgements, file }: BisectLog,
): string[] {
  const distinct = new Set(judgements.map(({ version }) => version)).size;
  const cost = `${count(judgements.length, 'judgement')} of ${distinct} of ${count(versions.length, 'version')}`;
  if (answer.outcome !== 'found')
    return [`NOT FOUND: ${answer.why}.`, `after ${cost}; log ${path.relative('', file)}`];
  const { firstBad, lastGood, candidates, rate, passes } = answer;
  const skipped = candidates.slice(0, -1);
  const known = (version: string) => {
    const facts = judgements.find((one) => one.version === version && one.kernel !== null);
    return facts ? ` (kernel ${facts.kernel}, engine ${facts.engines?.join(', ') ?? 'unknown'})` : '';
  };
  const shown = judgements.findLast(({ version, outcome }) => version === firstBad && outcome === 'broken');
  return [
    skipped.length > 0
      ? `FIRST BAD: one of ${candidates.join(', ')}; ${skipped.join(', ')} could not be judged`
      : `FIRST BAD: ${firstBad}${known(firstBad)}`,
    `last good  ${lastGood}${known(lastGood)}`,
    `certainty  ${Number((confidence * 100).toFixed(3))} %: ${clause} broke in ${rate.broken} of ${rate.judged} at the newest version, so in ${(rate.atLeast * 100).toFixed(0)} % at least; ${count(passes, 'judgement')} that hold make a version good; both were judged again`,
    `cost       ${cost}`,
    ...(shown
      ? [
          `seen       ${shown.why}`,
          `evidence   ${path.relative('', path.join(path.dirname(file), shown.folder))}/`,
        ]
      : []),
  ];
}
