import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import tar, { type Header } from 'tar-stream';
import { flatten } from './layers.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-layers-'));
after(() => rmSync(folder, { recursive: true }));

/** Name -> content; null for a folder, and `{ link }` for a symbolic link. */
type Layer = Record<string, string | null | { link: string }>;

async function packed(layer: Layer): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(layer)) {
    if (content === null) pack.entry({ name: `${name}/`, type: 'directory', mode: 0o700 });
    else if (typeof content === 'string') pack.entry({ name, mode: 0o640, uid: 7 }, content);
    else pack.entry({ name, type: 'symlink', linkname: content.link });
  }
  pack.finalize();
  return buffer(pack);
}

async function unpacked(file: string): Promise<{ files: Layer; headers: Header[] }> {
  const files: Layer = {};
  const headers: Header[] = [];
  const extract = tar.extract();
  createReadStream(file).pipe(extract);
  for await (const entry of extract) {
    const { name, type, linkname } = entry.header;
    const content = await text(entry);
    headers.push(entry.header);
    files[name.replace(/\/$/, '')] =
      type === 'directory' ? null : type === 'symlink' ? { link: linkname ?? '' } : content;
  }
  return { files, headers };
}

async function flattened(layers: Layer[], pack = (data: Buffer) => data) {
  const files = await Promise.all(
    layers.map(async (layer, i) => {
      const file = path.join(folder, `layer-${i}`);
      writeFileSync(file, pack(await packed(layer)));
      return file;
    }),
  );
  const result = path.join(folder, 'rootfs.tar');
  await flatten(files, result);
  return unpacked(result);
}

describe('layers laid over each other', () => {
  test('a later one replaces, and adds', async () => {
    const { files } = await flattened([
      { etc: null, 'etc/a': 'old', 'etc/b': 'b' },
      { 'etc/a': 'new', 'etc/c': 'c' },
    ]);
    assert.deepEqual(files, { etc: null, 'etc/a': 'new', 'etc/b': 'b', 'etc/c': 'c' });
  });

  test('a mark removes a file, a folder with all below it, and no mark is left', async () => {
    const { files } = await flattened([
      { a: 'a', d: null, 'd/x': 'x', 'd/e': null, 'd/e/y': 'y', da: 'kept' },
      { '.wh.a': '', '.wh.d': '' },
    ]);
    assert.deepEqual(files, { da: 'kept' });
  });

  test('a layer that removes a folder and brings it anew has only its own', async () => {
    const { files } = await flattened([
      { d: null, 'd/old': 'old' },
      { '.wh.d': '', d: null, 'd/new': 'new' },
    ]);
    assert.deepEqual(files, { d: null, 'd/new': 'new' });
  });

  test('an emptied folder keeps what its own layer brings', async () => {
    const { files } = await flattened([
      { d: null, 'd/old': 'old', 'd/e/old': 'old' },
      { d: null, 'd/.wh..wh..opq': '', 'd/new': 'new' },
    ]);
    assert.deepEqual(files, { d: null, 'd/new': 'new' });
  });

  test('a link in the place of a folder hides what was in it', async () => {
    const { files } = await flattened([{ run: null, 'run/x': 'x' }, { run: { link: '/tmp' } }]);
    assert.deepEqual(files, { run: { link: '/tmp' } });
  });

  test('names of all forms are the same file, and none leads out', async () => {
    const { files } = await flattened([{ './a': 'old', '../../etc/passwd': 'x' }, { '/a': 'new' }]);
    assert.deepEqual(files, { a: 'new', 'etc/passwd': 'x' });
  });

  test('owners and modes are kept', async () => {
    const { headers } = await flattened([{ a: 'a' }]);
    assert.deepEqual([headers[0]?.mode, headers[0]?.uid], [0o640, 7]);
  });

  for (const [kind, pack] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)
    test(`packed with ${kind}`, async () => {
      assert.deepEqual((await flattened([{ a: 'a' }, { b: 'b' }], pack)).files, { a: 'a', b: 'b' });
    });

  test('without marks the last one to have a file wins', async () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(names, fc.string()), { maxLength: 4 }), async (layers) => {
        const { files } = await flattened(layers.map((layer) => ({ ...layer })));
        assert.deepEqual(files, Object.assign({}, ...layers));
      }),
      { numRuns: 25 },
    );
  });

  test('a broken layer is an error', async () => {
    const broken = path.join(folder, 'broken');
    writeFileSync(broken, gzipSync(await packed({ a: 'a'.repeat(100_000) })).subarray(0, 60));
    await assert.rejects(flatten([broken], path.join(folder, 'never.tar')));
  });
});
