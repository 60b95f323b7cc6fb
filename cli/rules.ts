import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { UsageError } from '../helpers/errors.ts';
import { readVerdict } from '../helpers/verdict/read.ts';
import { changedLines, RULES_DIR, ruleDocumentName } from '../helpers/verdict/rule-documents.ts';

/**
 * `rules`: how the rules that a run met differ from the documents on record; or puts them on record.
 *
 * @param options.record whether to.
 * @param options.run the folder the run left.
 * @returns the exit status: 1 when something differs from what is on record.
 */
export function rules(options: { record?: boolean; run: string; documents?: string }): number {
  const { record = false, run, documents = RULES_DIR } = options;
  const cells = readVerdict(run).cells.filter((cell) => cell.rules !== undefined);
  if (cells.length === 0)
    throw new UsageError(
      `the run in ${run} met no rules to tell of: they are those of the stack of clause MESH-002 on a Swarm of 1m2w.`,
    );
  let drifted = false;
  for (const { name, kernel, engines, rules: told } of cells) {
    const [engine, ...others] = [...new Set(Object.values(engines ?? {}))];
    if (!engine || !kernel || others.length > 0) {
      console.log(`${name}: engines of several versions, nothing to compare with`);
      continue;
    }
    const seen = path.join(run, told?.path ?? '');
    const document = path.join(documents, ruleDocumentName(engine, kernel));
    const changed = existsSync(document)
      ? changedLines(readFileSync(document, 'utf8'), readFileSync(seen, 'utf8'))
      : undefined;
    const what = changed === undefined ? 'not on record' : `${changed.length} lines differ from the record`;
    console.log(`${name}: engine ${engine}, kernel ${kernel}: ${what} (${path.basename(document)})`);
    for (const line of changed ?? []) console.log(`  ${line}`);
    if (record) {
      mkdirSync(documents, { recursive: true });
      copyFileSync(seen, document);
    } else drifted ||= (changed ?? []).length > 0;
  }
  return drifted ? 1 : 0;
}
