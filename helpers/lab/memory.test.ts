import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { intoPageCache } from './memory.ts';

test('a file that was dropped from the page cache is in it again', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-memory-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'ram');
  writeFileSync(file, Buffer.alloc(8 * 1024 ** 2, 7));
  await execa('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
  await intoPageCache(file);
  const { stdout } = await execa('fincore', ['--bytes', '--noheadings', '--output', 'RES', file]);
  assert.ok(Number(stdout) >= 8 * 1024 ** 2, `${stdout} bytes are`);
});

test('of a saved memory its pages are read, and not the holes between them', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-memory-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'ram');
  const [page, memory, pages] = [4096, 256 * 1024 ** 2, 1024 ** 2];
  // As QEMU writes it: name, bytes, version, size of a page, then where bitmap and pages lie.
  const head = Buffer.alloc(7 + 36);
  head.write('\x06pc.ram', 'latin1');
  head.writeBigUInt64BE(BigInt(memory), 7);
  head.writeUInt32BE(1, 15);
  head.writeBigUInt64BE(BigInt(page), 19);
  head.writeBigUInt64BE(BigInt(head.length), 27);
  head.writeBigUInt64BE(BigInt(pages), 35);
  const bitmap = Buffer.alloc(memory / page / 8);
  const written = [0, 1, 9_000, memory / page - 1];
  const data = Buffer.alloc(page, 7);
  const opened = await open(file, 'w');
  for (const number of written) {
    bitmap[number >> 3] = (bitmap[number >> 3] ?? 0) | (1 << (number & 7));
    await opened.write(data, 0, page, pages + number * page);
  }
  await opened.write(Buffer.concat([head, bitmap, Buffer.alloc(page)]), 0, undefined, 0);
  await opened.write(Buffer.from('devices'), 0, undefined, pages + memory);
  await opened.close();
  await execa('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
  await intoPageCache(file);
  const { stdout } = await execa('fincore', ['--bytes', '--noheadings', '--output', 'RES', file]);
  // The kernel reads a little ahead.
  assert.ok(Number(stdout) >= 5 * page && Number(stdout) < 4 * 1024 ** 2, `${stdout} bytes are`);
});
