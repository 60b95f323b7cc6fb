import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { engineIn } from './engine-folder.ts';

const root = mkdtempSync(path.join(tmpdir(), 'swarmproof-engine-'));
after(() => rmSync(root, { recursive: true }));

const WHOLE = [
  'usr/sbin/dockerd',
  'usr/sbin/docker-proxy',
  'usr/bin/containerd',
  'usr/bin/containerd-shim-runc-v2',
  'usr/sbin/runc',
];

/** A folder with these programs. */
function folder(name: string, programs: readonly string[]): string {
  const place = path.join(root, name);
  for (const program of programs) {
    const file = path.join(place, program);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, program);
    chmodSync(file, 0o755);
  }
  return place;
}

test('programs are found at any depth, links to them and what cannot be executed left out', async () => {
  const place = folder('whole', WHOLE);
  symlinkSync('../sbin/runc', path.join(place, 'usr/bin/runc'));
  mkdirSync(path.join(place, 'share/completion'), { recursive: true });
  writeFileSync(path.join(place, 'share/completion/dockerd'), 'words');
  assert.deepEqual(
    Object.entries(await engineIn(place)).toSorted(),
    WHOLE.map((file) => [path.basename(file), path.join(place, file)]).toSorted(),
  );
});

test('a link that a build leaves to its engine leads to it', async () => {
  const place = folder('built', [...WHOLE.slice(1), 'binary/dockerd-29.1.0-dev']);
  symlinkSync('dockerd-29.1.0-dev', path.join(place, 'binary/dockerd'));
  symlinkSync('/bin/true', path.join(place, 'dockerd'));
  assert.equal((await engineIn(place)).dockerd, path.join(place, 'binary/dockerd-29.1.0-dev'));
});

const refused: [what: string, programs: string[], said: RegExp][] = [
  ['without some', WHOLE.slice(0, 3), /lacks containerd-shim-runc-v2, runc/],
  ['with two of a kind', [...WHOLE, 'old/dockerd'], /holds dockerd more than once: .*old\/dockerd/],
];
for (const [what, programs, said] of refused)
  test(`a folder ${what} is refused`, () =>
    assert.rejects(engineIn(folder(what, programs)), { name: 'UsageError', message: said }));

test('a folder that is not there is refused', () =>
  assert.rejects(engineIn(path.join(root, 'nowhere')), /cannot be read/));
