import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type {
  FullConfig,
  FullResult,
  Reporter,
  Suite,
  TestCase,
  TestError,
  TestResult,
} from '@playwright/test/reporter';
import { execaSync } from 'execa';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { messageOf } from '../helpers/errors.ts';
import { PLANTED } from '../helpers/sabotage/plan.ts';
import { byClause, type Proof } from '../helpers/sabotage/record.ts';
import {
  type CellMetadata,
  type Judged,
  OUT_DIR,
  readCells,
  readJudgement,
} from '../helpers/verdict/channel.ts';
import {
  type Cell,
  conforms,
  type ExitReason,
  type VerdictFile,
  verdictSchema,
} from '../helpers/verdict/model.ts';
import { shellWord } from './advice.ts';
import { areaOf, type Catalogue, clauseVerdict, composeVerdict, notRun, type Outcome } from './compose.ts';
import { plain, type Ran } from './decide.ts';
import { savedTranscript, saveEvidence } from './evidence.ts';
import { durations, readHistory } from './history.ts';
import { junitXml } from './junit.ts';
import { clearRunFolder } from './leftovers.ts';
import { makePages } from './pages.ts';
import { Progress } from './progress.ts';
import { readProof } from './proof.ts';
import { type Selected, selectedByCommand, selectedIn } from './selection.ts';
import { summarise } from './summary.ts';

/** Options of the reporter in `playwright.config.ts`. */
export interface ReporterOptions {
  /** Folder for everything a run leaves; `reports/out` unless told. */
  outDir?: string;
  /** Folder that remembers runs and that no run empties; `<outDir>/history` unless told. */
  historyDir?: string;
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

/**
 * Turns a Playwright run into `verdict.json`, `junit.xml`, saved evidence, pages for people and a short summary.
 *
 * The runner constructs its reporters before global set-up and calls `onBegin` only after it. So the constructor
 * empties the output folder: set-up can then write what it learns about cells, and a set-up that dies finds a verdict
 * that says `running`, not yesterday's. The verdict is written again after every test, so a killed run loses nothing
 * that was finished.
 */
export default class VerdictReporter implements Reporter {
  readonly #outDir: string;
  readonly #historyDir: string;
  #allure: boolean;
  readonly #catalogue: Catalogue;
  readonly #listing = process.argv.includes('--list');
  readonly #startedAt = new Date().toISOString();
  readonly #id = `${this.#startedAt.replaceAll(/[-:]|\.\d+/g, '')}-${randomUUID().slice(0, 4)}`;
  readonly #suite = commitOfSuite();
  readonly #errors: string[] = [];
  readonly #progress = new Progress(process.stdout);
  readonly #outcomes = new Map<string, Outcome>();
  #selected: Selected[] = [];
  /** What each cell was asked to be, by name. */
  readonly #settings = new Map<string, Cell['settings']>();
  #maxFailures = 0;
  /** How the run ended; a test may end after it, in a run whose time is over. */
  #exitReason: ExitReason = 'running';
  #verdict: VerdictFile | undefined;

  constructor(options: ReporterOptions = {}) {
    const {
      outDir = OUT_DIR,
      historyDir = join(outDir, 'history'),
      catalogue = loadCatalogue,
      proof = readProof,
      allure = true,
    } = options;
    this.#outDir = outDir;
    this.#historyDir = historyDir;
    this.#allure = allure;
    const proven = byClause(proof());
    this.#catalogue = new Map([...catalogue()].map(([id, one]) => [id, { ...one, ...proven.get(id) }]));
    if (this.#listing) return;
    clearRunFolder(outDir);
    this.#save();
  }

  /** The runner has found the tests of this run; there are none when global set-up or the loading of specs failed. */
  onBegin(config: FullConfig, suite: Suite): void {
    if (this.#listing) return;
    // The runner names a reporter by the path of its module.
    this.#allure &&= config.reporter.some(([module]) => module.includes('allure-playwright'));
    this.#maxFailures = config.maxFailures;
    this.#selected = selectedIn(suite);
    for (const { name, metadata } of config.projects)
      this.#settings.set(name, (metadata as CellMetadata | undefined)?.settings ?? null);
    this.#save();
    this.#progress.begin({
      selected: this.#selected,
      areaOf: (clause) => areaOf(clause, this.#catalogue),
      expected: this.#expected(),
      workers: config.workers,
    });
  }

  /** A lab begins with a test. */
  onTestBegin(test: TestCase): void {
    const selected = this.#selected.find((candidate) => candidate.test === test.id);
    if (selected !== undefined) this.#progress.started(selected);
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
    const outcome = {
      ran,
      startedAt: result.startTime.toISOString(),
      durationMs: result.duration,
      worker: result.parallelIndex,
      evidence,
      transcript,
    };
    this.#outcomes.set(test.id, outcome);
    this.#save();
    const clause = clauseVerdict(selected, outcome, this.#catalogue, notRun({ exitReason: 'running' }));
    this.#progress.judged(selected, clause);
  }

  /** Something broke outside every test. */
  onError(error: TestError): void {
    this.#errors.push(wordsOf(error));
  }

  /** What a spec prints is for its author. */
  onStdOut(chunk: string | Buffer): void {
    this.#progress.write(chunk);
  }

  /** What a spec prints is for its author. */
  onStdErr(chunk: string | Buffer): void {
    this.#progress.write(chunk, process.stderr);
  }

  /** Writes the final verdict, and fails the run unless it is certain that nothing failed. */
  async onEnd({ status }: FullResult): Promise<{ status?: FullResult['status'] }> {
    this.#progress.end();
    if (this.#listing) return {};
    // Where not even the list can be had, the verdict holds no clause, only the error that prevented the run.
    if (this.#selected.length === 0 && status !== 'passed')
      this.#selected = await selectedByCommand().catch(() => []);
    this.#exitReason = this.#reasonOf(status);
    const verdict = this.#save();
    writeFileSync(join(this.#outDir, 'junit.xml'), junitXml(verdict));
    return status === 'passed' && !conforms(verdict) ? { status: 'failed' } : {};
  }

  /** Makes the pages, now that every reporter has written what it has, and prints the summary. */
  async onExit(): Promise<void> {
    if (this.#listing || this.#verdict === undefined) return;
    const places = { outDir: this.#outDir, historyDir: this.#historyDir };
    const made = await makePages(places, this.#verdict, this.#catalogue, { allure: this.#allure });
    for (const problem of made.problems) console.log(`${problem}; the verdict is not affected.`);
    const shown = (path: string | undefined) => path && (relative(process.cwd(), path) || path);
    const files = {
      page: shown(made.page),
      allure: shown(made.allure),
      verdict: shown(join(this.#outDir, 'verdict.json')),
    };
    for (const line of summarise(this.#verdict, files, process.stdout.columns)) console.log(line);
  }

  /** Listing tests is left to the runner, which does it only if no reporter prints. */
  printsToStdio(): boolean {
    return !this.#listing;
  }

  /** How long clauses took before; a history that cannot be read is told when pages are made of it. */
  #expected(): ReturnType<typeof durations> {
    try {
      return durations(readHistory(this.#historyDir));
    } catch {
      return durations([]);
    }
  }

  #reasonOf(status: FullResult['status']): ExitReason {
    if (status === 'interrupted') return 'interrupted';
    if (status === 'timedout') return 'timed-out';
    if (this.#outcomes.size === 0 && status === 'failed') return 'setup-failed';
    const judgedAll = this.#outcomes.size >= this.#selected.length;
    return this.#maxFailures > 0 && !judgedAll ? 'max-failures' : 'completed';
  }

  /** Writes what is known, by renaming, so that a reader or a killed run never finds half a file. */
  #save(): VerdictFile {
    const exitReason = this.#exitReason;
    const now = new Date();
    const planted = process.env[PLANTED];
    const told = [
      // Whoever finds the report later must not take it for the product's.
      ...(planted ? [`A defect was planted in every Swarm of this run, by ${PLANTED}: ${planted}`] : []),
      ...this.#errors,
    ];
    const run = {
      id: this.#id,
      startedAt: this.#startedAt,
      finishedAt: exitReason === 'running' ? null : now.toISOString(),
      command: ['npx playwright', ...process.argv.slice(2).map(shellWord)].join(' '),
      suite: this.#suite,
      exitReason,
      ...(told.length === 0 ? {} : { message: told.join('\n') }),
    };
    const known = {
      run,
      selected: this.#selected,
      outcomes: this.#outcomes,
      settings: this.#settings,
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
}

/** The commit this suite is at, marked where files were changed since; null outside version control. */
function commitOfSuite(): string | null {
  const words = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
  const { stdout, failed } = execaSync('git', words, { cwd: import.meta.dirname, reject: false });
  return failed ? null : stdout;
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
