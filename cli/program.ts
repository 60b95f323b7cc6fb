import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { Inconclusive, messageOf, UsageError } from '../helpers/errors.ts';
import { readSettings } from '../helpers/lab/settings.ts';
import { JUDGED_DIR, OUT_DIR } from '../helpers/verdict/channel.ts';
import { type BisectOptions, bisect } from './bisect.ts';
import { bundle } from './bundle.ts';
import { diff } from './diff.ts';
import { doctor } from './doctor.ts';
import { judge } from './judge.ts';
import { kernels } from './kernels.ts';
import { down, status, up } from './lab.ts';
import { merge } from './merge.ts';
import { prune } from './prune.ts';
import { rules } from './rules.ts';
import { type SabotageOptions, sabotage } from './sabotage.ts';
import { shell } from './shell.ts';

/** Ours: what an issue tracker takes as one file. */
const DEFAULT_BUNDLE_SIZE = 25 * 1024 ** 2;

/** Exit statuses other than 0 (done) and 1 (something prevents a run). */
const USAGE = 2;
const LAB_BROKE = 3;

/**
 * Runs one command line of `npx swarmproof`.
 *
 * @returns the exit status; a command line that commander does not understand is answered with help.
 */
export async function main(argv: readonly string[]): Promise<number> {
  let exit = 0;
  const program = new Command('swarmproof')
    .description(
      'Looks after the lab in which `npx playwright test` judges Docker Swarm, and after what runs leave: packs, judges again, compares.',
    )
    .showHelpAfterError()
    .enablePositionalOptions()
    .exitOverride();
  program
    .command('doctor')
    .description('say what this machine can do, and what is missing')
    .action(async () => {
      exit = await doctor(readSettings());
    });
  program
    .command('kernels')
    .description('list the kernels that Debian has, as the setting KERNEL names them')
    .argument('[suite...]', 'only those of these suites, such as trixie-backports')
    .action(async (suites: string[]) => {
      exit = await kernels(readSettings(), suites);
    });
  program
    .command('merge')
    .description('put together what the parts of a run left on several machines: one verdict, one page')
    .argument('<folders...>', 'one for each part, with what was in its reports/out')
    .option('--out <folder>', 'where the merged run goes', OUT_DIR)
    .action(async (folders: string[], { out }: { out: string }) => {
      exit = await merge(folders, out);
    });
  program
    .command('rules')
    .description('compare the rules that the last run met with those on record in docs/rules')
    .option('--record', 'put them on record')
    .option('--run <folder>', 'another run', OUT_DIR)
    .action((options: { record?: boolean; run: string }) => {
      exit = rules(options);
    });
  program
    .command('bundle')
    .description(
      'pack a run, to keep or to give away: verdict, evidence, transcripts and captures, without secrets',
    )
    .argument('[run]', 'folder of the run', OUT_DIR)
    .option('--output <file>', 'the bundle; swarmproof-<run>.tar.gz unless given')
    .option('--max-size <size>', 'its largest size, such as 20M', bytes, DEFAULT_BUNDLE_SIZE)
    .action((run: string, options: { output?: string; maxSize: number }) => bundle(run, options));
  program
    .command('judge')
    .description('judge again what a run recorded, without a lab, and compare the verdicts')
    .argument('<bundle>', 'a bundle, or the folder of a run')
    .argument('[clause...]', 'ids of the clauses to judge; all that can be unless given')
    .option('--output <folder>', 'where the verdict and its reports go', JUDGED_DIR)
    .action(async (from: string, clauses: string[], options: { output: string }) => {
      exit = await judge(from, clauses, options);
    });
  const lab = program.command('lab').description('keep a lab running between runs, and look after the cache');
  lab
    .command('up')
    .description('start a lab and keep it; runs with the same settings use it')
    .action(() => up(readSettings()));
  lab
    .command('down')
    .description('end the kept lab')
    .action(() => down(readSettings()));
  lab
    .command('status')
    .description('list the kept lab and what the cache holds')
    .action(() => status(readSettings()));
  lab
    .command('prune')
    .description('remove checkpoints, downloads and unfinished builds; the next run makes what it needs')
    .option('--all', 'remove everything, packages and images too')
    .option('--older-than <days>', 'spare what was used in the last so many days; downloads go', days)
    .action((options: { all?: boolean; olderThan?: number }) => prune(readSettings(), options));
  lab
    .command('shell')
    .description('open a shell beside a node of the kept lab, or run a command there')
    .argument('<node>', 'm1, w1, ..., outsider, or vm for the guest itself')
    .argument('[command...]', 'what to run; a script is read from a pipe')
    .passThroughOptions()
    .action(async (node: string, command: string[]) => {
      exit = await shell(readSettings(), node, command);
    });
  program
    .command('diff')
    .description('compare the verdicts of two runs; the exit status says whether B is worse')
    .argument('<A>', 'verdict.json of a run, or the folder that holds it')
    .argument('<B>', 'the run that may be worse')
    .option('--json', 'print everything, for programs')
    .addHelpText(
      'after',
      '\nExit status: 0 not worse, 1 worse, 2 wrong use, 3 a run left open what the other knew.',
    )
    .action((a: string, b: string, options: { json?: boolean }) => {
      exit = diff(a, b, options);
    });
  program
    .command('bisect')
    .description('find the first kernel or engine at which a clause does not hold')
    .requiredOption('--clause <id>', 'the clause, which holds at the first version and not at the last')
    .option(
      '--kernels <list>',
      'what KERNEL takes, by commas, from good to bad; debian:6.12..7.3 is all that Debian has from one to the other',
    )
    .option('--engines <list>', 'what ENGINE takes, by commas, from good to bad')
    .option('--confidence <number>', 'chance that the answer is right', Number, 0.95)
    .option('--folder <path>', 'where log and evidence are kept (default: reports/out/bisect/<clause>)')
    .addHelpText(
      'after',
      '\nThe same command goes on after an interruption.\nExit status: 0 found, 1 nothing to find, 2 wrong use, 3 a version that matters cannot be judged.',
    )
    .action(async (options: BisectOptions) => {
      exit = await bisect(options);
    });
  program
    .command('sabotage')
    .description('break Swarms on purpose and show that the right clauses turn red')
    .option('--clause <id...>', 'only sabotages of these clauses')
    .option('--area <area...>', 'only sabotages of clauses of these areas')
    .option('--sample <number>', 'so many, drawn by lot from as many areas as possible', whole)
    .option(
      '--quick',
      'draw the sample from those that took no longer than half of all did, by the record, and judge no other clause under a fault than its own',
    )
    .option('--seed <number>', 'draw as an earlier run did', whole)
    .option('--blind', 'do one or two faults drawn by lot, and show whether the clauses notice')
    .option('--list', 'say what would be done, and do nothing')
    .action(async (options: SabotageOptions) => {
      exit = await sabotage(readSettings(), options);
    });
  try {
    await program.parseAsync(argv);
    return exit;
  } catch (error) {
    return complain(error);
  }
}

/** Says what went wrong: a sentence where we know what it means, everything where we do not. */
function complain(error: unknown): number {
  // Commander has said what was wrong, or given the help it was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
  if (error instanceof UsageError || error instanceof Inconclusive) {
    console.error(`swarmproof: ${messageOf(error)}`);
    return error instanceof UsageError ? USAGE : LAB_BROKE;
  }
  console.error(error);
  return 1;
}

function whole(text: string): number {
  const number = Number(text);
  if (!/^\d{1,10}$/.test(text) || number >= 2 ** 31)
    throw new InvalidArgumentError('It takes a whole number below 2147483648.');
  return number;
}

/** `20M`, `1G` -> bytes. */
function bytes(text: string): number {
  const [, digits, unit] = /^([1-9]\d*)([MG])$/.exec(text) ?? [];
  if (!digits) throw new InvalidArgumentError('It takes a size such as 20M or 1G.');
  return Number(digits) * 1024 ** (unit === 'G' ? 3 : 2);
}

function days(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0)) throw new InvalidArgumentError('It takes a number of days.');
  return number;
}
