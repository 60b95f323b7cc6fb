import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClauseData } from './catalogue.ts';

/** A source file: its path from the root of the repository, with forward slashes, and its text. */
export interface SourceFile {
  path: string;
  text: string;
}

/** One way in which catalogue and specs disagree. */
export interface CoverageProblem {
  kind:
    | 'clause without spec'
    | 'spec without clause'
    | 'unknown clause'
    | 'clause declared twice'
    | 'clause outside its area'
    | 'clause id not a literal';
  /** The clause concerned; absent when no clause could be read. */
  clause?: string;
  /** `file:line`; absent when the clause is declared nowhere. */
  at?: string;
}

/**
 * Compares the catalogue with the specs, without running them.
 *
 * A spec declares a clause by `test(...clause('VIP-015', ...))`, with the id as a literal, in `specs/vip/`.
 */
export function coverage(
  catalogue: ReadonlyMap<string, Pick<ClauseData, 'area'>>,
  specFiles: readonly SourceFile[],
): CoverageProblem[] {
  const problems: CoverageProblem[] = [];
  const declared = new Set<string>();
  for (const file of specFiles) {
    const calls = [...findInCode(file.text, DECLARATION)];
    if (calls.length === 0) problems.push({ kind: 'spec without clause', at: `${file.path}:1` });
    for (const { groups, line } of calls) {
      const at = `${file.path}:${line}`;
      const id = groups.id;
      if (id === undefined) {
        problems.push({ kind: 'clause id not a literal', at });
        continue;
      }
      const area = catalogue.get(id)?.area;
      if (area === undefined) problems.push({ kind: 'unknown clause', clause: id, at });
      else if (!file.path.startsWith(`specs/${area}/`))
        problems.push({ kind: 'clause outside its area', clause: id, at });
      if (declared.has(id)) problems.push({ kind: 'clause declared twice', clause: id, at });
      declared.add(id);
    }
  }
  for (const id of catalogue.keys()) {
    if (!declared.has(id)) problems.push({ kind: 'clause without spec', clause: id });
  }
  return problems;
}

/** The path of the spec that declares a clause, if one does. */
export function specOf(id: string, specFiles: readonly SourceFile[]): string | undefined {
  return specFiles.find(({ text }) =>
    [...findInCode(text, DECLARATION)].some(({ groups }) => groups.id === id),
  )?.path;
}

/** A call of `clause` (spread or not, but no method of that name), with its first argument if that is a quoted literal. */
const DECLARATION =
  /(?:(?<=\.\.\.)|(?<![.\w$]))clause\s*\(\s*(?:(?<quote>['"])(?<id>[^'"\n]*)\k<quote>\s*(?=[,)]))?/;

/** A comment or a string: what looks like code in there is none. `\x60` is a backtick. */
const NOT_CODE =
  /\/\/.*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|\x60(?:\\[\s\S]|[^\x60\\])*\x60/;

/** Where a pattern occurs in TypeScript source, leaving out comments and strings that begin before it. */
export function* findInCode(
  text: string,
  pattern: RegExp,
): Generator<{ groups: Record<string, string | undefined>; line: number }> {
  const scanner = new RegExp(`(?<hit>${pattern.source})|${NOT_CODE.source}`, 'g');
  for (const match of text.matchAll(scanner)) {
    if (match.groups?.hit === undefined) continue;
    yield { groups: match.groups, line: text.slice(0, match.index).split('\n').length };
  }
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** Reads the files of the repository that a glob pattern names, in order of their paths. */
export function readSources(pattern: string): SourceFile[] {
  return globSync(pattern, { cwd: REPOSITORY })
    .map((found) => ({
      path: found.split(path.sep).join('/'),
      text: readFileSync(path.join(REPOSITORY, found), 'utf8'),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
