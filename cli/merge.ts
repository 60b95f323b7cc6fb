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
  const { verdict, page } = await mergeRuns(folders, outDir, loadCatalogue());
  const shown = (file: string) => path.relative(process.cwd(), file) || file;
  const places = { verdict: shown(path.join(outDir, 'verdict.json')), page: shown(page) };
  for (const line of summarise(verdict, places, process.stdout.columns)) console.log(line);
  return conforms(verdict) && verdict.run.exitReason === 'completed' ? 0 : 1;
}
