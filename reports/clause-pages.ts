/**
 * The pages under `docs/clauses/`: what is promised and how it is judged, one page for each area, out of the catalogue and the
 * verdicts on record. Brought up to date by `npx node reports/clause-pages.ts`; with `--record`, the verdicts of the last run
 * are put on record first.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type ClauseData, loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { loadSabotages, type Sabotage } from '../helpers/sabotage/sabotages.ts';
import { areaHeading, verbatim } from '../helpers/verdict/allure.ts';
import { OUT_DIR } from '../helpers/verdict/channel.ts';
import { VERDICTS, type VerdictFile, verdictSchema } from '../helpers/verdict/model.ts';

/** Where the pages lie, and the verdicts on record. */
export const PAGES = fileURLToPath(new URL('../docs/clauses/', import.meta.url));
const RECORD = 'verdicts.json';

const recordSchema = z.array(
  z.strictObject({
    engine: z.string(),
    kernel: z.string(),
    /** By clause, with the day of the newest run that knew (ISO 8601). */
    verdicts: z.record(z.string(), z.strictObject({ verdict: z.enum(VERDICTS), date: z.iso.date() })),
  }),
);

/** Verdicts by engine and kernel, the newest of each clause. */
export type VerdictRecord = z.infer<typeof recordSchema>;

/** The verdicts on record. @throws ZodError when the file is not what it must be. */
export function readRecord(): VerdictRecord {
  return existsSync(PAGES + RECORD)
    ? recordSchema.parse(JSON.parse(readFileSync(PAGES + RECORD, 'utf8')))
    : [];
}

/**
 * The record with a run's verdicts in it. What was inconclusive or skipped tells nothing of the engine and is left out. A Swarm of
 * several engines stands under all their versions, the first node's first.
 */
export function recorded(record: VerdictRecord, { run, cells, clauses }: VerdictFile): VerdictRecord {
  const entries = new Map(record.map((entry) => [`${entry.engine} ${entry.kernel}`, entry]));
  for (const { name, kernel, engines } of cells) {
    const engine = [...new Set(Object.values(engines ?? {}))].join(', ');
    if (engine === '' || kernel === null) continue;
    const judged = clauses.filter(
      ({ cell, verdict }) => cell === name && verdict !== 'inconclusive' && verdict !== 'skipped',
    );
    const known = entries.get(`${engine} ${kernel}`)?.verdicts;
    const date = run.startedAt.slice(0, 10);
    const now = Object.fromEntries(judged.map(({ id, verdict }) => [id, { verdict, date }]));
    if (judged.length > 0)
      entries.set(`${engine} ${kernel}`, { engine, kernel, verdicts: { ...known, ...now } });
  }
  return [...entries.values()];
}

/**
 * Every page by file name, `README.md` being the list of areas.
 *
 * @param sabotages what must turn a clause red, by its id.
 */
export function clausePages(
  clauses: readonly ClauseData[],
  sabotages: ReadonlyMap<string, readonly Sabotage[]>,
  record: VerdictRecord,
): Map<string, string> {
  const areas = Map.groupBy(clauses, ({ area }) => area);
  const pages = [...areas].map(
    ([area, own]) =>
      [
        `${area}.md`,
        [
          `# ${areaHeading(area)}`,
          GENERATED,
          ...own.map((clause) => section(clause, sabotages.get(clause.id) ?? [], record)),
        ].join('\n\n'),
      ] as const,
  );
  const list = [...areas].map(
    ([area, own]) => `| [${areaHeading(area)}](${area}.md) | ${own.length} | ${levels(own)} |`,
  );
  const index = [
    '# The clauses',
    GENERATED,
    `${clauses.length} documented behaviours of Swarm service networking. A clause's spec is found by its id under \`specs/\`.`,
    ['| area | clauses | of these |', '| --- | --- | --- |', ...list].join('\n'),
    ...(record.length > 0 ? ['## Where they were judged', judgedWhere(record)] : []),
  ].join('\n\n');
  return new Map([['README.md', index], ...pages].map(([file, text]) => [file, `${text}\n`]));
}

const GENERATED =
  '<!-- Made of specs/catalogue and specs/sabotage by reports/clause-pages.ts: change those, not this page. -->';

/** 6.2 comes before 6.12. */
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

/** How many clauses had which verdict, by engine and kernel, and which ones did not hold. */
function judgedWhere(record: VerdictRecord): string {
  const rows = record
    .toSorted((a, b) => byNumber(a.engine, b.engine) || byNumber(a.kernel, b.kernel))
    .map(({ engine, kernel, verdicts }) => {
      const all = Object.entries(verdicts);
      const of = (wanted: (typeof VERDICTS)[number]) => all.filter(([, { verdict }]) => verdict === wanted);
      const dates = all.map(([, { date }]) => date).toSorted();
      const days = [...new Set([dates[0], dates.at(-1)])].join(' to ');
      const failed = of('fail').map(([id]) => id);
      return `| ${engine} | ${kernel} | ${of('pass').length} | ${of('expected-fail').length} | ${failed.join(', ') || 'none'} | ${days} |`;
    });
  return [
    '| engine | kernel | pass | expected-fail | fail | judged |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function levels(clauses: readonly ClauseData[]): string {
  const of = (level: ClauseData['level']) => clauses.filter((clause) => clause.level === level).length;
  return `${of('must')} must, ${of('should')} should, ${of('detail')} detail`;
}

function section(clause: ClauseData, sabotages: readonly Sabotage[], record: VerdictRecord): string {
  const { id, title, level, statement, sources, observe, engines, regressions, expectedFail = [] } = clause;
  const seen = record.flatMap(({ engine, kernel, verdicts: { [id]: seen } }) =>
    seen ? [`| ${engine} | ${kernel} | ${seen.verdict} | ${seen.date} |`] : [],
  );
  const defects = expectedFail.map(
    ({ since, until, defect, ref, sometimes }) =>
      `- ${range(since, until)}${sometimes ? ', in some runs' : ''}: ${defect} (${ref})`,
  );
  return [
    `## ${id} ${verbatim(title)}`,
    `**Level** ${level}${clause.core ? ', core' : ''}${clause.draft ? ', a draft that is not judged yet' : ''}${clause.soak ? ', long' : ''}`,
    verbatim(statement),
    `**How it is judged.** ${verbatim(observe)}`,
    ...(engines ? [`**Engines.** ${verbatim(engines)}`] : []),
    ...(defects.length > 0 ? [`**Known defects**\n\n${defects.join('\n')}`] : []),
    ...(regressions.length > 0
      ? [
          `**Failures it would catch**\n\n${regressions.map(({ id, title, links }) => `- [${id}](${links[0]}) ${verbatim(title)}`).join('\n')}`,
        ]
      : []),
    ...(sabotages.length > 0
      ? [
          `**Must turn red when**\n\n${sabotages.map(({ fault }) => `- ${verbatim(fault.description)}`).join('\n')}`,
        ]
      : []),
    `**Sources**\n\n${sources.map(({ name, ref }) => `- ${verbatim(name)}: ${verbatim(ref)}`).join('\n')}`,
    ...(seen.length > 0
      ? [['| engine | kernel | verdict | last seen |', '| --- | --- | --- | --- |', ...seen].join('\n')]
      : ['No verdict is on record.']),
  ].join('\n\n');
}

function range(since: string | null, until: string | null): string {
  if (since && until) return `from ${since} up to ${until}`;
  if (since) return `from ${since}`;
  return until ? `before ${until}` : 'all versions';
}

if (import.meta.main) {
  const { record } = parseArgs({ options: { record: { type: 'boolean', default: false } } }).values;
  mkdirSync(PAGES, { recursive: true });
  if (record) {
    const run = verdictSchema.parse(JSON.parse(readFileSync(`${OUT_DIR}/verdict.json`, 'utf8')));
    writeFileSync(PAGES + RECORD, `${JSON.stringify(recorded(readRecord(), run), null, 2)}\n`);
  }
  const catalogue = loadCatalogue();
  for (const [file, text] of clausePages([...catalogue.values()], loadSabotages(catalogue), readRecord()))
    writeFileSync(PAGES + file, text);
}
