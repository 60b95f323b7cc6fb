import path from 'node:path';
import { execa } from 'execa';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { readSources, specOf } from '../helpers/catalogue/coverage.ts';
import { UsageError } from '../helpers/errors.ts';
import { cellsOfRun } from '../helpers/lab/cells.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { choose, drawBlind, type Known, nameOf } from '../helpers/sabotage/choose.ts';
import { PLAN_FILE, type Plan, SABOTAGE_FOLDER, writePlan } from '../helpers/sabotage/plan.ts';
import { timeOfKills } from '../helpers/sabotage/record.ts';
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
 * whether the core clauses notice.
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
  const quick = options.quick ? known() : undefined;
  const [clauses = [], areas = []] = [options.clause, options.area];
  const plan: Plan = options.blind
    ? {
        seed,
        clauses: unknowing(catalogue, clauses, areas),
        proofs: [],
        blind: drawBlind(members(cellsOfRun()[0]?.settings ?? settings), seed),
      }
    : planOf(
        choose(loadSabotages(catalogue), catalogue, { clauses, areas, sample: options.sample, seed, quick }),
        seed,
      );
  const draft = plan.proofs.length > 0 && plan.clauses.find((id) => catalogue.get(id)?.draft);
  if (draft && settings.DRAFTS === 'no')
    throw new UsageError(`${draft} is a draft: set DRAFTS=yes to have it judged.`);
  if (options.list) {
    for (const name of plan.proofs) console.log(name);
    return 0;
  }
  if (options.blind || options.sample !== undefined) console.log(`--seed ${seed} draws the same again.`);
  const folder = path.join(OUT_DIR, SABOTAGE_FOLDER);
  const file = writePlan(folder, plan);
  const runner = path.join(ROOT, 'node_modules', '@playwright', 'test', 'cli.js');
  // A clause's title begins with its id; what has no title of that form is no clause.
  const words = ['test', '--grep', `(^| )(${plan.clauses.join('|')}) `];
  const run = execa(process.execPath, [runner, ...words, ...(options.blind ? ['-x'] : [])], {
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
function known(): Known {
  const specs = readSources('specs/**/*.spec.ts');
  return { took: timeOfKills(readProof()), file: ({ clause }) => specOf(clause, specs) };
}

function planOf(sabotages: readonly Sabotage[], seed: number): Plan {
  return {
    seed,
    clauses: [...new Set(sabotages.map(({ clause }) => clause))],
    proofs: sabotages.map(nameOf),
    blind: [],
  };
}

/** The clauses that judge a Swarm without knowing what was done to it: the core ones unless told otherwise. */
function unknowing(
  catalogue: ReturnType<typeof loadCatalogue>,
  clauses: readonly string[],
  areas: readonly string[],
): string[] {
  const told = clauses.length > 0 || areas.length > 0;
  const wanted = [...catalogue.values()].filter(({ id, area, core, draft, soak }) =>
    told ? clauses.includes(id) || areas.includes(area) : core && !draft && !soak,
  );
  if (wanted.length === 0) throw new UsageError(`no clause is named ${[...clauses, ...areas].join(' or ')}`);
  return wanted.map(({ id }) => id);
}

/** Names of the members, as a formed Swarm has them. */
function members({ NODES: { managers, workers } }: Settings): string[] {
  const named = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
  return [...named('m', managers), ...named('w', workers)];
}
