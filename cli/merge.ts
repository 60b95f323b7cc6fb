import path from 'node:path';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { conforms } from '../helpers/verdict/model.ts';
import { mergeRuns } from '../reports/merge.ts';
import { summarise } from '../reports/summary.ts';

/**
 * `merge`: one run out of its parts, and its summary.
 *
 * @returns the exit status, as that of the run would have been.
 */
export async function merge(folders: readonly string[], outDir: string): Promise<number> {
  const historyDir = path.resolve(process.env.HISTORY?.trim() || path.join(outDir, 'history'));
  const { verdict, made } = await mergeRuns(folders, outDir, loadCatalogue(), historyDir);
  const shown = (file: string) => path.relative(process.cwd(), file) || file;
  const files = {
    verdict: shown(path.join(outDir, 'verdict.json')),
    ...(made.page !== undefined && { page: shown(made.page) }),
    ...(made.allure !== undefined && { allure: shown(made.allure) }),
  };
  for (const problem of made.problems) console.error(problem);
  for (const line of summarise(verdict, files, process.stdout.columns)) console.log(line);
  return conforms(verdict) && verdict.run.exitReason === 'completed' ? 0 : 1;
}
