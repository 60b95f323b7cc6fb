import path from 'node:path';
import { defineConfig } from '@playwright/test';
import { defaultSlots } from './helpers/pool/slots.ts';
import { readPlan, SABOTAGE_PROJECT } from './helpers/sabotage/plan.ts';
import { OUT_DIR, outDirOf } from './helpers/verdict/channel.ts';

/** Ours: a whole run, cold caches and a slow host included; long clauses come on top. */
const RUN_LIMIT_MS = 80 * 60_000;

/** A run of `swarmproof sabotage` judges the same clauses on Swarms that it breaks on purpose. */
const project = readPlan() ? SABOTAGE_PROJECT : 'default';

export default defineConfig({
  testDir: 'specs',
  outputDir: path.join(outDirOf(project), 'raw'),
  globalSetup: './fixtures/setup.ts',
  // A run that is to take long says so; its long clauses then set its limits.
  ...(process.env.SOAK ? {} : { globalTimeout: RUN_LIMIT_MS }),
  grepInvert: [...(process.env.SOAK ? [] : [/@soak/]), ...(process.env.DRAFTS === 'yes' ? [] : [/@draft/])],
  // Each worker has a lab of its own.
  workers: defaultSlots(),
  // A behaviour that holds only sometimes does not hold.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  projects: [{ name: project }],
  reporter:
    project === SABOTAGE_PROJECT
      ? [['./reports/sabotage-reporter.ts']]
      : [
          ['allure-playwright', { resultsDir: path.join(OUT_DIR, 'allure-results'), detail: false }],
          ['./reports/reporter.ts'],
        ],
});
