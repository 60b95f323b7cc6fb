/**
 * A saved guest's memory, as QEMU writes it with the capability `mapped-ram`: every page at its own place in the file, so that
 * the memory can be mapped instead of read (QEMU docs/devel/migration/mapped-ram.rst, migration/ram.c MappedRamHeader).
 */
import fs from 'node:fs/promises';

/** Where the guest's memory lies in a file: `bytes` of it from `offset` on, page after page. */
export interface MappedMemory {
  file: string;
  offset: number;
  bytes: number;
}

/** Name of the guest's main memory (QEMU hw/i386/pc_q35.c, default_ram_id). */
export const RAM_BLOCK = 'pc.ram';

/** The stream's head is a hundred bytes; the list of blocks ends far before this. */
const HEAD_BYTES = 64 * 1024;

/** Version of the header in front of a block's pages; another one may mean other fields. */
const HEADER_VERSION = 1;

const PAGE = 4096;

/** Where the main memory's bitmap and pages lie. All numbers are big-endian; the bitmap follows the header at once. */
function locate(
  head: Buffer,
): { bitmap: number; bitmapBytes: number; offset: number; bytes: number } | undefined {
  const name = Buffer.from(`\x06${RAM_BLOCK}`, 'latin1');
  const found = head.indexOf(name);
  if (found < 0) return undefined;
  const block = found + name.length;
  const bytes = Number(head.readBigUInt64BE(block));
  const version = head.readUInt32BE(block + 8);
  const pageSize = Number(head.readBigUInt64BE(block + 12));
  const bitmap = Number(head.readBigUInt64BE(block + 20));
  const offset = Number(head.readBigUInt64BE(block + 28));
  const known =
    version === HEADER_VERSION && pageSize === PAGE && bitmap === block + 36 && offset % PAGE === 0;
  return known ? { bitmap, bitmapBytes: bytes / PAGE / 8, offset, bytes } : undefined;
}

/**
 * Writes what a guest needs besides its memory: the same stream, but with a bitmap that says no page is in it. Loading it
 * leaves the memory as it is, which is then the mapped one.
 *
 * @param saved file written by QEMU with mapped-ram.
 * @returns where the memory lies in `saved`, or undefined when this QEMU writes another format: it can still be read.
 */
export async function separateDevices(saved: string, devices: string): Promise<MappedMemory | undefined> {
  await using from = await fs.open(saved, 'r');
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await from.read(head, 0, HEAD_BYTES, 0);
  const place = locate(head.subarray(0, bytesRead));
  if (!place) return undefined;
  const end = place.offset + place.bytes;
  const { size } = await from.stat();
  const tail = Buffer.alloc(size - end);
  await from.read(tail, 0, tail.length, end);
  await using to = await fs.open(devices, 'w', 0o600);
  await to.write(head, 0, place.bitmap, 0);
  // Between them lies a hole, which reads as zeros: the bitmap, and the place of the pages nobody looks for.
  await to.write(tail, 0, tail.length, end);
  return { file: saved, offset: place.offset, bytes: place.bytes };
}

/** Sequential reads of this size keep a disk busy; the pages of a saved memory lie scattered (10 s against 40 s for 1 GiB of them). */
const READ_BYTES = 16 * 1024 ** 2;

/** Gaps up to this size are read, too: to skip them would cost a disk more than they do. */
const GAP_BYTES = 64 * 1024;

/** A part of a file: from `start` up to, but not with, `end`. */
interface Stretch {
  start: number;
  end: number;
}

/**
 * Reads a saved memory into the page cache, which takes a fifth of a second where it is there already: to ask whether it is takes as
 * long, and does not tell data from holes that a guest has touched. A guest that had to fetch its memory page by page from a disk would
 * stand still for half a minute, with its clock running: all heartbeats of a Swarm run out, nodes count as down, and tasks are replaced.
 *
 * Its holes, two thirds of it, are left out: read, they would fill the page cache with zeros, and drive out other checkpoints.
 *
 * @param signal ends it early, with an AbortError.
 */
export async function intoPageCache(file: string, signal?: AbortSignal): Promise<void> {
  await using opened = await fs.open(file, 'r');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (const { start, end } of await written(opened))
    for (let at = start; at < end; at += READ_BYTES) {
      signal?.throwIfAborted();
      await opened.read(buffer, 0, Math.min(READ_BYTES, end - at), at);
    }
}

/** The parts of a saved memory that hold anything, in order; a file of another format is one part. */
async function written(file: fs.FileHandle): Promise<Stretch[]> {
  const { size } = await file.stat();
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
  const place = locate(head.subarray(0, bytesRead));
  if (!place) return [{ start: 0, end: size }];
  const bitmap = Buffer.alloc(place.bitmapBytes);
  await file.read(bitmap, 0, bitmap.length, place.bitmap);
  const stretches: Stretch[] = [{ start: 0, end: place.bitmap + place.bitmapBytes }];
  const add = (start: number, end: number) => {
    const last = stretches.at(-1);
    if (last && start - last.end <= GAP_BYTES) last.end = end;
    else stretches.push({ start, end });
  };
  // A bit for each page, the lowest first.
  bitmap.forEach((bits, i) => {
    for (let bit = 0; bits >> bit > 0; bit += 1)
      if ((bits >> bit) & 1) {
        const start = place.offset + (i * 8 + bit) * PAGE;
        add(start, start + PAGE);
      }
  });
  add(place.offset + place.bytes, size);
  return stretches;
}
