import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings } from '../helpers/lab/settings.ts';
import { CommandLine } from './testing/command-line.ts';
import { KeptLabDouble } from './testing/kept-lab.ts';

/** What one `lab shell` came to, with a kept lab at hand. */
async function shell(words: string[], input?: string) {
  await using cli = await CommandLine.create();
  await using _lab = await KeptLabDouble.start(cli.cache, readSettings({ LAB_CACHE: cli.cache }));
  const { stdout, stderr, exitCode } = await cli.run(['lab', 'shell', ...words], { input });
  return { stdout, stderr, exitCode };
}

test('a command runs beside the node, its options its own, its status ours', async () => {
  const { stdout, exitCode } = await shell(['m1', 'printf', '%s', '--all', '--help;', 'exit', '7']);
  assert.deepEqual([stdout, exitCode], ['--all--help', 7]);
});

test('a script comes by a pipe', async () => {
  const { stdout, exitCode } = await shell(['outsider'], 'echo one\necho two\n');
  assert.deepEqual([stdout, exitCode], ['one\ntwo', 0]);
});

test('an unknown node is answered with the known ones', async () => {
  const { stderr, exitCode } = await shell(['m9', 'true']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /m9 is no place in the kept lab; there are m1, outsider\./);
});
