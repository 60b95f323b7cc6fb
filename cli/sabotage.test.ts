import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandLine } from './testing/command-line.ts';

const sabotage = async (...words: string[]) => {
  await using cli = await CommandLine.create();
  const { stdout, stderr, exitCode } = await cli.run(['sabotage', ...words]);
  return { lines: stdout.split('\n').filter(Boolean), stderr, exitCode };
};

test('--list says what would be done, one line each, and does nothing', async () => {
  const { lines, exitCode } = await sabotage('--list', '--clause', 'VIP-015', 'MESH-002');
  assert.equal(exitCode, 0);
  assert(lines.length >= 3);
  for (const line of lines) assert.match(line, /^(VIP-015|MESH-002): .+/);
});

test('a sample is drawn again by its seed, and by another one otherwise', async () => {
  const draw = async (seed: string) => (await sabotage('--list', '--sample', '12', '--seed', seed)).lines;
  const one = await draw('7');
  assert.equal(one.length, 12);
  assert.deepEqual(await draw('7'), one);
  assert.notDeepEqual(await draw('8'), one);
});

test('a quick sample is drawn by lot, too', async () => {
  const quick = ['--list', '--sample', '20', '--quick', '--seed', '7'];
  const { lines } = await sabotage(...quick);
  assert.deepEqual([lines.length, (await sabotage(...quick)).lines], [20, lines]);
});

const REFUSED: [what: string, words: string[], status: number, said: RegExp][] = [
  ['a clause that is none', ['--clause', 'VIP-999'], 2, /VIP-999 is no clause of the catalogue/],
  ['an area that is none', ['--area', 'sea'], 2, /sea is no area; there are dns/],
  ['a sample of no number', ['--sample', 'some'], 2, /whole number/],
  ['a quick run of everything', ['--quick'], 2, /--quick chooses what a sample is drawn from/],
  ['a blind sample', ['--blind', '--sample', '3'], 2, /--blind draws its own faults/],
  ['a clause that has none', ['--clause', 'REG-013'], 2, /REG-013 has no sabotage yet/],
  ['a blind run of nothing', ['--blind', '--clause', 'VIP-999'], 2, /no clause is named VIP-999/],
];
for (const [what, words, status, said] of REFUSED)
  test(`refused before anything is started: ${what}`, async () => {
    const { stderr, exitCode } = await sabotage(...words);
    assert.deepEqual([exitCode, said.test(stderr)], [status, true], stderr);
  });
