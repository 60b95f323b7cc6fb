import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { UsageError } from '../errors.ts';
import { Apt, type Archive, unpack, versions } from './apt.ts';
import type { Cache, Progress } from './cache.ts';

/** Programs the host runs for the lab, from Debian packages, started through their own loader. */
export interface HostTools {
  /** Command line that starts one of the packaged programs, for example `mke2fs`. */
  command(program: string): [file: string, ...args: string[]];
  /** Command line that starts QEMU: the packaged one or the user's. */
  qemu: readonly [file: string, ...args: string[]];
  /** QEMU's own version, for example 10.0.13; part of every checkpoint's key. */
  qemuVersion: string;
  /** Environment QEMU needs to find its modules. */
  env: Record<string, string>;
  /** Package versions; empty entries never occur. */
  packages: Record<string, string>;
}

/** Debian 13: the first suite with QEMU 10 (7.2 loses guests under emulation) and an mke2fs that reads tar (1.47.1). */
const SUITE = 'trixie';
const PACKAGES = ['qemu-system-x86', 'qemu-utils', 'e2fsprogs', 'libarchive13t64', 'busybox-static', 'kmod'];
const LOWEST_QEMU = 10;

/** The host's tools, fetched and unpacked once. @throws UsageError when a QEMU of the user's own cannot serve. */
export async function hostTools(
  cache: Cache,
  options: { archive: Archive; qemu: string },
  progress: Progress,
): Promise<HostTools> {
  const artifact = await cache.once(
    'tools',
    { suite: SUITE, packages: PACKAGES },
    async (folder) => {
      progress('fetching QEMU and disk tools');
      const apt = await Apt.open(cache, SUITE, options.archive, progress);
      const packages = await apt.fetch(PACKAGES);
      await unpack(packages, path.join(folder, 'root'));
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(versions(packages)));
    },
    progress,
  );
  const root = path.join(artifact.folder, 'root');
  const libraries = path.join(root, 'usr/lib/x86_64-linux-gnu');
  const run = (program: string): [string, ...string[]] => [
    path.join(root, 'usr/lib64/ld-linux-x86-64.so.2'),
    '--library-path',
    libraries,
    path.join(root, program),
  ];
  const own = options.qemu === 'packaged';
  const qemu: [string, ...string[]] = own
    ? [
        ...run('usr/bin/qemu-system-x86_64'),
        '-L',
        path.join(root, 'usr/share/qemu'),
        '-L',
        path.join(root, 'usr/share/seabios'),
      ]
    : [options.qemu];
  const env: Record<string, string> = own ? { QEMU_MODULE_DIR: path.join(libraries, 'qemu') } : {};
  const programs: Record<string, string> = {
    mke2fs: 'usr/sbin/mke2fs',
    'qemu-img': 'usr/bin/qemu-img',
    depmod: 'usr/sbin/depmod',
    busybox: 'usr/bin/busybox',
  };
  return {
    command(program) {
      const file = programs[program];
      if (!file) throw new Error(`${program} is not one of the host tools`);
      return run(file);
    },
    qemu,
    env,
    qemuVersion: await qemuVersion(qemu, env),
    packages: JSON.parse(await fs.readFile(path.join(artifact.folder, 'packages.json'), 'utf8')),
  };
}

async function qemuVersion(
  qemu: readonly [string, ...string[]],
  env: Record<string, string>,
): Promise<string> {
  const [file, ...args] = qemu;
  const { stdout, failed } = await execa(file, [...args, '--version'], { env, reject: false });
  const version = /version (\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1];
  if (failed || !version)
    throw new UsageError(
      `${file} is no QEMU that runs here: set LAB_QEMU to a qemu-system-x86_64, or leave it out.`,
    );
  if (Number.parseInt(version, 10) < LOWEST_QEMU) {
    throw new UsageError(
      `${file} is QEMU ${version}; ${LOWEST_QEMU}.0 or newer is needed (older ones crash guests under emulation): leave LAB_QEMU out.`,
    );
  }
  return version;
}
