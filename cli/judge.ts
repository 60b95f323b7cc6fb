import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { openBundle } from '../helpers/bundle/bundle.ts';
import { Inconclusive, UsageError } from '../helpers/errors.ts';
import { REPLAY_VARIABLE } from '../helpers/verdict/channel.ts';
import { type ClauseVerdict, verdictSchema } from '../helpers/verdict/model.ts';
import { count } from './words.ts';

const ROOT = path.dirname(import.meta.dirname);
const RUNNER = path.join(ROOT, 'node_modules', '@playwright', 'test', 'cli.js');

/** How a clause that was judged twice compares. */
interface Compared {
  recorded: ClauseVerdict;
  again: ClauseVerdict;
}

/**
 * `judge`: runs the bodies of clauses on what was recorded, and holds the verdicts against each other.
 *
 * @param clauses ids; all that have a transcript when empty.
 * @returns 0 if every verdict is the same, 1 if one is not or the transcript of a clause that had been judged did not fit.
 * @throws UsageError when there is nothing to judge.
 */
export async function judge(
  from: string,
  clauses: readonly string[],
  { output }: { output: string },
): Promise<number> {
  await using bundle = await openBundle(path.resolve(from));
  const asked = bundle.verdict.clauses.filter(({ id }) => clauses.length === 0 || clauses.includes(id));
  const unknown = clauses.filter((id) => !asked.some((clause) => clause.id === id));
  if (unknown.length > 0) throw new UsageError(`${from} does not tell of ${unknown.join(', ')}.`);
  const there = await Promise.all(asked.map(({ transcript }) => exists(bundle.folder, transcript)));
  const recorded = asked.filter((_, i) => there[i]);
  const without = asked.filter((_, i) => !there[i]);
  if (recorded.length === 0)
    throw new UsageError(`${from} holds no transcript of ${clauses.join(', ') || 'any clause'}.`);

  const again = await judgedAgain(bundle.folder, recorded, path.resolve(output));
  const compared = recorded.map((one): Compared => {
    const other = again.find(({ id, cell }) => id === one.id && cell === one.cell);
    if (!other) throw new Inconclusive('suite', `${one.id} was not judged: see what the runner said above.`);
    return { recorded: one, again: other };
  });
  const broken = compared.filter((one) => one.again.reason?.startsWith('replay-'));
  const differing = compared.filter(
    (one) => !broken.includes(one) && one.again.verdict !== one.recorded.verdict,
  );
  for (const { recorded: one, again: other } of differing)
    console.log(
      `differs       ${one.id}: was ${one.verdict}, now ${other.verdict}: ${firstLine(other.message)}`,
    );
  for (const { recorded: one, again: other } of broken)
    console.log(`not replayed  ${one.id}: ${other.reason}: ${firstLine(other.message)}`);
  for (const { id, verdict, reason } of without)
    console.log(`not replayed  ${id}: replay-no-transcript: was ${verdict} (${reason ?? 'no reason given'})`);
  const same = compared.length - broken.length - differing.length;
  const rest = [
    ...(differing.length > 0 ? [`${differing.length} differ`] : []),
    ...(broken.length + without.length > 0
      ? [`${broken.length + without.length} could not be judged again`]
      : []),
  ];
  console.log([`${count(same, 'verdict')} the same`, ...rest].join(', '));
  // What was never judged, as when the lab died, cannot be judged again either.
  const lost = broken.filter((one) => one.recorded.verdict !== 'inconclusive');
  return differing.length + lost.length > 0 ? 1 : 0;
}

/** Runs the runner on the transcripts. What it says, a line for each clause and the summary, goes to our output. */
async function judgedAgain(
  folder: string,
  clauses: readonly ClauseVerdict[],
  output: string,
): Promise<ClauseVerdict[]> {
  const ids = [...new Set(clauses.map(({ id }) => id))];
  await execa(process.execPath, [RUNNER, 'test', `--grep=\\b(?:${ids.join('|')})\\b`], {
    cwd: ROOT,
    // Long clauses and drafts are judged if they were recorded; how long they took then is in their transcripts.
    env: { [REPLAY_VARIABLE]: folder, OUT_DIR: output, SOAK: '1s', DRAFTS: 'yes' },
    reject: false,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
  });
  const written = await fs.readFile(path.join(output, 'verdict.json'), 'utf8');
  return verdictSchema.parse(JSON.parse(written)).clauses;
}

async function exists(folder: string, name: string | null): Promise<boolean> {
  if (name === null) return false;
  return fs.access(path.join(folder, name)).then(
    () => true,
    () => false,
  );
}

function firstLine(text: string | null): string {
  return text?.split('\n')[0] ?? '';
}
