import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { styleText } from 'node:util';
import type {
  FullConfig,
  FullResult,
  Reporter,
  Suite,
  TestCase,
  TestError,
  TestResult,
} from '@playwright/test/reporter';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { messageOf, UsageError } from '../helpers/errors.ts';
import { byClause, type Proof } from '../helpers/sabotage/record.ts';
import {
  DEFAULT_OUT_DIR,
  type Judged,
  OUT_DIR,
  readCells,
  readJudgement,
} from '../helpers/verdict/channel.ts';
import {
  type ClauseVerdict,
  conforms,
  type ExitReason,
  type Verdict,
  type VerdictFile,
  verdictSchema,
} from '../helpers/verdict/model.ts';
import { makeAllurePage } from './allure-page.ts';
import { type Catalogue, clauseVerdict, composeVerdict, notRun, type Outcome } from './compose.ts';
import { plain, type Ran } from './decide.ts';
import { savedTranscript, saveEvidence } from './evidence.ts';
import { junitXml } from './junit.ts';
import { readProof } from './proof.ts';
import { type Selected, selectedByCommand, selectedIn } from './selection.ts';
import { duration, summarise } from './summary.ts';

/** Options of the reporter in `playwright.config.ts`. */
export interface ReporterOptions {
  /** Folder for everything a run leaves; `reports/out` unless told. */
  outDir?: string;
  /** Gives the clauses by id; the project's own catalogue unless told. */
  catalogue?: () => Catalogue;
  /** Gives the proof that clauses can fail; the one on record unless told. */
  proof?: () => Proof;
  /**
   * Whether to make the Allure page at the end, from what allure-playwright wrote to `<outDir>/allure-results`; only if that one
   * reports this run, too.
   */
  allure?: boolean;
}

/** What a run leaves in that folder; all of it goes when the next run starts. */
const leftovers = [
  'verdict.json',
  'junit.xml',
  'known-issues.json',
  'evidence',
  'transcripts',
  'cells',
  'rules',
  'allure',
  'allure-results',
];

const colours = {
  pass: 'green',
  fail: 'red',
  inconclusive: 'magenta',
  'expected-fail': 'yellow',
  skipped: 'gray',
} as const satisfies Record<Verdict, string>;

/**
 * Turns a Playwright run into `verdict.json`, `junit.xml`, saved evidence, an Allure page and a short summary.
 *
 * The runner constructs its reporters before global set-up and calls `onBegin` only after it. So the constructor
 * empties the output folder: set-up can then write what it learns about cells, and a set-up that dies finds a verdict
 * that says `running`, not yesterday's. The verdict is written again after every test, so a killed run loses nothing
 * that was finished.
 */
export default class VerdictReporter implements Reporter {
  readonly #outDir: string;
  #makePage: boolean;
  readonly #catalogue: Catalogue;
  readonly #listing = process.argv.includes('--list');
  readonly #startedAt = new Date().toISOString();
  readonly #id = `${this.#startedAt.replaceAll(/[-:]|\.\d+/g, '')}-${randomUUID().slice(0, 4)}`;
  readonly #errors: string[] = [];
  readonly #outcomes = new Map<string, Outcome>();
  #selected: Selected[] = [];
  #maxFailures = 0;
  #verdict: VerdictFile | undefined;

  constructor({
    outDir = OUT_DIR,
    catalogue = loadCatalogue,
    proof = readProof,
    allure = true,
  }: ReporterOptions = {}) {
    this.#outDir = outDir;
    this.#makePage = allure;
    const proven = byClause(proof());
    this.#catalogue = new Map([...catalogue()].map(([id, one]) => [id, { ...one, ...proven.get(id) }]));
    if (this.#listing) return;
    requireOurs(outDir);
    for (const name of leftovers) rmSync(join(outDir, name), { recursive: true, force: true });
    this.#save('running');
  }

  /** The runner has found the tests of this run; there are none when global set-up or the loading of specs failed. */
  onBegin(config: FullConfig, suite: Suite): void {
    if (this.#listing) return;
    // The runner names a reporter by the path of its module.
    this.#makePage &&= config.reporter.some(([module]) => module.includes('allure-playwright'));
    this.#maxFailures = config.maxFailures;
    this.#selected = selectedIn(suite);
    this.#save('running');
  }

  /** Keeps the result and its evidence at once. */
  onTestEnd(test: TestCase, result: TestResult): void {
    const selected = this.#selected.find((candidate) => candidate.test === test.id);
    if (selected === undefined) {
      if (result.error !== undefined && !test.ok())
        this.#errors.push(`${test.title}: ${wordsOf(result.error)}`);
      return;
    }
    const ran = ranOf(test, result, selected.clause);
    const evidence = saveEvidence(this.#outDir, selected, result.attachments);
    const transcript = savedTranscript(this.#outDir, { ...selected, repeat: test.repeatEachIndex });
    const outcome = { ran, durationMs: result.duration, evidence, transcript };
    this.#outcomes.set(test.id, outcome);
    this.#save('running');
    this.#tell(clauseVerdict(selected, outcome, this.#catalogue, notRun({ exitReason: 'running' })));
  }

  /** Something broke outside every test. */
  onError(error: TestError): void {
    this.#errors.push(wordsOf(error));
  }

  /** What a spec prints is for its author. */
  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  /** What a spec prints is for its author. */
  onStdErr(chunk: string | Buffer): void {
    process.stderr.write(chunk);
  }

  /** Writes the final verdict, and fails the run unless it is certain that nothing failed. */
  async onEnd({ status }: FullResult): Promise<{ status?: FullResult['status'] }> {
    if (this.#listing) return {};
    // Where not even the list can be had, the verdict holds no clause, only the error that prevented the run.
    if (this.#selected.length === 0 && status !== 'passed')
      this.#selected = await selectedByCommand().catch(() => []);
    const verdict = this.#save(this.#exitReason(status));
    writeFileSync(join(this.#outDir, 'junit.xml'), junitXml(verdict));
    return status === 'passed' && !conforms(verdict) ? { status: 'failed' } : {};
  }

  /** Makes the Allure page, now that every reporter has written what it has, and prints the summary. */
  async onExit(): Promise<void> {
    if (this.#listing || this.#verdict === undefined) return;
    const shown = (path: string) => relative(process.cwd(), path) || path;
    const page = await this.#allurePage(this.#verdict);
    const places = { verdict: shown(join(this.#outDir, 'verdict.json')), page: page && shown(page) };
    for (const line of summarise(this.#verdict, places, process.stdout.columns)) console.log(line);
  }

  /** Listing tests is left to the runner, which does it only if no reporter prints. */
  printsToStdio(): boolean {
    return !this.#listing;
  }

  /** One line of progress. */
  #tell({ verdict, id, cell, title, durationMs }: ClauseVerdict): void {
    const where = this.#selected.some((other) => other.cell !== cell) ? ` on ${cell}` : '';
    console.log(
      `${styleText(colours[verdict], verdict.padEnd(13))} ${id}${where} ${title} (${duration(durationMs)})`,
    );
  }

  #exitReason(status: FullResult['status']): ExitReason {
    if (status === 'interrupted') return 'interrupted';
    if (status === 'timedout') return 'timed-out';
    if (this.#outcomes.size === 0 && status === 'failed') return 'setup-failed';
    const judgedAll = this.#outcomes.size >= this.#selected.length;
    return this.#maxFailures > 0 && !judgedAll ? 'max-failures' : 'completed';
  }

  /** Writes what is known, by renaming, so that a reader or a killed run never finds half a file. */
  #save(exitReason: ExitReason): VerdictFile {
    const now = new Date();
    const run = {
      id: this.#id,
      startedAt: this.#startedAt,
      finishedAt: exitReason === 'running' ? null : now.toISOString(),
      command: ['npx playwright', ...process.argv.slice(2)].join(' '),
      exitReason,
      ...(this.#errors.length === 0 ? {} : { message: this.#errors.join('\n') }),
    };
    const known = {
      run,
      selected: this.#selected,
      outcomes: this.#outcomes,
      catalogue: this.#catalogue,
      now,
    };
    this.#verdict = verdictSchema.parse(composeVerdict({ ...known, cells: readCells(this.#outDir) }));
    mkdirSync(this.#outDir, { recursive: true });
    const path = join(this.#outDir, 'verdict.json');
    writeFileSync(`${path}.part`, `${JSON.stringify(this.#verdict, null, 2)}\n`);
    renameSync(`${path}.part`, path);
    return this.#verdict;
  }

  async #allurePage(verdict: VerdictFile): Promise<string | undefined> {
    if (!this.#makePage) return undefined;
    try {
      return await makeAllurePage(this.#outDir, verdict, this.#catalogue);
    } catch (error) {
      console.log(`${messageOf(error)}; the verdict is not affected.`);
      return undefined;
    }
  }
}

/** A run removes what the one before left: a folder that has something in it and no run's verdict is somebody else's. */
function requireOurs(outDir: string): void {
  const names = outDir !== DEFAULT_OUT_DIR && existsSync(outDir) ? readdirSync(outDir) : [];
  if (names.length === 0 || names.includes('verdict.json')) return;
  throw new UsageError(
    `OUT_DIR=${outDir} holds ${names[0]} and no verdict.json, so no run of ours made it: name an empty folder, or a new one.`,
  );
}

function ranOf(test: TestCase, result: TestResult, clause: string): Ran {
  const annotations = [...test.annotations, ...result.annotations];
  const said = (...types: string[]) => annotations.find(({ type }) => types.includes(type));
  const skip = said('skip', 'fixme');
  return {
    status: result.status,
    ...(skip === undefined ? {} : { skip: skip.description ?? 'no reason given' }),
    ...(test.expectedStatus === 'failed' ? { knownDefect: said('fail')?.description ?? '' } : {}),
    ...(result.error === undefined ? {} : { error: wordsOf(result.error) }),
    ...judgementOf(result, clause),
  };
}

function judgementOf({ attachments }: TestResult, clause: string): { judged?: Judged; error?: string } {
  try {
    const judged = readJudgement(attachments, clause);
    return judged === undefined ? {} : { judged };
  } catch (error) {
    return { error: `the judgement cannot be read: ${messageOf(error)}` };
  }
}

function wordsOf({ message, value }: TestError): string {
  return plain(message ?? value ?? 'an error without words').replace(/^Error: /, '');
}
