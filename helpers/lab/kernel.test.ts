import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { execa } from 'execa';
import { Cache } from './cache.ts';
import type { HostTools } from './hosttools.ts';
import { prepareKernel, releaseOf } from './kernel.ts';
import type { KernelSource } from './sources.ts';

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-kernel-'));
after(() => fs.rm(root, { recursive: true }));

/** The head of an x86 kernel image of this release, as far as a boot loader reads it. */
async function image(name: string, release: string): Promise<string> {
  const head = Buffer.alloc(4096);
  head.write('HdrS', 0x202, 'latin1');
  head.writeUInt16LE(0x600, 0x20e);
  head.write(`${release} (someone@host) #1 SMP`, 0x800, 'latin1');
  const file = path.join(root, name);
  await fs.writeFile(file, head);
  return file;
}

/** An empty package with these fields. */
async function deb(folder: string, name: string, version: string, depends: string): Promise<string> {
  const tree = path.join(root, folder, name);
  const file = path.join(root, folder, `${name}_${version}_amd64.deb`);
  await fs.mkdir(path.join(tree, 'DEBIAN'), { recursive: true });
  const control = {
    Package: name,
    Version: version,
    Architecture: 'amd64',
    Maintainer: 'x <x@y>',
    Description: 'x',
  };
  const lines = Object.entries({ ...control, Depends: depends }).map(([key, value]) => `${key}: ${value}`);
  await fs.writeFile(path.join(tree, 'DEBIAN/control'), `${lines.join('\n')}\n`);
  await execa('dpkg-deb', ['--build', '--root-owner-group', tree, file]);
  return file;
}

/** Every one of these sources is refused before any of the host's tools is used. */
async function refusal(source: KernelSource): Promise<string> {
  const cache = await new Cache(path.join(root, 'cache')).open();
  const archive = { mirror: 'http://127.0.0.1:9/', expired: 'refuse', renewMs: 0 } as const;
  const tools = undefined as unknown as HostTools;
  return prepareKernel(cache, tools, source, archive, () => {}).then(
    () => 'prepared',
    (error) => String(error),
  );
}

test('the release of a kernel image', async () => {
  assert.equal(await releaseOf(await image('bzImage', '7.4.0-rc1+')), '7.4.0-rc1+');
});

test('files that are none, or do not belong together', async () => {
  const bzImage = await image('bzImage', '7.4.0');
  const text = path.join(root, 'text');
  await fs.writeFile(text, 'no kernel');
  const files = (kernel: string, modules: string) => refusal({ from: 'files', image: kernel, modules });
  assert.match(
    await files(path.join(root, 'nowhere'), root),
    /^UsageError: KERNEL names .*nowhere as a kernel image, which cannot be read/,
  );
  assert.match(
    await files(bzImage, path.join(root, 'nowhere')),
    /as a folder of modules, which cannot be read/,
  );
  const modules = path.join(root, 'modules');
  await fs.mkdir(modules);
  assert.match(await files(text, modules), /is no bootable x86 kernel image/);
  assert.match(await files(bzImage, modules), /holds no modules of 7\.4\.0, which .*bzImage is/);
});

test('a package whose parts are not beside it', async () => {
  const depends = 'kmod, linux-modules-7.4.0 (= 7.4-1), linux-base-7.4.0 (= 7.4-1)';
  const file = await deb('debs', 'linux-image-7.4.0', '7.4-1', depends);
  const missing =
    /linux-image-7\.4\.0_7\.4-1_amd64\.deb needs linux-modules-7\.4\.0_7\.4-1_amd64\.deb, which is not in/;
  assert.match(await refusal({ from: 'deb', file }), missing);
  await deb('debs', 'linux-modules-7.4.0', '7.4-1', 'kmod');
  assert.match(await refusal({ from: 'deb', file }), /brought no modules/, 'all parts are there, and empty');
  const text = path.join(root, 'text');
  await fs.writeFile(text, 'no package');
  assert.match(await refusal({ from: 'deb', file: text }), /is no Debian package/);
});
