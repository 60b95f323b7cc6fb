import path from 'node:path';
import { defineConfig } from '@playwright/test';
import { cellsOfRun } from './helpers/lab/cells.ts';
import { keepCompiled } from './helpers/lab/home.ts';
import { defaultSlots } from './helpers/pool/slots.ts';
import { readPlan } from './helpers/sabotage/plan.ts';
import { type CellMetadata, HISTORY_DIR, OUT_DIR, REPLAY_VARIABLE } from './helpers/verdict/channel.ts';
import { readVerdict } from './helpers/verdict/read.ts';

keepCompiled();

/** Ours: a whole run of one cell takes 50 minutes here, 80 with cold caches, and twice that on a slow host; long clauses come on top. */
const CELL_LIMIT_MS = 160 * 60_000;

/** A project for each cell of the run, or of the one that is judged again. What is wrong with them is told by global set-up, in the report too. */
function projects(): { name: string; grep?: RegExp; metadata?: CellMetadata }[] {
  const replayed = process.env[REPLAY_VARIABLE];
  try {
    if (replayed) return readVerdict(replayed).cells.map(({ name }) => ({ name }));
    return cellsOfRun().map(({ name, clauses, given }) => ({
      name,
      ...(clauses && { grep: clauses }),
      metadata: { settings: given },
    }));
  } catch {
    return [{ name: 'default' }];
  }
}

/** `swarmproof sabotage` judges the same clauses on Swarms that it breaks on purpose, in the first cell. */
const plan = readPlan();
const sabotages = plan !== undefined;

const cells = sabotages ? projects().slice(0, 1) : projects();

export default defineConfig({
  testDir: 'specs',
  outputDir: path.join(OUT_DIR, 'raw'),
  globalSetup: './fixtures/setup.ts',
  // A run that is to take long says so; its long clauses then set its limits. Proofs take hours, and each has limits of its own.
  ...(process.env.SOAK || plan?.proofs.length ? {} : { globalTimeout: CELL_LIMIT_MS * cells.length }),
  grepInvert: [...(process.env.SOAK ? [] : [/@soak/]), ...(process.env.DRAFTS === 'yes' ? [] : [/@draft/])],
  // Each worker has a lab of its own.
  workers: defaultSlots(),
  // A behaviour that holds only sometimes does not hold.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  projects: cells,
  reporter: sabotages
    ? [['./reports/sabotage-reporter.ts']]
    : [
        ['allure-playwright', { resultsDir: path.join(OUT_DIR, 'allure-results'), detail: false }],
        [
          './reports/reporter.ts',
          { historyDir: path.resolve(import.meta.dirname, process.env.HISTORY || HISTORY_DIR) },
        ],
      ],
});
