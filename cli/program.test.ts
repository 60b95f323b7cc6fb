import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandLine } from './testing/command-line.ts';

test('help names every command and ends with 0', async () => {
  await using cli = await CommandLine.create();
  const { stdout, exitCode } = await cli.run(['--help']);
  assert.equal(exitCode, 0);
  for (const command of ['doctor', 'kernels', 'diff', 'bisect', 'merge', 'rules', 'lab'])
    assert.match(stdout, new RegExp(`^ +${command} `, 'm'));
  const lab = await cli.run(['lab', '--help']);
  for (const command of ['up', 'down', 'status', 'prune', 'shell']) {
    assert.match(lab.stdout, new RegExp(`^ +${command} `, 'm'));
  }
});

for (const words of [
  ['heal'],
  ['lab', 'sideways'],
  ['lab'],
  ['lab', 'prune', '--older-than', 'old'],
  ['diff', 'a'],
  ['bisect'],
]) {
  test(`\`${words.join(' ')}\` is answered with help and status 2`, async () => {
    await using cli = await CommandLine.create();
    const { stderr, exitCode } = await cli.run(words);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^Usage: swarmproof/m);
  });
}

const USAGE_ERRORS: [name: string, words: string[], env: NodeJS.ProcessEnv, said: RegExp][] = [
  [
    'an unknown value',
    ['doctor'],
    { KERNEL: 'debian:potato' },
    /KERNEL=debian:potato .* debian:<suite>.* trixie-backports/,
  ],
  ['a suite without kernels', ['kernels', 'potato'], {}, /potato is no suite .* trixie-backports/],
  [
    'parts that are none',
    ['merge', '/nowhere', '/nothing'],
    {},
    /\/nowhere does not exist: name the verdict\.json/,
  ],
  [
    'a run that is none',
    ['rules', '--run', '/nowhere'],
    {},
    /\/nowhere does not exist: name the verdict\.json/,
  ],
  ['a set of cells that is not there', ['lab', 'up'], { CELLS: 'potato' }, /CELLS=potato .* nightly/],
  ['several cells to keep', ['lab', 'up'], { CELLS: 'pr' }, /one lab can be kept/],
  ['a misspelt setting', ['lab', 'status'], { LAB_KACHE: '/x' }, /LAB_KACHE is no setting/],
  ['a cache that cannot be made', ['lab', 'up'], { LAB_CACHE: '/dev/null/x' }, /set LAB_CACHE/],
  ['no kept lab', ['lab', 'shell', 'm1'], {}, /npx swarmproof lab up/],
];
for (const [name, words, env, said] of USAGE_ERRORS) {
  test(`one sentence and status 2 for ${name}`, async () => {
    await using cli = await CommandLine.create();
    const { stderr, exitCode } = await cli.run(words, { env });
    assert.equal(exitCode, 2);
    assert.match(stderr, said);
    assert.match(stderr, /^swarmproof: .*[.:]$/, 'one line, without a stack');
  });
}
