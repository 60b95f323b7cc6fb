import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { styleText } from 'node:util';
import type { FullResult, Reporter, Suite, TestCase, TestError, TestResult } from '@playwright/test/reporter';
import { messageOf } from '../helpers/errors.ts';
import { type Plan, readPlan } from '../helpers/sabotage/plan.ts';
import {
  type Blind,
  blindFile,
  blindSchema,
  FINDINGS,
  findingsSchema,
  type Noticed,
  type Proof,
  type Proven,
  withFindings,
} from '../helpers/sabotage/record.ts';
import { OUT_DIR, readCells } from '../helpers/verdict/channel.ts';
import { plain } from './decide.ts';
import { blindSummary, proofSummary } from './proof.ts';
import { clauseIn } from './selection.ts';
import { duration } from './summary.ts';

/** Options of the reporter. */
export interface SabotageReporterOptions {
  /** Folder for what the run leaves; that of the run unless told. */
  outDir?: string;
}

const colours = { killed: 'green', survived: 'red', unproven: 'magenta', excused: 'gray' } as const;

/** What the runner says when it ends by its option -x (playwright lib/runner/index.js). */
const ENDED_EARLY = /^Testing stopped early after \d+ maximum allowed failure/;

/**
 * Turns a run of `swarmproof sabotage` into `proof.json` or `blind.json`, and ends with one line. Whatever was planned and has no
 * result has survived: a worker that is gone takes no sabotage with it.
 */
export default class SabotageReporter implements Reporter {
  readonly #outDir: string;
  readonly #plan: Plan;
  readonly #startedAt = new Date().toISOString();
  readonly #proven = new Map<string, Proven[]>();
  readonly #noticed: Noticed[] = [];
  readonly #errors: string[] = [];
  readonly #broke = new Map<string, string>();

  constructor({ outDir = OUT_DIR }: SabotageReporterOptions = {}) {
    const plan = readPlan();
    if (!plan) throw new Error('this run has no plan of sabotages: start it by `npx swarmproof sabotage`');
    this.#plan = plan;
    this.#outDir = outDir;
    // What an earlier run found, and on which engine and kernel, must not be taken for this one's.
    rmSync(this.#proofFile, { force: true });
    rmSync(join(this.#outDir, 'cells'), { recursive: true, force: true });
    if (plan.part === 'looking') rmSync(this.#blindFile, { force: true });
  }

  get #blindFile(): string {
    return join(this.#outDir, blindFile(this.#plan.seed));
  }

  get #proofFile(): string {
    return join(this.#outDir, 'proof.json');
  }

  onBegin(_config: unknown, suite: Suite): void {
    if (suite.allTests().length === 0 && this.#plan.part === null)
      this.#errors.push('the runner found none of the clauses');
  }

  onTestEnd(test: TestCase, { attachments, error }: TestResult): void {
    const clause = clauseIn(test.title) ?? test.title;
    try {
      // Each tells all that was found until then.
      const last = attachments.findLast(({ name }) => name === FINDINGS);
      const found = findingsSchema.parse(JSON.parse(String(last?.body ?? '{}')));
      this.#proven.set(clause, found.proven);
      this.#noticed.push(...found.noticed);
      for (const one of found.proven) tellProven(one);
      for (const one of found.noticed) tellNoticed(one);
    } catch (broken) {
      this.#errors.push(`${clause}: what was found cannot be read: ${messageOf(broken)}`);
    }
    // Written anew after every clause: a run that is killed loses none that was finished.
    if (this.#plan.blind.length === 0) save(this.#proofFile, this.#proof([...this.#proven.values()].flat()));
    if (error) this.#broke.set(clause, plain(error.message ?? error.value ?? 'an error without words'));
  }

  onError({ message, value }: TestError): void {
    const said = plain(message ?? value ?? 'an error without words');
    // In blind mode the first red clause ends the run, which is what it is for.
    if (this.#plan.blind.length > 0 && ENDED_EARLY.test(said)) return;
    this.#errors.push(said);
  }

  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onStdErr(chunk: string | Buffer): void {
    process.stderr.write(chunk);
  }

  async onEnd({ status }: FullResult): Promise<{ status: FullResult['status'] }> {
    const interrupted = status === 'interrupted' || status === 'timedout';
    const lines = this.#plan.blind.length > 0 ? this.#endBlind() : this.#endProof();
    for (const line of this.#errors) console.log(`outside any clause: ${line}`);
    for (const line of lines.text) console.log(line);
    if (interrupted) return { status };
    return { status: lines.good && this.#errors.length === 0 ? 'passed' : 'failed' };
  }

  #endProof(): { text: string[]; good: boolean } {
    const told = [...this.#proven.values()].flat();
    const missing = this.#plan.proofs.flatMap((name): Proven[] => {
      const [clause = '', sabotage = ''] = name.split(/: (.*)/s);
      if (told.some((one) => one.clause === clause && one.sabotage === sabotage)) return [];
      const said = this.#broke.get(clause) ?? 'the run ended before it';
      return [
        {
          clause,
          fault: '',
          sabotage,
          outcome: 'unproven',
          said,
          node: null,
          damage: null,
          durationMs: 0,
          alsoRed: [],
          alsoGreen: [],
        },
      ];
    });
    const all = [...told, ...missing];
    save(this.#proofFile, this.#proof(all.filter(({ fault }) => fault !== '')));
    const { text, good } = proofSummary(all);
    return { text: [`What was found: ${relative(process.cwd(), this.#proofFile)}`, ...text], good };
  }

  #endBlind(): { text: string[]; good: boolean } {
    // The clauses that disturb come after those that only looked, and have not noticed.
    const former = existsSync(this.#blindFile)
      ? blindSchema.parse(JSON.parse(readFileSync(this.#blindFile, 'utf8'))).noticed
      : [];
    const blind: Blind = {
      seed: this.#plan.seed,
      noticed: [...former, ...this.#noticed],
      errors: this.#errors,
    };
    save(this.#blindFile, blind);
    const { text, good } = blindSummary(blind);
    if (good || this.#plan.part !== 'looking') return { text, good };
    return { text: ['No clause that only looks has noticed: those that change the Swarm follow.'], good };
  }

  #proof(found: readonly Proven[]): Proof {
    const [cell] = readCells(this.#outDir).values();
    const engines = [...new Set(Object.values(cell?.engines ?? {}))];
    return withFindings(
      [],
      { engine: engines.join(', ') || 'unknown', kernel: cell?.kernel ?? 'unknown' },
      this.#startedAt.slice(0, 10),
      found,
    );
  }
}

function save(file: string, content: unknown): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, `${JSON.stringify(content, null, 2)}\n`);
  renameSync(`${file}.part`, file);
}

function tellProven({ clause, sabotage, outcome, said, durationMs, alsoRed }: Proven): void {
  console.log(
    `${styleText(colours[outcome], outcome.padEnd(9))} ${clause} ${sabotage} (${duration(durationMs)})`,
  );
  if (outcome !== 'killed') console.log(`          ${said.split('\n').slice(0, 6).join('\n          ')}`);
  else if (alsoRed.length > 0) console.log(`          red, too: ${alsoRed.join(', ')}`);
}

function tellNoticed({ clause, outcome, said, node }: Noticed): void {
  const [first = ''] = said.split('\n');
  console.log(
    `${outcome.padEnd(13)} ${clause}${node ? ` on ${node}` : ''}${outcome === 'pass' ? '' : `: ${first}`}`,
  );
}
