import path from 'node:path';
import { defineConfig } from '@playwright/test';
import { defaultSlots } from './helpers/pool/slots.ts';
import { HISTORY_DIR, OUT_DIR } from './helpers/verdict/channel.ts';

/** Ours: a whole run, cold caches and a slow host included; long clauses come on top. */
const RUN_LIMIT_MS = 80 * 60_000;

export default defineConfig({
  testDir: 'specs',
  outputDir: path.join(OUT_DIR, 'raw'),
  globalSetup: './fixtures/setup.ts',
  // A run that is to take long says so; its long clauses then set its limits.
  ...(process.env.SOAK ? {} : { globalTimeout: RUN_LIMIT_MS }),
  grepInvert: [...(process.env.SOAK ? [] : [/@soak/]), ...(process.env.DRAFTS === 'yes' ? [] : [/@draft/])],
  // Each worker has a lab of its own.
  workers: defaultSlots(),
  // A behaviour that holds only sometimes does not hold.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  projects: [{ name: 'default' }],
  reporter: [
    ['allure-playwright', { resultsDir: path.join(OUT_DIR, 'allure-results'), detail: false }],
    [
      './reports/reporter.ts',
      { historyDir: path.resolve(import.meta.dirname, process.env.HISTORY || HISTORY_DIR) },
    ],
  ],
});
