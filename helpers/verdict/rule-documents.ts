import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { diff } from 'node:util';
import { rulesFile } from './channel.ts';
import type { CellRules } from './model.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');

/** Where the rule documents on record lie. */
export const RULES_DIR = path.join(ROOT, 'docs', 'rules');

/**
 * The document of an engine on a series of kernels. Both change their rules from one series to the next, if at all; where a later
 * version of the same does, that is what the alarm is for.
 *
 * @param engine its version, as in 26.1.5+dfsg1.
 * @param kernel its release, as in 6.12.117+deb13-cloud-amd64.
 */
export function ruleDocumentName(engine: string, kernel: string): string {
  const [, upstream = engine] = /^(\d+\.\d+\.\d+)/.exec(engine) ?? [];
  const [, series = kernel] = /^(\d+\.\d+)/.exec(kernel) ?? [];
  return `${upstream}-${series}.md`;
}

/** Lines that only one of two documents has, `-` before those on record and `+` before those seen; with none, they are the same. */
export function changedLines(recorded: string, seen: string): string[] {
  return diff(seen.split('\n'), recorded.split('\n')).flatMap(([side, line]) =>
    side === 0 ? [] : [`${side === 1 ? '+' : '-'} ${line}`],
  );
}

/** Keeps the rule document of a cell beside the verdict, and how it differs from the one on record. */
export function tellRules(
  outDir: string,
  cell: string,
  text: string,
  name: string | undefined,
  rulesDir = RULES_DIR,
): CellRules {
  const document = name && existsSync(path.join(rulesDir, name)) ? path.join(rulesDir, name) : undefined;
  const changed = document ? changedLines(readFileSync(document, 'utf8'), text) : undefined;
  const told: CellRules = {
    path: rulesFile(cell, 'md'),
    document: document ? path.relative(ROOT, document) : null,
    changedLines: changed?.length ?? null,
  };
  mkdirSync(path.join(outDir, 'rules'), { recursive: true });
  const write = (kind: 'md' | 'diff' | 'json', content: string) =>
    writeFileSync(path.join(outDir, rulesFile(cell, kind)), content);
  write('md', text);
  if (changed && changed.length > 0) write('diff', `${changed.join('\n')}\n`);
  write('json', JSON.stringify(told, null, 2));
  return told;
}
