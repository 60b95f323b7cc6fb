import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { UsageError } from '../errors.ts';
import { Apt, unpack, versions } from './apt.ts';
import { type Artifact, type Cache, type Progress, removeTree } from './cache.ts';
import type { HostTools } from './hosttools.ts';
import type { Suite } from './settings.ts';
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
  packages: Record<string, string>;
}

/** Raised when the way a kernel is prepared changes, so that older artifacts are not reused. */
const RECIPE = 2;

/** What the initramfs needs to reach the root disk; loaded in this order where they are modules. */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'ext4'];

/**
 * Modules without which Swarm networking cannot work, and why. Checked before a guest is booted.
 * Sources: moby contrib/check-config.sh ("Network Drivers", "overlay", "ipvlan") and the tables Swarm programs.
 */
const NEEDED_MODULES: Record<string, string> = {
  overlay: 'image layers',
  bridge: 'docker_gwbridge and the overlay bridge',
  veth: 'links into containers',
  vxlan: 'overlay traffic between nodes',
  ip_vs: 'virtual IPs and the routing mesh',
  ip_vs_rr: 'the round-robin scheduler of both',
  nf_conntrack: 'NAT',
  xt_mark: 'firewall marks',
  xt_conntrack: 'filter rules of the routing mesh',
  xt_addrtype: 'rules for local destinations',
};

/** A Debian suite's current cloud kernel, fetched and prepared once. */
export async function debianKernel(
  cache: Cache,
  tools: HostTools,
  suite: Suite,
  mirror: string,
  progress: Progress,
): Promise<Kernel> {
  const artifact = await cache.once(
    'kernel',
    { recipe: RECIPE, suite, bootModules: BOOT_MODULES },
    async (folder) => {
      progress(`fetching the kernel of Debian ${suite}`);
      const apt = await Apt.open(cache, suite, mirror);
      const packages = await apt.fetch(['linux-image-cloud-amd64'], (name) =>
        /^linux-(image|modules|binary)-/.test(name),
      );
      const root = path.join(folder, 'root');
      await unpack(packages, root);
      await prepare(folder, root, tools, progress);
      await removeTree(root);
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(versions(packages)));
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

/** Finds kernel and modules in an unpacked tree (their places differ between series), and makes what a boot needs. */
async function prepare(folder: string, root: string, tools: HostTools, progress: Progress): Promise<void> {
  const modulesRoot = (await exists(path.join(root, 'usr/lib/modules')))
    ? path.join(root, 'usr/lib/modules')
    : path.join(root, 'lib/modules');
  const [release] = await fs.readdir(modulesRoot);
  if (!release) throw new UsageError('the kernel package brought no modules: choose another KERNEL.');
  const image =
    (await firstExisting([
      path.join(root, `boot/vmlinuz-${release}`),
      path.join(modulesRoot, release, 'vmlinuz'),
    ])) ?? '';
  if (!image)
    throw new UsageError(`the kernel package of ${release} brought no vmlinuz: choose another KERNEL.`);
  await fs.copyFile(image, path.join(folder, 'vmlinuz'));
  await fs.writeFile(path.join(folder, 'release'), `${release}\n`);

  progress(`preparing the modules of ${release}`);
  const base = path.join(folder, 'depmod-base');
  await fs.mkdir(path.join(base, 'lib'), { recursive: true });
  await fs.rename(modulesRoot, path.join(base, 'lib/modules'));
  // Plain modules: the guest would otherwise unpack each one under emulation.
  const busybox = tools.command('busybox').at(-1) ?? '';
  await execa('sh', ['-c', 'find "$1" -name "*.ko.xz" -exec "$2" unxz {} +', 'sh', base, busybox]);
  const [depmod, ...args] = tools.command('depmod');
  await execa(depmod, [...args, '-b', base, release]);
  const modules = path.join(base, 'lib/modules', release);
  await requireModules(modules, release);
  await makeInitramfs(folder, modules, release, tools);
  await diskFromTree(tools, path.join(base, 'lib/modules'), path.join(folder, 'modules.ext4'), {
    headroomMiB: 16,
  });
  await removeTree(base);
}

/** @throws UsageError naming every module Swarm needs that this kernel has neither built in nor as a module. */
async function requireModules(modules: string, release: string): Promise<void> {
  const present = [...(await moduleFiles(modules)).keys(), ...(await builtinModules(modules))];
  const missing = Object.entries(NEEDED_MODULES).filter(([name]) => !present.includes(name));
  if (missing.length > 0) {
    const list = missing.map(([name, use]) => `${name} (${use})`).join(', ');
    throw new UsageError(`kernel ${release} cannot carry a Swarm, it lacks ${list}: choose another KERNEL.`);
  }
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

async function builtinModules(modules: string): Promise<string[]> {
  const text = await fs.readFile(path.join(modules, 'modules.builtin'), 'utf8');
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
      (file) => `${insertion(path.basename(file))} || echo "lab: cannot load ${path.basename(file)}"`,
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

/** busybox insmod reads .ko, .xz and .gz; zstd it does not know, and Debian does not use it. */
function insertion(file: string): string {
  return `insmod /modules/${file}`;
}

async function exists(file: string): Promise<boolean> {
  return (await firstExisting([file])) !== undefined;
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
