import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import tar, { type Pack } from 'tar-stream';

/** Marks of the OCI image specification (layer.md, Whiteouts): a name that is gone, and a folder whose older content is. */
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/**
 * Lays an image's layers over each other and packs the result as one file system.
 *
 * The layers are read from the last to the first, and what a later one has or removed is left out of an earlier one. Nothing is
 * unpacked on the way: links in an image of somebody else's could lead out of any folder.
 *
 * @param layers the files of the layers, the lowest first; plain, gzip or zstd.
 */
export async function flatten(layers: readonly string[], file: string): Promise<void> {
  const whole = tar.pack();
  const written = pipeline(whole, createWriteStream(file));
  try {
    await overlay(layers, whole);
    whole.finalize();
  } catch (error) {
    whole.destroy(error instanceof Error ? error : new Error(String(error)));
    await written.catch(() => {});
    throw error;
  }
  await written;
}

async function overlay(layers: readonly string[], whole: Pack): Promise<void> {
  /** Names that are decided: there with their content, or removed. */
  const decided = new Set<string>();
  /** Folders of which nothing older shows. */
  const closed = new Set<string>();
  for (const layer of layers.toReversed()) {
    const gone: string[] = [];
    const emptied: string[] = [];
    const entries = tar.extract();
    const reading = pipeline(await decompressed(layer), entries);
    // What goes wrong on the way is thrown by the entries, too.
    reading.catch(() => {});
    for await (const entry of entries) {
      const { header } = entry;
      const name = path.posix.normalize(`/${header.name}`).slice(1).replace(/\/$/, '');
      const base = path.posix.basename(name);
      const parent = path.posix.dirname(name);
      if (base === OPAQUE) emptied.push(parent === '.' ? '' : parent);
      else if (base.startsWith(WHITEOUT)) gone.push(path.posix.join(parent, base.slice(WHITEOUT.length)));
      else if (name !== '' && !decided.has(name) && !hidden(name, closed)) {
        decided.add(name);
        // What is no folder hides what an earlier layer had below it.
        if (header.type !== 'directory') closed.add(name);
        // Sizes are kept: an entry without content ends by itself.
        const packed = whole.entry({ ...header, name: header.type === 'directory' ? `${name}/` : name });
        if (header.type === 'file' || header.type === 'contiguous-file') {
          await pipeline(entry, packed);
          continue;
        }
      }
      entry.resume();
    }
    await reading;
    // A layer's own marks say nothing about what it brings itself.
    for (const name of gone) {
      decided.add(name);
      closed.add(name);
    }
    for (const name of emptied) closed.add(name);
  }
}

function hidden(name: string, closed: ReadonlySet<string>): boolean {
  if (closed.has('')) return true;
  for (let folder = path.posix.dirname(name); folder !== '.'; folder = path.posix.dirname(folder))
    if (closed.has(folder)) return true;
  return false;
}

/** First bytes of a gzip and of a zstd stream (RFC 1952, RFC 8878). */
const MAGIC = { gzip: '1f8b', zstd: '28b52ffd' } as const;

async function decompressed(file: string): Promise<Readable> {
  await using handle = await open(file, 'r');
  const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  const head = buffer.toString('hex');
  const packed = createReadStream(file);
  const unpacking = head.startsWith(MAGIC.gzip)
    ? createGunzip()
    : head.startsWith(MAGIC.zstd)
      ? createZstdDecompress()
      : undefined;
  if (!unpacking) return packed;
  pipeline(packed, unpacking).catch((error) => unpacking.destroy(error));
  return unpacking;
}
