/**
 * What a run leaves for people: the conformance page, the Allure page, a Markdown summary and a badge. The reporter
 * makes them at the end of a run; `npx node reports/pages.ts [FOLDER]` makes them again from a verdict file, for
 * example of a run that was killed.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { messageOf } from '../helpers/errors.ts';
import { HISTORY_DIR, OUT_DIR } from '../helpers/verdict/channel.ts';
import { type VerdictFile, verdictSchema } from '../helpers/verdict/model.ts';
import { advise, worstAdvice } from './advice.ts';
import type { AllurePlaces } from './allure-config.ts';
import { badge } from './badge.ts';
import type { Catalogue } from './compose.ts';
import { type History, readHistory, remember } from './history.ts';
import { markdownSummary } from './markdown.ts';

/** Everything below the output folder that is made here. */
export const PAGES = ['index.html', 'summary.md', 'badge.svg', 'allure', 'known-issues.json'];

/*
 * What draws is loaded when there is something to draw: before the run it would hold up the first verdict.
 */

/** What was made, by path, and what went wrong, in sentences. None of it changes the verdict. */
export interface Made {
  page?: string;
  allure?: string;
  problems: string[];
}

/** Makes every page of a run, and remembers the run. What cannot be made is told, and the rest is made all the same. */
export async function makePages(
  places: AllurePlaces,
  verdict: VerdictFile,
  catalogue: Catalogue,
  options: { allure: boolean },
): Promise<Made> {
  const problems: string[] = [];
  const tried = async <T>(make: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await make();
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  };
  const history = await tried(() => readHistory(places.historyDir));
  const allure = options.allure
    ? await tried(async () => {
        const { makeAllurePage } = await import('./allure-page.ts');
        return makeAllurePage(places, verdict, catalogue);
      })
    : undefined;
  const page = await tried(() =>
    makePage(places.outDir, verdict, catalogue, history ?? [], allure !== undefined),
  );
  // A memory that cannot be read is left for its owner to mend.
  if (history !== undefined) await tried(() => remember(places.historyDir, history, verdict));
  return { ...(page === undefined ? {} : { page }), ...(allure === undefined ? {} : { allure }), problems };
}

async function makePage(
  outDir: string,
  verdict: VerdictFile,
  catalogue: Catalogue,
  history: History,
  withAllure: boolean,
): Promise<string> {
  const advices = new Map(verdict.cells.map((cell) => [cell.name, advise(verdict, cell, catalogue)]));
  const files = {
    ...(withAllure ? { 'Allure report': 'allure/index.html' } : {}),
    'verdict.json': 'verdict.json',
    'junit.xml': 'junit.xml',
  };
  const summary = markdownSummary(verdict, advices, history);
  writeFileSync(join(outDir, 'summary.md'), summary);
  if (process.env.GITHUB_STEP_SUMMARY) appendFileSync(process.env.GITHUB_STEP_SUMMARY, summary);
  writeFileSync(join(outDir, 'badge.svg'), badge(verdict, worstAdvice([...advices.values()]).answer));
  const page = join(outDir, 'index.html');
  const { conformancePage } = await import('./page/page.ts');
  writeFileSync(page, conformancePage({ verdict, catalogue, history, files }));
  return page;
}

if (import.meta.main) {
  const outDir = resolve(process.argv[2] ?? OUT_DIR);
  const verdict = verdictSchema.parse(JSON.parse(readFileSync(join(outDir, 'verdict.json'), 'utf8')));
  const historyDir = outDir === OUT_DIR ? process.env.HISTORY || HISTORY_DIR : join(outDir, 'history');
  const made = await makePages({ outDir, historyDir }, verdict, loadCatalogue(), { allure: true });
  for (const path of [made.page, made.allure]) if (path !== undefined) console.log(path);
  for (const problem of made.problems) console.error(problem);
  if (made.problems.length > 0) process.exitCode = 1;
}
