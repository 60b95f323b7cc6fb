import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readSettings } from '../helpers/lab/settings.ts';
import { openRunFolder } from '../helpers/pool/runs.ts';
import { CommandLine } from './testing/command-line.ts';
import { KeptLabDouble } from './testing/kept-lab.ts';

/** A cache with one thing of every sort, the older half used ten days ago. */
async function filled(): Promise<CommandLine> {
  const cli = await CommandLine.create();
  await cli.artifact('checkpoint', 'old', { kib: 1024, days: 10 });
  await cli.artifact('checkpoint', 'new', { kib: 1024 });
  await cli.artifact('node', 'old', { days: 10 });
  await cli.artifact('node', 'new');
  await cli.artifact('toolbox', 'x.partial');
  const downloads = await cli.artifact('apt', 'trixie/archives', { kib: 512 });
  await fs.writeFile(path.join(path.dirname(downloads), 'apt.conf'), '');
  await fs.writeFile(path.join(cli.cache, 'accelerator-1.json'), '{}');
  await fs.mkdir(path.join(cli.cache, 'runs/dead'), { recursive: true });
  return cli;
}

const CASES: [words: string[], left: string[], said: RegExp][] = [
  [
    [],
    ['apt/trixie', 'node/new', 'node/old'],
    /^freed 2\.6 MiB: 2 checkpoints, 1 unfinished toolbox, 1 killed run$/,
  ],
  [
    ['--older-than', '5'],
    ['apt/trixie', 'checkpoint/new', 'node/new', 'node/old'],
    /^freed 1\.6 MiB: 1 checkpoint, /,
  ],
  [['--all', '--older-than', '5'], ['apt/trixie', 'checkpoint/new', 'node/new'], /1 checkpoint, 1 node/],
  [['--all'], [], /2 checkpoints, 2 nodes/],
];
for (const [words, left, said] of CASES) {
  test(`prune ${words.join(' ')}`, async () => {
    await using cli = await filled();
    const { stdout, stderr, exitCode } = await cli.run(['lab', 'prune', ...words]);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, said);
    assert.deepEqual(await cli.contents(), left);
    assert.deepEqual(await fs.readdir(path.join(cli.cache, 'apt/trixie')).catch(() => ['apt.conf']), [
      'apt.conf',
    ]);
  });
}

test('prune of a cache that does not exist frees nothing', async () => {
  await using cli = await CommandLine.create();
  const { stdout } = await cli.run(['lab', 'prune'], { env: { LAB_CACHE: path.join(cli.cache, 'none') } });
  assert.equal(stdout, 'freed 0 B');
});

test('prune is refused while a run uses the cache', async () => {
  await using cli = await filled();
  await using _run = await openRunFolder(cli.cache);
  const { stderr, exitCode } = await cli.run(['lab', 'prune', '--all']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /1 run in progress uses the cache/);
  assert.ok((await cli.contents()).includes('checkpoint/old'));
});

test('prune beside a kept lab asks for `lab down` first', async () => {
  await using cli = await filled();
  await using _lab = await KeptLabDouble.start(cli.cache, readSettings({ LAB_CACHE: cli.cache }));
  const { stderr, exitCode } = await cli.run(['lab', 'prune']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /`npx swarmproof lab down` first/);
});
