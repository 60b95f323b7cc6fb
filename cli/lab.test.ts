import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readSettings } from '../helpers/lab/settings.ts';
import { CommandLine } from './testing/command-line.ts';
import { KeptLabDouble } from './testing/kept-lab.ts';

/** What a command line started with these variables has in force. */
const settingsOf = (cli: CommandLine, env = {}) => readSettings({ LAB_CACHE: cli.cache, ...env });

test('status lists artifacts with size and last use, the least recently used first', async () => {
  await using cli = await CommandLine.create();
  await cli.artifact('checkpoint', 'aaaa', { kib: 2048, days: 3 });
  await cli.artifact('node', 'bbbb.partial');
  const { stdout, exitCode } = await cli.run(['lab', 'status']);
  assert.equal(exitCode, 0);
  assert.match(stdout, /^No lab is kept\.$/m);
  assert.match(
    stdout,
    /checkpoint +aaaa +2\.0 MiB +3 days ago\n.*unfinished node +bbbb\.partial +\d+ KiB +now$/m,
  );
});

test('status tells how to reach the kept lab, and writes certificates for its user alone', async () => {
  await using cli = await CommandLine.create();
  await using lab = await KeptLabDouble.start(cli.cache, settingsOf(cli));
  const { stdout } = await cli.run(['lab', 'status']);
  assert.match(stdout, new RegExp(`^Kept lab: pool ${lab.daemon.pid}, guest 4711`, 'm'));
  assert.match(stdout, /^ +m1 +manager +192\.168\.83\.11 +engine 26\.1\.5 +tcp:\/\/127\.0\.0\.1:42769$/m);
  assert.match(stdout, /^ +export DOCKER_HOST=tcp:\/\/127\.0\.0\.1:42769$/m);
  assert.doesNotMatch(stdout, /other settings/);
  const modes = ['ca.pem', 'cert.pem', 'key.pem'].map(async (name) => {
    const { mode } = await fs.stat(path.join(lab.clientFolder, name));
    return (mode & 0o777).toString(8);
  });
  assert.deepEqual(await Promise.all(modes), ['600', '600', '600']);
});

test('a second up starts nothing, and says when the kept lab has other settings', async () => {
  await using cli = await CommandLine.create();
  await using _lab = await KeptLabDouble.start(cli.cache, settingsOf(cli));
  const same = await cli.run(['lab', 'up']);
  assert.equal(same.exitCode, 0, same.stderr);
  assert.match(same.stdout, /^A lab is kept already; nothing was started\.$/m);
  const other = await cli.run(['lab', 'up'], { env: { NODES: '3m0w' } });
  assert.match(other.stdout, /other settings than yours \(NODES\)/);
});

test('an up that fails leaves no process and no folder behind', async () => {
  await using cli = await CommandLine.create();
  const env = { PATH: await cli.pathOf(['flock', 'sh', 'cat', 'true']) };
  const { stderr, exitCode } = await cli.run(['lab', 'up'], { env });
  assert.equal(exitCode, 2);
  assert.match(stderr, /^swarmproof: .*this host has no apt-get/m);
  assert.deepEqual(
    (await cli.contents()).filter((name) => name.startsWith('runs/')),
    [],
  );
});

test('down ends the kept lab and waits until it is gone', async () => {
  await using cli = await CommandLine.create();
  await using lab = await KeptLabDouble.start(cli.cache, settingsOf(cli));
  const { stdout, exitCode } = await cli.run(['lab', 'down']);
  assert.equal(exitCode, 0);
  assert.equal(stdout, 'The kept lab is gone.');
  assert.equal(lab.daemon.signalCode, 'SIGTERM');
});

test('down without a kept lab is no failure', async () => {
  await using cli = await CommandLine.create();
  const { stdout, exitCode } = await cli.run(['lab', 'down']);
  assert.deepEqual([stdout, exitCode], ['No lab is kept.', 0]);
});
