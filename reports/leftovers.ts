import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../helpers/errors.ts';
import { DEFAULT_OUT_DIR } from '../helpers/verdict/channel.ts';
import { PAGES } from './pages.ts';

/** What a run leaves in its folder; all of it goes when the next run starts. */
const LEFTOVERS = [
  'verdict.json',
  'junit.xml',
  'evidence',
  'transcripts',
  'cells',
  'rules',
  'allure-results',
  ...PAGES,
];

/** What stays from run to run, beside them or made by other commands; `raw` is Playwright's own. */
const KEPT = ['history', 'bisect', 'planted', 'sabotage', 'raw'];

/**
 * Removes what an earlier run left in a folder, and nothing else: history, bisections and sabotage stay.
 *
 * @throws UsageError when the folder has something in it and no run's verdict, and so is somebody else's.
 */
export function clearRunFolder(outDir: string): void {
  const names = outDir !== DEFAULT_OUT_DIR && existsSync(outDir) ? readdirSync(outDir) : [];
  const foreign = names.find((name) => !KEPT.includes(name));
  if (foreign !== undefined && !names.includes('verdict.json'))
    throw new UsageError(
      `${outDir} holds ${foreign} and no verdict.json, so no run of ours made it: name an empty folder, or a new one.`,
    );
  for (const name of LEFTOVERS) rmSync(join(outDir, name), { recursive: true, force: true });
}
