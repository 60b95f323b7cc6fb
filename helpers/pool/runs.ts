import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { UsageError } from '../errors.ts';
import { lock, removeTree } from '../lab/cache.ts';

/** Longest path of a Unix socket on Linux (sun_path in unix(7)), without its final zero. */
const SOCKET_PATH_MAX = 107;

/** A run's own folder in the cache: disks of its guests, consoles, and the socket of its pool. */
export interface RunFolder extends AsyncDisposable {
  folder: string;
  socket: string;
}

/** What `lab up` leaves for later runs to find. */
export interface KeptPool {
  socket: string;
  pid: number;
  /** Name of its cell. */
  cell: string;
  /** Settings it was started with, by variable name; a run with others starts a lab of its own. */
  settings: unknown;
}

/** Makes this run's folder; the kernel tells others for how long it is in use. */
export async function openRunFolder(cacheRoot: string): Promise<RunFolder> {
  const folder = path.join(cacheRoot, 'runs', randomBytes(4).toString('hex'));
  const socket = path.join(folder, 'pool.sock');
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
    throw new UsageError(
      `the path of LAB_CACHE is too long for a socket (${socket}, at most ${SOCKET_PATH_MAX} bytes): choose a shorter one.`,
    );
  }
  await fs.mkdir(folder, { recursive: true, mode: 0o700 });
  const held = await lock(path.join(folder, 'in-use'), 'exclusive');
  return {
    folder,
    socket,
    async [Symbol.asyncDispose]() {
      await removeTree(folder);
      await held[Symbol.asyncDispose]();
    },
  };
}

/** Removes what killed runs left behind. @returns how many there were. */
export async function sweepRuns(cacheRoot: string): Promise<number> {
  let swept = 0;
  for (const folder of await runFolders(cacheRoot)) {
    if (await inUse(folder)) continue;
    await removeTree(folder);
    swept += 1;
  }
  return swept;
}

/** The pool that `lab up` keeps, if it lives. */
export async function keptPool(cacheRoot: string): Promise<KeptPool | undefined> {
  for (const folder of await runFolders(cacheRoot)) {
    const text = await fs.readFile(path.join(folder, 'kept.json'), 'utf8').catch(() => undefined);
    if (text && (await inUse(folder))) return JSON.parse(text);
  }
  return undefined;
}

/** Whether any run uses the cache now. */
export async function runsInUse(cacheRoot: string): Promise<number> {
  const used = await Promise.all((await runFolders(cacheRoot)).map(inUse));
  return used.filter(Boolean).length;
}

async function runFolders(cacheRoot: string): Promise<string[]> {
  const root = path.join(cacheRoot, 'runs');
  return (await fs.readdir(root).catch(() => [])).map((name) => path.join(root, name));
}

async function inUse(folder: string): Promise<boolean> {
  const file = path.join(folder, 'in-use');
  const exists = await fs.access(file).then(
    () => true,
    () => false,
  );
  if (!exists) return false;
  const tried = await execa('flock', ['-n', '-x', file, 'true'], { reject: false });
  return tried.exitCode !== 0;
}
