import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AllureReport, resolveConfig } from '@allurereport/core';
import { type Link, LinkType, Status, type StepResult, type TestResult } from 'allure-js-commons';
import { linkToDefect } from '../helpers/catalogue/links.ts';
import { messageOf } from '../helpers/errors.ts';
import { type AllureClause, allureAnnotations } from '../helpers/verdict/allure.ts';
import type { ClauseVerdict, Verdict, VerdictFile } from '../helpers/verdict/model.ts';
import { ALLURE_HISTORY, type AllurePlaces, allureConfig, CELL_LABEL } from './allure-config.ts';
import type { Catalogue, ReportedClause } from './compose.ts';
import { notEvidence } from './evidence.ts';
import { clauseIn } from './selection.ts';

const statuses = {
  pass: Status.PASSED,
  fail: Status.FAILED,
  inconclusive: Status.BROKEN,
  skipped: Status.SKIPPED,
  'expected-fail': Status.FAILED,
} as const satisfies Record<Verdict, Status>;

/**
 * Makes `<outDir>/allure/index.html`, one self-contained page, from `<outDir>/allure-results` and the verdict, and adds
 * the run to Allure's own history.
 *
 * @returns the path of the page.
 * @throws with one sentence when Allure cannot make it.
 */
export async function makeAllurePage(
  places: AllurePlaces,
  verdict: VerdictFile,
  catalogue: Catalogue,
): Promise<string> {
  const results = join(places.outDir, 'allure-results');
  const page = join(places.outDir, 'allure', 'index.html');
  try {
    bringIntoLine(results, verdict, catalogue);
    mkdirSync(places.historyDir, { recursive: true });
    const report = new AllureReport(await resolveConfig(allureConfig(verdict, places)));
    await report.start();
    await report.readDirectory(results);
    const gate = await report.validate({ trs: await report.store.allTestResults({ includeRetries: false }) });
    report.realtimeDispatcher.sendQualityGateResults(gate.results);
    await report.done();
    const html = withoutTracker(readFileSync(page, 'utf8'));
    writeFileSync(page, verdict.cells.length > 1 ? html : withoutUnread(html));
    const history = join(places.historyDir, ALLURE_HISTORY);
    writeFileSync(history, slim(readFileSync(history, 'utf8')));
  } catch (error) {
    throw new Error(`Allure could not make its page: ${firstLine(messageOf(error))}`);
  }
  return page;
}

/**
 * Allure's history without what its pages do not show of earlier runs. A page embeds every run that is remembered, and
 * would grow by a quarter of a megabyte with each.
 */
function slim(history: string): string {
  const lean = (key: string, value: unknown) =>
    key === 'labels' || key === 'reportLinks'
      ? []
      : key === 'trace' || key === 'fullName'
        ? undefined
        : value;
  const runs = history.split('\n').filter(Boolean);
  return runs.map((run) => `${JSON.stringify(JSON.parse(run), lean)}\n`).join('');
}

/** Allure lets its pages report every reader to an analytics service, with no option against it. */
function withoutTracker(html: string): string {
  return html.replaceAll(
    /<script[^>]+src="https:[^>]*><\/script>(\s*<script>[^<]*\bgtag\([^<]*<\/script>)?/g,
    '',
  );
}

/**
 * Allure embeds its tree, its search index and its navigation for all environments together and for each. Where there is one, nobody can
 * ask for the former, which are a quarter of a megabyte of a full run's page (Allure 3.18, seen in Chromium).
 */
function withoutUnread(html: string): string {
  return html.replaceAll(/d\("widgets\/(tree|search-index|nav)\.json","[^"]*"\),/g, '');
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

/**
 * Makes what allure-playwright wrote say what the verdict says. Its statuses are the runner's, in which a known defect
 * is a success and a broken lab a failure; clauses the runner never reached can be missing; and a test that is no
 * clause is of interest only if it broke.
 */
function bringIntoLine(folder: string, { run, clauses }: VerdictFile, catalogue: Catalogue): void {
  mkdirSync(folder, { recursive: true });
  const save = (name: string, content: object) => writeFileSync(join(folder, name), JSON.stringify(content));
  const missing = new Set(clauses);
  const own: { file: string; result: TestResult; clause: ClauseVerdict }[] = [];
  for (const name of readdirSync(folder).filter((file) => file.endsWith('-result.json'))) {
    const result: TestResult = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    const clause = clauses.find(({ id, cell }) => id === clauseIn(result.name ?? '') && isOf(cell, result));
    if (clause !== undefined) {
      missing.delete(clause);
      own.push({ file: name, result, clause });
    } else if (result.status === Status.PASSED) rmSync(join(folder, name));
  }
  const kept = keptAttachments(
    folder,
    own.filter(({ clause }) => clause.verdict !== 'pass').map(({ result }) => result),
  );
  for (const { file, result, clause } of own)
    save(file, judgedResult(withAttachments(result, kept), clause, catalogue));
  for (const clause of missing) {
    const result = emptyResult(clause, run.startedAt, catalogue.get(clause.id));
    save(`${result.uuid}-result.json`, judgedResult(result, clause, catalogue));
  }
  if (run.message !== undefined) {
    const errors = [{ message: run.message, timestamp: Date.parse(run.finishedAt ?? run.startedAt) }];
    save(`${randomUUID()}-globals.json`, { attachments: [], errors });
  }
}

function isOf(cell: string, { labels }: TestResult): boolean {
  return labels.some(({ name, value }) => name === CELL_LABEL && value === cell);
}

/**
 * Labels that say something about a clause, or that Allure groups by. The others would stand in the page as often as
 * there are results in its history.
 */
const shownLabels: ReadonlySet<string> = new Set(['tag', 'epic', 'severity', 'thread', CELL_LABEL]);

/** Tag of clauses that were shown to be able to fail. */
const PROVEN = 'proven';

function judgedResult(result: Partial<TestResult>, clause: ClauseVerdict, catalogue: Catalogue) {
  const { id, verdict, reason, message, node, provenBy } = clause;
  const where = node === null ? '' : ` on ${node}`;
  const known = verdict === 'expected-fail' ? 'known defect: ' : '';
  const words = [`${known}${reason ?? verdict}${where}`, message]
    .filter((part) => part !== null)
    .join('\n\n');
  return {
    ...result,
    status: statuses[verdict],
    statusDetails: verdict === 'pass' ? {} : { ...result.statusDetails, message: words },
    labels: [
      ...(result.labels ?? []).filter(({ name, value }) => shownLabels.has(name) && value !== PROVEN),
      { name: 'verdict', value: verdict },
      ...(provenBy.length > 0 ? [{ name: 'tag', value: PROVEN }] : []),
    ],
    description: withEvidence(result.description ?? '', clause),
    links: linksOf(catalogue.get(id), reason),
  };
}

/** Allure links only to addresses of the web, so the description names the folder. */
function withEvidence(description: string, { evidence }: ClauseVerdict): string {
  const [first] = evidence;
  if (first === undefined || description.includes(BESIDE)) return description;
  return `${description}\n\n${BESIDE} \`${dirname(first.path)}\``;
}

const BESIDE = '**Evidence** lies beside the folder of this page, in';

/** Where the failures it would catch and the known defect were told; its sources stand in the description. */
function linksOf(facts: ReportedClause | undefined, reason: string | null): Link[] {
  const told = (facts?.regressions ?? []).map(({ id, title, links }) => ({
    name: `${id} ${title}`,
    url: links[0],
    type: LinkType.ISSUE,
  }));
  const defects = (facts?.expectedFail ?? [])
    .filter(({ defect }) => reason?.includes(defect))
    .map(({ ref }) => ({ name: `known defect: ${ref}`, url: linkToDefect(ref), type: LinkType.ISSUE }));
  return [...told, ...defects].flatMap(({ url, ...link }) => (url ? [{ ...link, url }] : []));
}

/**
 * Room for evidence in the page (bytes), so that it stays below 5 MB: Allure's program takes 3.6 MB of them, a run of all
 * clauses 0.9 MB, each earlier run that is remembered 0.1 MB, and Base64 makes a third more of what is put in.
 */
const ROOM = 50_000;

type Attached = Pick<StepResult, 'steps' | 'attachments'>;

/** The files of evidence that go into the page: those of clauses that did not pass, the smallest first, as there is room. */
function keptAttachments(folder: string, results: readonly Attached[]): ReadonlySet<string> {
  const files = [...new Set(results.flatMap(attachmentsOf))]
    .map((source) => ({ source, bytes: statSync(join(folder, source)).size }))
    .toSorted((a, b) => a.bytes - b.bytes);
  let room = ROOM;
  return new Set(
    files.flatMap(({ source, bytes }) => {
      room -= bytes;
      return room >= 0 ? [source] : [];
    }),
  );
}

function attachmentsOf({ steps, attachments }: Attached): string[] {
  const own = attachments.filter(({ name }) => !notEvidence.has(name)).map(({ source }) => source);
  return [...own, ...steps.flatMap(attachmentsOf)];
}

/** The result with these attachments only; a step that was there for one that is left out goes, too. */
function withAttachments<T extends Attached>(step: T, kept: ReadonlySet<string>): T {
  return {
    ...step,
    steps: step.steps
      .filter((one) => attachmentsOf(one).some((source) => kept.has(source)) || !isAttachment(one))
      .map((one) => withAttachments(one, kept)),
    attachments: step.attachments.filter(({ source }) => kept.has(source)),
  };
}

/** Whether a step is nothing but the attachment of its name. */
function isAttachment({ name, steps, attachments }: StepResult): boolean {
  return steps.length === 0 && attachments.every((one) => one.name === name);
}

function emptyResult(clause: ClauseVerdict, startedAt: string, facts?: AllureClause): Partial<TestResult> {
  const annotations = facts === undefined ? [] : allureAnnotations(facts);
  const labels = annotations
    .filter(({ type }) => type.startsWith('@allure.label.'))
    .map(({ type, description }) => ({ name: type.replace('@allure.label.', ''), value: description }));
  const start = Date.parse(startedAt);
  return {
    uuid: randomUUID(),
    name: `${clause.id} ${clause.title}`,
    fullName: `${clause.cell} ${clause.id}`,
    description: annotations.find(({ type }) => type === 'description')?.description,
    labels: [{ name: CELL_LABEL, value: clause.cell }, ...labels],
    start,
    stop: start,
    steps: [],
    attachments: [],
  };
}
