import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Status, type StepResult, type TestResult } from 'allure-js-commons';
import { ExecaError, execa } from 'execa';
import { messageOf } from '../helpers/errors.ts';
import { type AllureClause, allureAnnotations } from '../helpers/verdict/allure.ts';
import type { ClauseVerdict, Verdict, VerdictFile } from '../helpers/verdict/model.ts';
import { notEvidence } from './evidence.ts';
import { clauseIn } from './selection.ts';

const statuses = {
  pass: Status.PASSED,
  fail: Status.FAILED,
  inconclusive: Status.BROKEN,
  skipped: Status.SKIPPED,
  'expected-fail': Status.FAILED,
} as const satisfies Record<Verdict, Status>;

/** The clauses of the catalogue, as far as a page shows them. */
export type AllureCatalogue = ReadonlyMap<string, AllureClause>;

/**
 * Makes `<outDir>/allure/index.html`, one self-contained page, from `<outDir>/allure-results` and `verdict.json`.
 * @returns the path of the page.
 * @throws with one sentence when Allure cannot make it.
 */
export async function makeAllurePage(
  outDir: string,
  verdict: VerdictFile,
  catalogue: AllureCatalogue,
): Promise<string> {
  const results = join(outDir, 'allure-results');
  const page = join(outDir, 'allure', 'index.html');
  const config = join(import.meta.dirname, 'allurerc.mjs');
  try {
    bringIntoLine(results, verdict, catalogue);
    await execa('allure', ['generate', results, '--config', config, '--output', dirname(page)], {
      preferLocal: true,
      localDir: import.meta.dirname,
      env: { SWARMPROOF_VERDICT: join(outDir, 'verdict.json') },
    });
    writeFileSync(page, withoutTracker(readFileSync(page, 'utf8')));
  } catch (error) {
    const said = error instanceof ExecaError && (error.stderr || error.stdout || error.shortMessage);
    throw new Error(`Allure could not make its page: ${firstLine(String(said || messageOf(error)))}`);
  }
  return page;
}

/** Allure lets its pages report every reader to an analytics service, with no option against it. */
function withoutTracker(html: string): string {
  return html.replaceAll(
    /<script[^>]+src="https:[^>]*><\/script>(\s*<script>[^<]*\bgtag\([^<]*<\/script>)?/g,
    '',
  );
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

/**
 * Makes what allure-playwright wrote say what the verdict says. Its statuses are the runner's, in which a known defect
 * is a success and a broken lab a failure; clauses the runner never reached can be missing; and a test that is no
 * clause is of interest only if it broke.
 */
function bringIntoLine(folder: string, { run, clauses }: VerdictFile, catalogue: AllureCatalogue): void {
  mkdirSync(folder, { recursive: true });
  const save = (name: string, content: object) => writeFileSync(join(folder, name), JSON.stringify(content));
  const missing = new Set(clauses);
  for (const name of readdirSync(folder).filter((file) => file.endsWith('-result.json'))) {
    const result: TestResult = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    const clause = clauses.find(({ id, cell }) => id === clauseIn(result.name ?? '') && isOf(cell, result));
    if (clause !== undefined) {
      missing.delete(clause);
      save(name, judgedResult(withoutInternals(result), clause));
    } else if (result.status === Status.PASSED) rmSync(join(folder, name));
  }
  for (const clause of missing) {
    const result = emptyResult(clause, run.startedAt, catalogue.get(clause.id));
    save(`${result.uuid}-result.json`, judgedResult(result, clause));
  }
  if (run.message !== undefined) {
    const errors = [{ message: run.message, timestamp: Date.parse(run.finishedAt ?? run.startedAt) }];
    save(`${randomUUID()}-globals.json`, { attachments: [], errors });
  }
}

/** The label allure-playwright sets from the Playwright project, which is the cell. */
const CELL_LABEL = 'parentSuite';

function isOf(cell: string, { labels }: TestResult): boolean {
  return labels.some(({ name, value }) => name === CELL_LABEL && value === cell);
}

function judgedResult(result: Partial<TestResult>, { verdict, reason, message, node }: ClauseVerdict) {
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
      // A merged run's results have the label already.
      ...(result.labels ?? []).filter(({ name }) => name !== 'verdict'),
      { name: 'verdict', value: verdict },
    ],
  };
}

/** The result without attachments that are no evidence. */
function withoutInternals<T extends Pick<StepResult, 'steps' | 'attachments'>>(step: T): T {
  const kept = ({ name }: { name?: string }) => !notEvidence.has(name ?? '');
  return {
    ...step,
    steps: step.steps.filter(kept).map(withoutInternals),
    attachments: step.attachments.filter(kept),
  };
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
  };
}
