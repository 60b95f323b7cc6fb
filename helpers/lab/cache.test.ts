import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { UsageError } from '../errors.ts';
import { Cache, lock } from './cache.ts';

async function temporaryCache(t: TestContext): Promise<Cache> {
  const root = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-cache-'));
  t.after(() => fs.rm(root, { recursive: true, force: true }));
  return new Cache(root).open();
}

const write = (text: string) => (folder: string) => fs.writeFile(path.join(folder, 'thing'), text);

test('a recipe is built once, another recipe anew', async (t) => {
  const cache = await temporaryCache(t);
  const first = await cache.once('image', { version: 1 }, write('one'));
  const again = await cache.once('image', { version: 1 }, () => assert.fail('built twice'));
  const other = await cache.once('image', { version: 2 }, write('two'));
  assert.equal(first.folder, again.folder);
  assert.notEqual(first.folder, other.folder);
  assert.equal(await fs.readFile(path.join(again.folder, 'thing'), 'utf8'), 'one');
});

test('two at once: one builds, the other waits and gets the same', async (t) => {
  const cache = await temporaryCache(t);
  let builds = 0;
  const build = async (folder: string) => {
    builds += 1;
    await new Promise((resolve) => setImmediate(resolve));
    await write('x')(folder);
  };
  const [a, b] = await Promise.all([
    cache.once('image', {}, build),
    new Cache(cache.root).once('image', {}, build),
  ]);
  assert.equal(builds, 1);
  assert.deepEqual(a, b);
});

test('a failed build leaves nothing, and the next one starts clean', async (t) => {
  const cache = await temporaryCache(t);
  const half = async (folder: string) => {
    await write('half')(folder);
    throw new Error('interrupted');
  };
  await assert.rejects(cache.once('image', {}, half), /interrupted/);
  assert.deepEqual(await cache.list(), []);
  const made = await cache.once('image', {}, async (folder) => {
    assert.deepEqual(await fs.readdir(folder), []);
    await write('whole')(folder);
  });
  assert.equal(await fs.readFile(path.join(made.folder, 'thing'), 'utf8'), 'whole');
});

test('what a killed build left is not taken for finished', async (t) => {
  const cache = await temporaryCache(t);
  const { folder } = await cache.once('image', {}, write('x'));
  await fs.rename(folder, `${folder}.partial`);
  let built = false;
  await cache.once('image', {}, async (place) => {
    built = true;
    await write('y')(place);
  });
  assert(built);
});

test('a full disk is told in one sentence', async (t) => {
  const cache = await temporaryCache(t);
  const full = () => Promise.reject(new Error('tar: write error: No space left on device'));
  await assert.rejects(cache.once('image', {}, full), (error) => {
    assert(error instanceof UsageError);
    assert.match(error.message, /the disk that holds the cache .* is full/);
    return true;
  });
});

test('listed the least recently used first; using moves to the end', async (t) => {
  const cache = await temporaryCache(t);
  const a = await cache.once('image', 'a', write('a'));
  const b = await cache.once('image', 'b', write('b'));
  await fs.utimes(a.folder, 1, 1);
  await fs.utimes(b.folder, 2, 2);
  assert.deepEqual(
    (await cache.list()).map(({ key }) => key),
    [a.key, b.key],
  );
  await cache.find('image', a.key);
  assert.deepEqual(
    (await cache.list()).map(({ key }) => key),
    [b.key, a.key],
  );
});

test('a lock dies with a process that is killed', async (t) => {
  const { root } = await temporaryCache(t);
  const file = path.join(root, 'locks', 'one');
  const script = `import { lock } from ${JSON.stringify(path.join(import.meta.dirname, 'cache.ts'))};
    await lock(${JSON.stringify(file)}, 'exclusive'); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  let waited = false;
  const taken = lock(file, 'exclusive', () => {
    waited = true;
    holder.kill('SIGKILL');
  });
  await (await taken)[Symbol.asyncDispose]();
  assert(waited, 'the lock was not held while its holder lived');
});

test('a cache that cannot be written to is told', async (t) => {
  const { root } = await temporaryCache(t);
  await fs.writeFile(path.join(root, 'file'), '');
  await assert.rejects(
    new Cache(path.join(root, 'file', 'cache')).open(),
    /cannot be written to .* set LAB_CACHE/,
  );
});
