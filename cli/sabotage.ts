import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { readSources, specOf } from '../helpers/catalogue/coverage.ts';
import { UsageError } from '../helpers/errors.ts';
import { cellsOfRun } from '../helpers/lab/cells.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { choose, drawBlind, type Known, nameOf } from '../helpers/sabotage/choose.ts';
import { PLAN_FILE, type Plan, SABOTAGE_FOLDER, writePlan } from '../helpers/sabotage/plan.ts';
import { blindFile, blindSchema, timeOfKills } from '../helpers/sabotage/record.ts';
import { loadSabotages, type Sabotage } from '../helpers/sabotage/sabotages.ts';
import { OUT_DIR } from '../helpers/verdict/channel.ts';
import { readProof } from '../reports/proof.ts';

/** There are so many seeds. */
const SEEDS = 2 ** 31;

const ROOT = path.dirname(import.meta.dirname);

/** What `sabotage` takes. */
export interface SabotageOptions {
  clause?: string[];
  area?: string[];
  sample?: number;
  quick?: boolean;
  seed?: number;
  list?: boolean;
  blind?: boolean;
}

/**
 * `sabotage`: breaks Swarms on purpose and shows that the right clauses turn red; with `blind`, draws faults by lot and shows
 * whether the clauses notice.
 *
 * @returns the exit status: 0 when every sabotage was killed, or the damage noticed.
 * @throws UsageError for clauses and areas that are not there.
 */
export async function sabotage(settings: Settings, options: SabotageOptions): Promise<number> {
  const catalogue = loadCatalogue();
  const seed = options.seed ?? settings.SEED ?? Math.floor(Math.random() * SEEDS);
  if (options.blind && (options.sample !== undefined || options.list))
    throw new UsageError('--blind draws its own faults: it takes --clause, --area and --seed alone.');
  if (options.quick && options.sample === undefined)
    throw new UsageError('--quick chooses what a sample is drawn from: it takes --sample.');
  const [clauses = [], areas = []] = [options.clause, options.area];
  if (options.blind) {
    const blind = drawBlind(members(cellsOfRun()[0]?.settings ?? settings), seed);
    return sabotageBlindly({ seed, blind, judging: unknowing(catalogue, clauses, areas) });
  }
  const quick = options.quick ? known(catalogue) : undefined;
  const refuseDrafts = (ids: readonly string[]) => {
    const draft = settings.DRAFTS === 'no' && ids.find((id) => catalogue.get(id)?.draft);
    if (draft) throw new UsageError(`${draft} is a draft: set DRAFTS=yes to have it judged.`);
  };
  // Those named first: that one has no sabotage yet, which choosing would say, is not why it cannot be had.
  refuseDrafts(clauses);
  const plan = planOf(
    choose(loadSabotages(catalogue), catalogue, { clauses, areas, sample: options.sample, seed, quick }),
    seed,
    quick === undefined,
  );
  refuseDrafts(plan.clauses);
  if (options.list) {
    for (const name of plan.proofs) console.log(name);
    return 0;
  }
  if (options.sample !== undefined) console.log(againBy(seed));
  return run(plan, titleOf(plan.clauses));
}

const againBy = (seed: number) => `--seed ${seed} draws the same again.`;

/** Matches the titles of these clauses: a title begins with an id, and ends with tags. What has none of that form is no clause. */
const titleOf = (clauses: readonly string[]) => `(^| )(${clauses.join('|')}) `;

/** Has clauses judge Swarms that were broken by lot: first those that only look, then, if none has noticed, those that disturb. */
async function sabotageBlindly({
  seed,
  blind,
  judging,
}: Pick<Plan, 'seed' | 'blind'> & { judging: ReturnType<typeof unknowing> }): Promise<number> {
  console.log(againBy(seed));
  const plan = { seed, blind, proofs: [], others: false };
  const { looking, disturbing } = judging;
  const status = await run(
    { ...plan, clauses: looking, part: 'looking' },
    `${titleOf(looking)}(?!.*@disturbs)`,
    ...UNTIL_NOTICED,
  );
  const file = path.join(OUT_DIR, SABOTAGE_FOLDER, blindFile(seed));
  const found = existsSync(file) ? blindSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
  if (status !== 1 || found?.errors.length !== 0) return status;
  return run(
    { ...plan, clauses: disturbing, part: 'disturbing' },
    `${titleOf(disturbing)}.*@disturbs`,
    ...UNTIL_NOTICED,
  );
}

/** The first red clause ends a blind run; clauses may all be of the other part. */
const UNTIL_NOTICED = ['-x', '--pass-with-no-tests'];

/** Runs the clauses whose title matches, on Swarms that are broken as planned. @returns the runner's exit status. */
async function run(plan: Plan, which: string, ...words: string[]): Promise<number> {
  const folder = path.join(OUT_DIR, SABOTAGE_FOLDER);
  const file = writePlan(folder, plan);
  const runner = path.join(ROOT, 'node_modules', '@playwright', 'test', 'cli.js');
  const run = execa(process.execPath, [runner, 'test', '--grep', which, ...words], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { [PLAN_FILE]: file, OUT_DIR: folder },
    reject: false,
  });
  // The runner ends its lab on this signal and tells what was found. A terminal's Ctrl-C has reached it already; it takes both for one.
  const interrupt = () => void run.kill('SIGINT');
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const { exitCode } = await run;
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  return exitCode ?? 1;
}

/** What makes a sample quick, by the record and the specs. */
function known(catalogue: ReturnType<typeof loadCatalogue>): Known {
  const specs = readSources('specs/**/*.spec.ts');
  const startOf = (clause: string) => {
    const path = specOf(clause, specs);
    const text = specs.find((one) => one.path === path)?.text ?? '';
    // Without a stack it starts with what it makes itself.
    return /^startWith\((.*)\);$/m.exec(text)?.[1] ?? path;
  };
  // Sorting asks for them again and again.
  const starts = new Map([...catalogue.keys()].map((id) => [id, startOf(id)]));
  const made = new Set([...catalogue.values()].flatMap(({ id, core }) => (core ? starts.get(id) : [])));
  return { took: timeOfKills(readProof()), start: ({ clause }) => starts.get(clause), made };
}

function planOf(sabotages: readonly Sabotage[], seed: number, others: boolean): Plan {
  return {
    seed,
    clauses: [...new Set(sabotages.map(({ clause }) => clause))],
    proofs: sabotages.map(nameOf),
    others,
    blind: [],
    part: null,
  };
}

/**
 * The clauses that judge a Swarm without knowing what was done to it: those of the default profile unless told otherwise, of which
 * so many have to change the Swarm that the core ones stand for them.
 *
 * @throws UsageError when there are none.
 */
function unknowing(
  catalogue: ReturnType<typeof loadCatalogue>,
  clauses: readonly string[],
  areas: readonly string[],
): Record<'looking' | 'disturbing', string[]> {
  const told = clauses.length > 0 || areas.length > 0;
  const wanted = [...catalogue.values()].filter(({ id, area, draft, soak }) =>
    told ? clauses.includes(id) || areas.includes(area) : !draft && !soak,
  );
  if (wanted.length === 0) throw new UsageError(`no clause is named ${[...clauses, ...areas].join(' or ')}`);
  const ids = (some: typeof wanted) => some.map(({ id }) => id);
  return { looking: ids(wanted), disturbing: ids(wanted.filter(({ core }) => told || core)) };
}

/** Names of the members, as a formed Swarm has them. */
function members({ NODES: { managers, workers } }: Settings): string[] {
  const named = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
  return [...named('m', managers), ...named('w', workers)];
}
