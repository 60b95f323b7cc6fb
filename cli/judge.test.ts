import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { packTranscript, unpackTranscript } from '../helpers/transcript/file.ts';
import type { Entry } from '../helpers/transcript/transcript.ts';
import { verdictSchema } from '../helpers/verdict/model.ts';
import { CommandLine } from './testing/command-line.ts';

/** Four clauses of a real run: three that passed, one that is red for a known defect. */
const RUN = path.join(import.meta.dirname, '..', 'fixtures', 'recordings', 'run');

/** A copy of that run, in which the transcript of a clause may be another. */
async function recorded(
  cli: CommandLine,
  clause?: string,
  change?: (entries: Entry[]) => Entry[],
): Promise<string> {
  const folder = path.join(cli.cache, 'run');
  await fs.cp(RUN, folder, { recursive: true });
  if (!clause || !change) return folder;
  const file = path.join(folder, 'transcripts', 'default', `${clause}.jsonl.gz`);
  const { head, entries } = unpackTranscript(await fs.readFile(file));
  await fs.writeFile(file, packTranscript({ head, entries: change(entries) }));
  return folder;
}

async function judge(cli: CommandLine, ...words: string[]) {
  const output = path.join(cli.cache, 'judged');
  const { stdout, stderr, exitCode } = await cli.run(['judge', ...words, '--output', output]);
  return { stdout, stderr, exitCode, output };
}

test('clauses judged again from a bundle get the same verdicts, in the same words, without a lab', async () => {
  await using cli = await CommandLine.create();
  const bundle = path.join(cli.cache, 'run.tar.gz');
  const packed = await cli.run(['bundle', RUN, '--output', bundle]);
  assert.equal(packed.exitCode, 0, packed.stderr);
  const { stdout, stderr, exitCode, output } = await judge(cli, bundle);
  assert.equal(exitCode, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^4 verdicts the same$/m);
  const read = async (folder: string) =>
    verdictSchema.parse(JSON.parse(await fs.readFile(path.join(folder, 'verdict.json'), 'utf8')));
  const essence = ({ clauses }: Awaited<ReturnType<typeof read>>) =>
    clauses
      .map(({ id, verdict, reason, message }) => ({ id, verdict, reason, message }))
      .toSorted((a, b) => a.id.localeCompare(b.id));
  assert.deepEqual(essence(await read(output)), essence(await read(RUN)));
  // What is red comes with its reproduction, though the run was recorded before there was one.
  const repro = await fs.readFile(path.join(output, 'evidence/default/DNS-020/repro.sh'), 'utf8');
  assert.match(repro, /^docker service update .*--network-add=name=front,alias=store .*web$/m);
});

test('an answer that was another makes the verdict another', async () => {
  await using cli = await CommandLine.create();
  // Every answer of the second task is the first one's: the rotation is broken.
  const run = await recorded(cli, 'MESH-002', (entries) => {
    const all = JSON.stringify(entries);
    const [one, other] = [...new Set(all.match(/(?<=\\"container\\":\\")[0-9a-f]{12}/g))];
    assert.ok(one && other);
    return JSON.parse(all.replaceAll(`\\"container\\":\\"${other}`, `\\"container\\":\\"${one}`));
  });
  const { stdout, exitCode } = await judge(cli, run, 'MESH-002', 'DNS-002');
  assert.equal(exitCode, 1);
  assert.match(stdout, /^differs +MESH-002: was pass, now fail: /m);
  assert.match(stdout, /^1 verdict the same, 1 differ$/m);
});

test('a merged run of cells of a set is judged again, each clause in its cell', async () => {
  await using cli = await CommandLine.create();
  const run = await recorded(cli);
  const text = await fs.readFile(path.join(run, 'verdict.json'), 'utf8');
  const verdict = verdictSchema.parse(JSON.parse(text));
  const name = 'sid on bookworm';
  for (const cell of verdict.cells) cell.name = name;
  for (const clause of verdict.clauses)
    Object.assign(clause, {
      cell: name,
      transcript: clause.transcript?.replace('transcripts/default', 'transcripts/part-2/sid-on-bookworm'),
    });
  await fs.writeFile(path.join(run, 'verdict.json'), JSON.stringify(verdict));
  await fs.mkdir(path.join(run, 'transcripts/part-2'));
  await fs.rename(
    path.join(run, 'transcripts/default'),
    path.join(run, 'transcripts/part-2/sid-on-bookworm'),
  );
  const { stdout, stderr, exitCode } = await judge(cli, run, 'MESH-002', 'DNS-002');
  assert.equal(exitCode, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^2 verdicts the same$/m);
});

test('a transcript that does not fit gives no verdict, and says where', async () => {
  await using cli = await CommandLine.create();
  const run = await recorded(cli, 'MESH-002', (entries) =>
    entries.filter(({ to }) => to !== 'shell outsider'),
  );
  const { stdout, exitCode } = await judge(cli, run, 'MESH-002');
  assert.equal(exitCode, 1);
  assert.match(
    stdout,
    /^not replayed +MESH-002: replay-not-asked: what is asked of shell outsider was not asked so/m,
  );
  assert.match(stdout, /^0 verdicts the same, 1 could not be judged again$/m);
});

test('a clause that had waited in vain is not judged, and that is no difference', async () => {
  await using cli = await CommandLine.create();
  const run = await recorded(cli, 'DNS-002', (entries) => {
    const last = entries.findLastIndex(({ to }) => to === 'shell w1');
    return entries.map((entry, i) => {
      const { ms: _, order: __, answer: ___, ...unanswered } = entry;
      return i === last ? unanswered : entry;
    });
  });
  const file = path.join(run, 'verdict.json');
  const verdict = verdictSchema.parse(JSON.parse(await fs.readFile(file, 'utf8')));
  for (const clause of verdict.clauses) if (clause.id === 'DNS-002') clause.verdict = 'inconclusive';
  await fs.writeFile(file, JSON.stringify(verdict));
  const { stdout, exitCode } = await judge(cli, run, 'DNS-002');
  assert.equal(exitCode, 0, stdout);
  assert.match(stdout, /^not replayed +DNS-002: replay-no-answer: shell w1 never answered/m);
});

test('a clause without a transcript is told, with the verdict it had', async () => {
  await using cli = await CommandLine.create();
  const run = await recorded(cli);
  await fs.rm(path.join(run, 'transcripts/default/VIP-015.jsonl.gz'));
  const { stdout } = await judge(cli, run, 'MESH-002', 'VIP-015');
  assert.match(stdout, /^not replayed +VIP-015: replay-no-transcript: was pass/m);
});

const REFUSED: [words: string[], said: RegExp][] = [
  [['nowhere.tar.gz'], /there is no .*nowhere\.tar\.gz/],
  [[path.join(RUN, 'verdict.json')], /is no bundle of swarmproof/],
  [[path.join(RUN, 'evidence')], /does not exist: name the verdict.json of a run/],
  [[RUN, 'VIP-999'], /does not tell of VIP-999/],
];
for (const [words, said] of REFUSED)
  test(`refused: judge ${words.map((word) => path.basename(word)).join(' ')}`, async () => {
    await using cli = await CommandLine.create();
    const { stderr, exitCode } = await judge(cli, ...words);
    assert.equal(exitCode, 2, stderr);
    assert.match(stderr, said);
  });
