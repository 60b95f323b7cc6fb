import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
