/**
 * The project's own tests, in stages: type check, lint, unit and command-line tests, and the suite itself in its lab.
 *
 * The last one judges the core clauses, `npm test -- --grep .` all, `--no-lab` none; `--sabotage 20` has so many quick sabotages follow. Ends with one plain line, and with status 1 if anything failed.
 */
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { dot } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { SABOTAGE_FOLDER } from '../helpers/sabotage/plan.ts';
import { proofSchema } from '../helpers/sabotage/record.ts';
import { OUT_DIR } from '../helpers/verdict/channel.ts';
import { type VerdictFile, verdictSchema } from '../helpers/verdict/model.ts';
import { duration } from '../reports/summary.ts';
import { line, oneCheck, sum, type Tally, tallyOf } from './tally.ts';

/** Ours: the slowest test takes a few seconds; one that hangs must not hold up the others. */
const TEST_LIMIT_MS = 180_000;

const { lab, grep, sabotage } = parseArgs({
  options: {
    lab: { type: 'boolean', default: true },
    grep: { type: 'string', default: '@core' },
    sabotage: { type: 'string', default: '0' },
  },
  allowNegative: true,
}).values;
process.chdir(path.dirname(import.meta.dirname));
// Hundreds of processes load the same modules. Theirs go with this one: the tests' own files are never seen again.
const compiled = mkdtempSync(path.join(tmpdir(), 'swarmproof-test-'));
process.env.NODE_COMPILE_CACHE = compiled;
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));

const killed = new AbortController();
let interrupted = false;
// Ctrl-C reaches the stage that runs by itself; it ends in its own order, and no other begins.
process.on('SIGINT', () => {
  interrupted = true;
});
process.on('SIGTERM', () => {
  interrupted = true;
  killed.abort();
});

const tallies: Tally[] = [];
const types = await stage('type check', async () => oneCheck((await status('tsc', ['-p', '.'])) === 0));
await stage('lint', async () => oneCheck((await status('biome', ['check', '.'])) === 0));
await stage('unit and command-line tests', unitTests);
if (!lab) console.log('\nThe suite itself was left out (--no-lab).');
else if (types?.failed !== 0) console.log('\nThe suite itself was not started: the type check failed.');
else {
  await stage('the suite itself, in its lab', suite);
  if (Number(sabotage) > 0) await stage('a sample of sabotages', sabotages);
}

const total = sum(tallies);
console.log(`\n${line(total)}`);
process.exit(total.failed > 0 || interrupted ? 1 : 0);

async function stage(name: string, judged: () => Promise<Tally>): Promise<Tally | undefined> {
  if (interrupted) return undefined;
  console.log(`\n== ${name}`);
  const started = performance.now();
  const tally = await judged();
  tallies.push(tally);
  console.log(`== ${name}: ${line(tally)} in ${duration(performance.now() - started)}`);
  return tally;
}

/** Runs a program of this project with our terminal, and tells its exit status. */
async function status(program: string, words: readonly string[]): Promise<number | undefined> {
  const child = execa(program, words, {
    stdio: 'inherit',
    preferLocal: true,
    reject: false,
    cancelSignal: killed.signal,
  });
  return (await child).exitCode;
}

async function unitTests(): Promise<Tally> {
  const files = globSync('**/*.test.ts', { exclude: ['node_modules/**', 'reports/out/**'] });
  const tests = run({
    files,
    concurrency: availableParallelism(),
    timeout: TEST_LIMIT_MS,
    signal: killed.signal,
  });
  let tally = oneCheck(false);
  // Every file has a summary; the last one, of no file, is of them all.
  tests.on('test:summary', ({ file, counts }) => {
    if (file !== undefined) return;
    const { tests, passed, skipped, todo } = counts;
    tally = { passed, failed: tests - passed - skipped - todo, skipped: skipped + todo };
  });
  for await (const text of tests.compose(dot)) process.stdout.write(text);
  return tally;
}

async function suite(): Promise<Tally> {
  const file = path.join(OUT_DIR, 'verdict.json');
  // What an earlier run found must not be taken for this one's.
  await rm(file, { force: true });
  const exitCode = await status('npx', ['playwright', 'test', '--grep', grep]);
  return tallyOf(await verdictIn(file), exitCode);
}

/** Killed sabotages have passed, survivors have failed. */
async function sabotages(): Promise<Tally> {
  const file = path.join(OUT_DIR, SABOTAGE_FOLDER, 'proof.json');
  await rm(file, { force: true });
  const exitCode = await status('npx', ['swarmproof', 'sabotage', '--quick', '--sample', sabotage]);
  const found = await readFile(file, 'utf8').then(JSON.parse, () => []);
  const outcomes = proofSchema.parse(found).flatMap(({ proven }) => proven.map(({ outcome }) => outcome));
  const count = (...some: string[]) => outcomes.filter((one) => some.includes(one)).length;
  const tally = { passed: count('killed'), failed: count('survived', 'unproven'), skipped: count('excused') };
  // What the command failed of besides is in no file.
  return exitCode !== 0 && tally.failed === 0 ? sum([tally, oneCheck(false)]) : tally;
}

async function verdictIn(file: string): Promise<VerdictFile | undefined> {
  try {
    return verdictSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    console.log(`no verdict can be read: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}
