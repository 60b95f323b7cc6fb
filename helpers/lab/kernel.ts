import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { execa } from 'execa';
import { messageOf, UsageError } from '../errors.ts';
import { Apt, type Archive, parseRecords, unpack, versions } from './apt.ts';
import { type Artifact, type Cache, type Progress, removeTree } from './cache.ts';
import { hashOfFile, hashOfTree } from './hashes.ts';
import type { HostTools } from './hosttools.ts';
import { missingModules, missingOptions } from './kernel-needs.ts';
import { chooseKernel, demanded, listKernels } from './kernels.ts';
import { versionsNow } from './renewal.ts';
import { type KernelSource, kernelName } from './sources.ts';
import { diskFromTree } from './trees.ts';

/** A kernel ready for direct boot. */
export interface Kernel {
  artifact: Artifact;
  /** What `uname -r` will say. */
  release: string;
  /** Files for QEMU: the kernel, an initramfs that finds the root disk, and a disk with /lib/modules. */
  image: string;
  initramfs: string;
  modulesDisk: string;
  /** Versions of the packages it came from; empty when it came from none. */
  packages: Record<string, string>;
}

/** Raised when the way a kernel is prepared changes, so that older artifacts are not reused. */
const RECIPE = 3;

/** What the initramfs needs to reach the root disk; loaded in this order where they are modules. */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'ext4'];

/** The files a kernel is made of, wherever they came from. */
interface KernelFiles {
  image: string;
  /** Folder of its modules, named by its release or not. */
  modules: string;
  /** Its configuration; undefined where none was left. */
  config: string | undefined;
}

/**
 * A kernel, fetched if need be and prepared once.
 *
 * @throws UsageError when there is no such kernel, its files do not belong together, or it lacks what a Swarm needs: all of it is named.
 */
export async function prepareKernel(
  cache: Cache,
  tools: HostTools,
  source: KernelSource,
  archive: Archive,
  progress: Progress,
): Promise<Kernel> {
  const artifact = await cache.once(
    'kernel',
    { recipe: RECIPE, source: await contentOf(cache, source, archive, progress), bootModules: BOOT_MODULES },
    async (folder) => {
      const root = path.join(folder, 'root');
      const packages = await brought(cache, source, archive, root, progress);
      const files = source.from === 'files' ? await filesOfBuild(source) : await filesOfPackages(root);
      await prepare(folder, files, tools, progress);
      await removeTree(root);
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(packages));
    },
    progress,
  );
  const read = (name: string) => fs.readFile(path.join(artifact.folder, name), 'utf8');
  return {
    artifact,
    release: (await read('release')).trim(),
    image: path.join(artifact.folder, 'vmlinuz'),
    initramfs: path.join(artifact.folder, 'initramfs'),
    modulesDisk: path.join(artifact.folder, 'modules.ext4'),
    packages: JSON.parse(await read('packages.json')),
  };
}

/**
 * What identifies a kernel in the cache: for what Debian ships its name, so that no network is needed once it is there; for files of
 * the user's their content, so that a new build is a new kernel.
 */
async function contentOf(
  cache: Cache,
  source: KernelSource,
  archive: Archive,
  progress: Progress,
): Promise<unknown> {
  switch (source.from) {
    case 'debian': {
      // A version that was asked for stays what it is.
      const found = source.version
        ? undefined
        : await versionsNow(
            cache,
            source,
            archive.renewMs,
            async () => {
              const { packages } = await listedKernel(cache, source, archive, progress);
              return Object.fromEntries(packages.map(({ Package, Version }) => [Package, Version]));
            },
            { progress },
          );
      return found ? { ...source, found } : source;
    }
    case 'deb': {
      const debs = await debsFor(source.file);
      return { from: 'deb', content: await Promise.all(debs.map(hashOfFile)) };
    }
    case 'files':
      await requireReadable(source.image, 'a kernel image');
      await requireReadable(source.modules, 'a folder of modules');
      return {
        from: 'files',
        content: [await hashOfFile(source.image), await hashOfTree(source.modules)],
      };
  }
}

/** Unpacks the packages of a kernel. @returns their versions. */
async function brought(
  cache: Cache,
  source: KernelSource,
  archive: Archive,
  root: string,
  progress: Progress,
): Promise<Record<string, string>> {
  if (source.from === 'files') return {};
  if (source.from === 'deb') {
    const debs = await debsFor(source.file);
    const described = await Promise.all(debs.map(async (file) => ({ ...(await controlOf(file)), file })));
    const packages = described.map(({ Package: name, Version: version, file }) => ({ name, version, file }));
    await unpack(packages, root);
    return versions(packages);
  }
  progress(`fetching kernel ${kernelName(source)}`);
  const { apt, packages: listed } = await listedKernel(cache, source, archive, progress);
  const packages = await apt.fetchListed(listed);
  await unpack(packages, root);
  return versions(packages);
}

/** The packages of a kernel as Debian lists them, and the suite they are in. */
async function listedKernel(
  cache: Cache,
  { suite, version }: Extract<KernelSource, { from: 'debian' }>,
  archive: Archive,
  progress: Progress,
) {
  const apt = await Apt.open(cache, suite, archive, progress);
  const { packages } = chooseKernel(await listKernels(apt, suite), suite, version);
  return { apt, packages };
}

/**
 * A kernel package and the packages beside it that it demands in its own version, as Debian splits them.
 *
 * @throws UsageError naming what is not there.
 */
async function debsFor(file: string, demander?: string): Promise<string[]> {
  await requireReadable(file, 'a kernel package');
  const beside = path.dirname(file);
  const control = await controlOf(file);
  const files = [file];
  for (const { name, version } of demanded(control)) {
    if (!/^linux-(image|binary|modules|base)-/.test(name) || name === demander) continue;
    const part = path.join(beside, `${name}_${version}_amd64.deb`);
    const there = (await firstExisting([part])) !== undefined;
    if (there) files.push(...(await debsFor(part, control.Package)));
    else if (!name.startsWith('linux-base-'))
      throw new UsageError(
        `${path.basename(file)} needs ${path.basename(part)}, which is not in ${beside}: put it there.`,
      );
  }
  return [...new Set(files)];
}

async function controlOf(file: string) {
  const { stdout, failed } = await execa('dpkg-deb', ['--field', file], { reject: false });
  const [record] = parseRecords(stdout ?? '');
  if (failed || !record) throw new UsageError(`${file} is no Debian package: KERNEL=deb:<file> takes one.`);
  return record;
}

/** Finds kernel, modules and configuration in unpacked packages; their places differ between series. */
async function filesOfPackages(root: string): Promise<KernelFiles> {
  const folders = ['usr/lib/modules', 'lib/modules'].map((folder) => path.join(root, folder));
  for (const folder of folders) {
    const [release] = await fs.readdir(folder).catch(() => []);
    if (!release) continue;
    const modules = path.join(folder, release);
    const image = await firstExisting([
      path.join(root, `boot/vmlinuz-${release}`),
      path.join(modules, 'vmlinuz'),
    ]);
    if (!image)
      throw new UsageError(`the kernel packages of ${release} brought no vmlinuz: choose another KERNEL.`);
    return { image, modules, config: await configBeside(image, modules, release) };
  }
  throw new UsageError('the kernel packages brought no modules: choose another KERNEL.');
}

/** What a build left: an image, and modules as `make modules_install` lays them out, at whatever depth it was pointed to. */
async function filesOfBuild(source: Extract<KernelSource, { from: 'files' }>): Promise<KernelFiles> {
  const release = await releaseOf(source.image);
  const candidates = ['', release, `lib/modules/${release}`].map((part) => path.join(source.modules, part));
  for (const modules of candidates) {
    if (await firstExisting([path.join(modules, 'modules.order'), path.join(modules, 'kernel')]))
      return { image: source.image, modules, config: await configBeside(source.image, modules, release) };
  }
  throw new UsageError(
    `${source.modules} holds no modules of ${release}, which ${source.image} is: name the folder that \`make modules_install\` filled.`,
  );
}

async function configBeside(image: string, modules: string, release: string): Promise<string | undefined> {
  const folder = path.dirname(image);
  return firstExisting([
    path.join(folder, `config-${release}`),
    path.join(modules, 'config'),
    path.join(folder, '.config'),
    // An image in its build tree: arch/x86/boot/bzImage.
    path.join(folder, '../../../.config'),
    path.join(modules, 'build/.config'),
  ]);
}

/** Offsets in the header of an x86 kernel image (Documentation/arch/x86/boot.rst): its magic number, and where its version text lies. */
const HEADER = { magic: 0x202, version: 0x20e, setup: 0x200, bytes: 64 * 1024 } as const;

/** The release an x86 kernel image says it is. @throws UsageError when it is none. */
export async function releaseOf(image: string): Promise<string> {
  await using file = await fs.open(image, 'r');
  const head = Buffer.alloc(HEADER.bytes);
  await file.read(head, 0, head.length, 0);
  const text =
    head.toString('latin1', HEADER.magic, HEADER.magic + 4) === 'HdrS'
      ? head.toString('latin1', HEADER.setup + head.readUInt16LE(HEADER.version)).split(/[ \0]/)[0]
      : '';
  if (!text)
    throw new UsageError(
      `${image} is no bootable x86 kernel image: name a vmlinuz or arch/x86/boot/bzImage.`,
    );
  return text;
}

/** Makes what a boot needs, after a check that this kernel can carry a Swarm at all. */
async function prepare(
  folder: string,
  files: KernelFiles,
  tools: HostTools,
  progress: Progress,
): Promise<void> {
  const release = await releaseOf(files.image);
  progress(`preparing the modules of ${release}`);
  const base = path.join(folder, 'depmod-base');
  const modules = path.join(base, 'lib/modules', release);
  await fs.mkdir(modules, { recursive: true });
  // `build` and `source` lead to the tree a kernel was built in.
  const copy =
    'tar -C "$1" --exclude=./build --exclude=./source --exclude=./vmlinuz -cf - . | tar -C "$2" -xf -';
  await execa('bash', ['-o', 'pipefail', '-c', copy, 'bash', files.modules, modules]);
  await plainModules(modules, tools);
  const [depmod, ...args] = tools.command('depmod');
  await execa(depmod, [...args, '-b', base, release]);
  await requireBuiltFor(modules, release);
  await requireAble(modules, files.config, release, progress);

  await fs.copyFile(files.image, path.join(folder, 'vmlinuz'));
  await fs.writeFile(path.join(folder, 'release'), `${release}\n`);
  await makeInitramfs(folder, modules, release, tools);
  await diskFromTree(tools, path.join(base, 'lib/modules'), path.join(folder, 'modules.ext4'), {
    headroomMiB: 16,
  });
  await removeTree(base);
}

/** Unpacks compressed modules, on all cores: the guest would otherwise unpack each one under emulation. */
async function plainModules(modules: string, tools: HostTools): Promise<void> {
  const busybox = tools.command('busybox').at(-1) ?? '';
  const unpackAll = 'find "$1" -name "*.ko.$2" -print0 | xargs -0 -r -n 64 -P "$(nproc)" "$3" "$4"';
  for (const [suffix, applet] of Object.entries({ xz: 'unxz', gz: 'gunzip' }))
    await execa('bash', ['-o', 'pipefail', '-c', unpackAll, 'bash', modules, suffix, busybox, applet]);
  for await (const file of fs.glob('**/*.ko.zst', { cwd: modules })) {
    const packed = path.join(modules, file);
    await fs.writeFile(
      packed.slice(0, -'.zst'.length),
      await promisify(zstdDecompress)(await fs.readFile(packed)),
    );
    await fs.rm(packed);
  }
}

/** @throws UsageError when the modules are another kernel's: it would refuse to load any of them. */
async function requireBuiltFor(modules: string, release: string): Promise<void> {
  const [first] = (await moduleFiles(modules)).values();
  if (!first) return;
  const content = await fs.readFile(path.join(modules, first.file), 'latin1');
  const built = /vermagic=(\S+)/.exec(content)?.[1];
  if (built !== release)
    throw new UsageError(
      `the kernel image is ${release}, but the modules are those of ${built}: name files of one build.`,
    );
}

/** @throws UsageError naming every option and module a Swarm needs that this kernel has neither built in nor as a module. */
async function requireAble(
  modules: string,
  config: string | undefined,
  release: string,
  progress: Progress,
): Promise<void> {
  const missing = missingModules([
    ...(await moduleFiles(modules)).keys(),
    ...(await builtinModules(modules, release)),
  ]);
  if (config) missing.push(...missingOptions(await fs.readFile(config, 'utf8')));
  else progress(`the configuration of kernel ${release} was not found: its options show only inside`);
  if (missing.length > 0)
    throw new UsageError(
      `kernel ${release} cannot carry a Swarm, it lacks ${missing.join(', ')}: choose another KERNEL.`,
    );
}

/** Module name -> path and dependencies (paths), from modules.dep; all relative to the release's folder. */
async function moduleFiles(modules: string): Promise<Map<string, { file: string; needs: string[] }>> {
  const text = await fs.readFile(path.join(modules, 'modules.dep'), 'utf8');
  return new Map(
    text
      .split('\n')
      .filter((line) => line.includes(':'))
      .map((line) => {
        const [file = '', needs = ''] = line.split(':');
        return [moduleName(file), { file, needs: needs.split(' ').filter(Boolean) }];
      }),
  );
}

async function builtinModules(modules: string, release: string): Promise<string[]> {
  const text = await fs.readFile(path.join(modules, 'modules.builtin'), 'utf8').catch((error) => {
    throw new UsageError(
      `the modules of kernel ${release} come without a list of those built in (${messageOf(error)}): \`make modules_install\` writes one.`,
    );
  });
  return text.split('\n').filter(Boolean).map(moduleName);
}

function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/** A static busybox and the boot modules in order of need; mounts the root disk and hands over to it. */
async function makeInitramfs(
  folder: string,
  modules: string,
  release: string,
  tools: HostTools,
): Promise<void> {
  const tree = path.join(folder, 'initramfs-tree');
  for (const dir of ['bin', 'dev', 'proc', 'sys', 'root', 'modules'])
    await fs.mkdir(path.join(tree, dir), { recursive: true });
  const busybox = tools.command('busybox').at(-1) ?? '';
  await fs.copyFile(busybox, path.join(tree, 'bin/busybox'));
  await fs.chmod(path.join(tree, 'bin/busybox'), 0o755);

  const files = await moduleFiles(modules);
  const order: string[] = [];
  const add = (file: string) => {
    for (const need of files.get(moduleName(file))?.needs.toReversed() ?? []) add(need);
    if (!order.includes(file)) order.push(file);
  };
  for (const name of BOOT_MODULES) {
    const known = files.get(name);
    if (known) add(known.file);
  }
  for (const file of order)
    await fs.copyFile(path.join(modules, file), path.join(tree, 'modules', path.basename(file)));

  const init = [
    '#!/bin/busybox sh',
    '/bin/busybox --install -s /bin',
    'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev',
    ...order.map(
      (file) => `insmod /modules/${path.basename(file)} || echo "lab: cannot load ${path.basename(file)}"`,
    ),
    'for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; usleep 100000; done',
    // No journal and no barrier: the disk is thrown away with the guest.
    'mount -t ext4 -o rw,noatime,nobarrier /dev/vda /root || { echo "lab: no root disk"; poweroff -f; }',
    `mkdir -p /root/lib/modules && mount -t ext4 -o ro /dev/vdb /root/lib/modules || echo "lab: no modules of ${release}"`,
    'mount --move /dev /root/dev',
    'umount /sys /proc',
    'exec switch_root /root /sbin/lab-init',
    '',
  ].join('\n');
  await fs.writeFile(path.join(tree, 'init'), init, { mode: 0o755 });
  const pack = 'cd "$1" && find . | "$2" cpio -o -H newc -R 0:0 > "$3"';
  await execa('sh', ['-c', pack, 'sh', tree, busybox, path.join(folder, 'initramfs')]);
  await removeTree(tree);
}

async function requireReadable(file: string, what: string): Promise<void> {
  await fs.access(file, fs.constants.R_OK).catch((error) => {
    throw new UsageError(`KERNEL names ${file} as ${what}, which cannot be read (${messageOf(error)}).`);
  });
}

async function firstExisting(files: string[]): Promise<string | undefined> {
  for (const file of files) {
    const found = await fs.access(file).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return undefined;
}
