import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { messageOf, UsageError } from '../errors.ts';

/**
 * The programs of an engine: those without which no container starts and no port is published, and the one that `docker run
 * --init` alone needs. (moby: Dockerfile, "binary" targets; containerd's and runc's own releases.)
 */
const PROGRAMS = ['dockerd', 'docker-proxy', 'containerd', 'containerd-shim-runc-v2', 'runc'] as const;
const OPTIONAL = ['docker-init'] as const;

/**
 * Finds the programs of an engine at any depth of a folder: just built, or unpacked from an archive or from packages.
 *
 * @returns their files by name.
 * @throws UsageError naming those that are not there, or there more than once.
 */
export async function engineIn(folder: string): Promise<Record<string, string>> {
  const found = new Map<string, Set<string>>();
  const required = new Set<string>(PROGRAMS);
  const wanted = new Set<string>([...PROGRAMS, ...OPTIONAL]);
  try {
    const real = await fs.realpath(folder);
    for (const entry of await fs.readdir(real, { recursive: true, withFileTypes: true })) {
      const { name } = entry;
      // A build may leave a link to its engine, whose name has its version; packages have some to what is found without them.
      if (!(entry.isFile() && wanted.has(name)) && !(entry.isSymbolicLink() && required.has(name))) continue;
      const file = await fs.realpath(path.join(entry.parentPath, name)).catch(() => '');
      if (file.startsWith(`${real}/`)) found.set(name, (found.get(name) ?? new Set()).add(file));
    }
  } catch (error) {
    throw new UsageError(`ENGINE=dir:${folder} cannot be read (${messageOf(error)}).`);
  }
  const programs: Record<string, string> = {};
  for (const [name, files] of found) {
    const able = await asyncFilter([...files], isExecutable);
    if (able.length > 1)
      throw new UsageError(`ENGINE=dir:${folder} holds ${name} more than once: ${able.join(', ')}.`);
    if (able[0]) programs[name] = able[0];
  }
  const missing = PROGRAMS.filter((name) => !(name in programs));
  if (missing.length > 0)
    throw new UsageError(`ENGINE=dir:${folder} lacks ${missing.join(', ')} (programs that can be executed).`);
  return programs;
}

/** Executable, and no folder or shell completion of the same name. */
async function isExecutable(file: string): Promise<boolean> {
  return fs.access(file, fs.constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function asyncFilter<T>(all: readonly T[], keep: (one: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(all.map(keep));
  return all.filter((_, i) => kept[i]);
}

/**
 * Puts an engine into an image's tree in place of the one that its packages brought.
 *
 * @throws UsageError naming the libraries that one of its programs needs and the image lacks.
 */
export async function installEngine(programs: Readonly<Record<string, string>>, root: string): Promise<void> {
  const bin = path.join(root, 'usr/bin');
  for (const name of Object.keys(programs))
    for (const folder of ['usr/bin', 'usr/sbin']) await fs.rm(path.join(root, folder, name), { force: true });
  const lacking: string[] = [];
  for (const [name, file] of Object.entries(programs)) {
    const target = path.join(bin, name);
    await fs.copyFile(file, target);
    await fs.chmod(target, 0o755);
    lacking.push(...(await lackingLibraries(target, root)).map((library) => `${library} (for ${name})`));
  }
  if (lacking.length > 0)
    throw new UsageError(
      `the engine's programs need libraries that a node does not have: ${lacking.join(', ')}. Build them statically, or against Debian 13.`,
    );
}

/** Libraries a program asks for that are not in the tree, as the tree's own loader says. */
async function lackingLibraries(program: string, root: string): Promise<string[]> {
  const loader = path.join(root, 'usr/lib64/ld-linux-x86-64.so.2');
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib']
    .map((folder) => path.join(root, folder))
    .join(':');
  const { stdout = '', stderr = '' } = await execa(
    loader,
    ['--inhibit-cache', '--library-path', libraries, '--list', program],
    { reject: false },
  );
  // The loader goes on to look where this host has its own.
  const elsewhere = [...stdout.matchAll(/^\s*(lib\S+) => (not found|\/\S+)/gm)].filter(
    ([, , place = '']) => !place.startsWith(`${root}/`),
  );
  const absent = elsewhere.map(([, library = '']) => library);
  const versions = [...`${stdout}\n${stderr}`.matchAll(/version `(\S+)' not found/g)].map(
    ([, name = '']) => name,
  );
  return [...new Set([...absent, ...versions])];
}
