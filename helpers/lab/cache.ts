import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { messageOf, UsageError } from '../errors.ts';
import { keyOf } from '../key.ts';

/** One finished thing in the cache: a folder made once, read-only afterwards. */
export interface Artifact {
  kind: string;
  key: string;
  /** Folder that holds it. */
  folder: string;
}

/** An artifact as `lab status` lists it. */
export interface Listed extends Artifact {
  /** Bytes on disk (sparse files count what they occupy). */
  bytes: number;
  usedAt: Date;
}

/** Says what is being done; one line each. */
export type Progress = (line: string) => void;

/**
 * Holds a lock that the kernel gives back when this process ends, however it ends.
 *
 * util-linux `flock` keeps the file locked for as long as its child reads our pipe; a killed process closes the
 * pipe, so no stale lock can be left behind.
 */
export async function lock(
  file: string,
  mode: 'shared' | 'exclusive',
  onWait?: () => void,
): Promise<AsyncDisposable> {
  await fs.mkdir(path.dirname(file), { recursive: true });
  const holder = execa('flock', [mode === 'shared' ? '-s' : '-x', file, 'sh', '-c', 'echo held; exec cat'], {
    stdin: 'pipe',
    buffer: false,
    reject: false,
  });
  const slow = setTimeout(() => onWait?.(), 1000);
  try {
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.then(
        (end) => reject(new UsageError(`cannot lock ${file}: ${end.shortMessage ?? 'flock ended'}`)),
        reject,
      );
    });
  } finally {
    clearTimeout(slow);
  }
  holder.stdout.resume();
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await holder;
    },
  };
}

/** The user's cache folder: artifacts keyed by their recipe, made once, safe against interruption and two runs at once. */
export class Cache {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Makes sure that the cache can be written to. @throws UsageError when it cannot. */
  async open(): Promise<this> {
    try {
      await fs.mkdir(this.root, { recursive: true, mode: 0o700 });
      await fs.access(this.root, fs.constants.W_OK);
    } catch (error) {
      throw new UsageError(
        `the cache folder ${this.root} cannot be written to (${messageOf(error)}): set LAB_CACHE to one that can.`,
      );
    }
    return this;
  }

  /** Where an artifact lies or would lie. */
  locate(kind: string, key: string): Artifact {
    return { kind, key, folder: path.join(this.root, kind, key) };
  }

  /** The artifact if it is finished, marked as used now. */
  async find(kind: string, key: string): Promise<Artifact | undefined> {
    const artifact = this.locate(kind, key);
    const now = new Date();
    try {
      await fs.utimes(artifact.folder, now, now);
      return artifact;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /**
   * The artifact of this recipe, built if nobody has built it yet.
   *
   * `build` fills a private folder that is renamed into place when it is complete: an interrupted build leaves nothing
   * that could be mistaken for a finished one, and a second run waits for the first instead of building again.
   */
  async once(
    kind: string,
    recipe: unknown,
    build: (folder: string) => Promise<void>,
    progress: Progress = () => {},
  ): Promise<Artifact> {
    const key = keyOf(recipe);
    const found = await this.find(kind, key);
    if (found) return found;
    await using _lock = await lock(path.join(this.root, 'locks', `${kind}-${key}`), 'exclusive', () =>
      progress(`waiting for another run that makes ${kind} ${key}`),
    );
    const made = await this.find(kind, key);
    if (made) return made;
    const { folder } = this.locate(kind, key);
    const partial = `${folder}.partial`;
    await removeTree(partial);
    await fs.mkdir(partial, { recursive: true });
    try {
      await build(partial);
      await fs.writeFile(path.join(partial, 'recipe.json'), `${JSON.stringify(recipe, null, 2)}\n`);
      await fs.rename(partial, folder);
    } catch (error) {
      await removeTree(partial);
      throw diskFull(error, this.root) ?? error;
    }
    return { kind, key, folder };
  }

  /** Everything in the cache, the least recently used first. */
  async list(): Promise<Listed[]> {
    const listed: Listed[] = [];
    for (const kind of await names(this.root)) {
      if (kind === 'locks' || kind === 'runs') continue;
      for (const key of await names(path.join(this.root, kind))) {
        const folder = path.join(this.root, kind, key);
        const { stdout } = await execa('du', ['-s', '--block-size=1', folder]);
        const { mtime } = await fs.stat(folder);
        listed.push({ kind, key, folder, bytes: Number.parseInt(stdout, 10), usedAt: mtime });
      }
    }
    return listed.sort((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
  }

  /** Removes one artifact. Guests that already run keep their open files. */
  async remove(artifact: Artifact): Promise<void> {
    await removeTree(artifact.folder);
  }
}

/** Removes a folder and everything in it, also where an unpacked package left folders without write permission. */
export async function removeTree(folder: string): Promise<void> {
  await fs.rm(folder, { recursive: true, force: true }).catch(async () => {
    await execa('chmod', ['-R', 'u+rwX', folder]);
    await fs.rm(folder, { recursive: true, force: true });
  });
}

async function names(folder: string): Promise<string[]> {
  const entries = await fs.readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** A full disk in one sentence, whichever tool met it. */
function diskFull(error: unknown, root: string): UsageError | undefined {
  return /ENOSPC|No space left on device|not have enough free space/i.test(messageOf(error))
    ? new UsageError(
        `the disk that holds the cache ${root} is full: free some, run \`npx swarmproof lab prune\`, or set LAB_CACHE.`,
      )
    : undefined;
}
