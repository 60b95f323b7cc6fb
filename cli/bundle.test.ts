import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createGzip, gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import tar from 'tar-stream';
import { packTranscript, unpackTranscript } from '../helpers/transcript/file.ts';
import type { Entry } from '../helpers/transcript/transcript.ts';
import { CommandLine } from './testing/command-line.ts';

const RUN = path.join(import.meta.dirname, '..', 'fixtures', 'recordings', 'run');

const SECRETS = [
  'SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0xx14ie39trti4wxv-8vxv8rssmk743ojnwacrr2e7c',
  'SWMKEY-1-WuYH/IX284+lRcXuoVf38viIDK3HJEKY13MIHX+tTt8',
  '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY\n-----END EC PRIVATE KEY-----',
  'aead rfc4106(gcm(aes)) 0x6a1f0b3c4d5e6f708192a3b4c5d6e7f801020304 64',
];
/** What of each must not be found anywhere. */
const PARTS = ['8vxv8rssmk743', 'WuYH/IX284', 'MHcCAQEEIIrYSSNQ', '6a1f0b3c4d5e6f70'];

/** A copy of a real run, to be spoilt. */
async function copied(cli: CommandLine): Promise<string> {
  const folder = path.join(cli.cache, 'run');
  await fs.cp(RUN, folder, { recursive: true });
  return folder;
}

async function edited(folder: string, clause: string, change: (entries: Entry[]) => void): Promise<void> {
  const file = path.join(folder, 'transcripts', 'default', `${clause}.jsonl.gz`);
  const { head, entries } = unpackTranscript(await fs.readFile(file));
  change(entries);
  await fs.writeFile(file, packTranscript({ head, entries }));
}

async function bundled(cli: CommandLine, run: string, ...options: string[]) {
  const file = path.join(cli.cache, 'bundle.tar.gz');
  const result = await cli.run(['bundle', run, '--output', file, ...options]);
  assert.equal(result.exitCode, 0, result.stderr);
  const folder = path.join(cli.cache, 'opened');
  await fs.mkdir(folder);
  // Anyone opens it with what they have.
  await execa('tar', ['-xzf', file, '-C', folder]);
  const names = (await fs.readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const manifest = JSON.parse(await fs.readFile(path.join(folder, 'bundle.json'), 'utf8'));
  return { ...result, folder, names, manifest, bytes: (await fs.stat(file)).size };
}

test('secrets are in no file of a bundle, wherever they were planted', async () => {
  await using cli = await CommandLine.create();
  const run = await copied(cli);
  const planted = SECRETS.join('\n');
  await fs.writeFile(path.join(run, 'evidence/default/MESH-002/planted.txt'), planted);
  await fs.writeFile(path.join(run, 'evidence/default/MESH-002/planted.json'), JSON.stringify({ planted }));
  await fs.writeFile(path.join(run, 'junit.xml'), `<system-out>${planted}</system-out>`);
  const verdict = JSON.parse(await fs.readFile(path.join(run, 'verdict.json'), 'utf8'));
  verdict.clauses[0].message = `it printed ${planted} in ${os.homedir()}/lab`;
  await fs.writeFile(path.join(run, 'verdict.json'), JSON.stringify(verdict));
  await edited(run, 'MESH-002', (entries) => {
    entries.push({
      to: 'shell w1',
      ask: planted,
      at: 1,
      ms: 1,
      order: entries.length,
      answer: { text: planted, status: 0 },
    });
  });
  const { folder, names, manifest, stdout } = await bundled(cli, run);
  for (const name of names) {
    const content = await fs.readFile(path.join(folder, name));
    const text = String(name.endsWith('.gz') ? gunzipSync(content) : content);
    for (const part of PARTS) assert.ok(!text.includes(part), `${name} holds ${part}`);
    assert.ok(!text.includes(`${os.homedir()}/lab`), `${name} names the home of who ran it`);
  }
  assert.ok(names.includes('evidence/default/MESH-002/planted.txt'));
  assert.equal(manifest.secretsRemoved, 5);
  assert.match(stdout, /replaced by pseudonyms in 5 files/);
});

test('what does not fit is left out and listed, what passed before what failed, and the verdict never', async () => {
  await using cli = await CommandLine.create();
  const run = await copied(cli);
  const noise = Array.from({ length: 300_000 }, () => Math.random().toString(36))
    .join('')
    .slice(0, 3_000_000);
  await fs.writeFile(path.join(run, 'evidence/default/MESH-002/large.txt'), noise);
  await fs.mkdir(path.join(run, 'evidence/default/DNS-020'));
  await fs.writeFile(path.join(run, 'evidence/default/DNS-020/small.txt'), 'what the red clause saw');
  const { names, manifest, bytes, stdout } = await bundled(cli, run, '--max-size', '1M');
  assert.deepEqual(
    manifest.leftOut.map(({ path: name }: { path: string }) => name),
    ['evidence/default/MESH-002/large.txt'],
  );
  assert.ok(names.includes('verdict.json') && names.includes('evidence/default/DNS-020/small.txt'));
  assert.ok(names.includes('transcripts/default/DNS-020.jsonl.gz'));
  assert.ok(bytes < 1024 ** 2, `${bytes}`);
  assert.match(stdout, /1 file of .* did not fit; bundle\.json lists them/);
});

test('captures become files that Wireshark opens', async () => {
  await using cli = await CommandLine.create();
  const run = await copied(cli);
  const pcap = Buffer.alloc(24);
  pcap.writeUInt32LE(0xa1b2c3d4, 0);
  const text = `tcpdump: listening on eth0\n0 packets captured\n0 packets dropped by kernel\n@@\n${pcap.toString('base64')}\n`;
  await edited(run, 'VIP-015', (entries) => {
    entries.push({
      to: 'shell w2',
      ask: 'stop',
      at: 1,
      ms: 1,
      order: entries.length,
      answer: { text, status: 0 },
    });
  });
  const { folder, names } = await bundled(cli, run);
  assert.deepEqual(
    names.filter((name) => name.startsWith('captures/')),
    ['captures/default/VIP-015-1-w2.pcap'],
  );
  assert.deepEqual(await fs.readFile(path.join(folder, 'captures/default/VIP-015-1-w2.pcap')), pcap);
});

test('a folder without a run is refused', async () => {
  await using cli = await CommandLine.create();
  const { stderr, exitCode } = await cli.run(['bundle', cli.cache]);
  assert.equal(exitCode, 2);
  assert.match(stderr, /no run has left its verdict there/);
});

test('a bundle that would write elsewhere is refused, and writes nothing', async () => {
  await using cli = await CommandLine.create();
  for (const header of [
    { name: '../outside' },
    { name: 'link', type: 'symlink' as const, linkname: '/etc/passwd' },
  ]) {
    const file = path.join(cli.cache, 'bad.tar.gz');
    const pack = tar.pack();
    const written = createWriteStream(file);
    pack.pipe(createGzip()).pipe(written);
    pack.entry(header, 'type' in header ? '' : 'x');
    pack.finalize();
    await once(written, 'close');
    const { stderr, exitCode } = await cli.run(['judge', file]);
    assert.equal(exitCode, 2);
    assert.match(stderr, /which is no file of a bundle/);
  }
  assert.ok(!(await fs.readdir(os.tmpdir())).includes('outside'));
});
