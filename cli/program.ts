import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { Inconclusive, messageOf, UsageError } from '../helpers/errors.ts';
import { readSettings } from '../helpers/lab/settings.ts';
import { type BisectOptions, bisect } from './bisect.ts';
import { diff } from './diff.ts';
import { doctor } from './doctor.ts';
import { down, status, up } from './lab.ts';
import { prune } from './prune.ts';
import { type SabotageOptions, sabotage } from './sabotage.ts';
import { shell } from './shell.ts';

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
      'Looks after the lab in which `npx playwright test` judges Docker Swarm, and compares what runs found.',
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
    .option('--kernels <list>', 'what KERNEL takes, by commas, from good to bad')
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
    .option('--seed <number>', 'draw as an earlier run did', whole)
    .option('--blind', 'do one or two faults drawn by lot, and show whether the core clauses notice')
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

function days(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0)) throw new InvalidArgumentError('It takes a number of days.');
  return number;
}
