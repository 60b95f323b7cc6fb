import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';

const SWARMPROOF = path.join(path.dirname(path.dirname(import.meta.dirname)), 'swarmproof.ts');

/** A cache of its own, and the real command line that works on it in processes of its own. */
export class CommandLine implements AsyncDisposable {
  /** Root of the cache; short, for a pool's socket has to fit below it. */
  readonly cache: string;

  private constructor(cache: string) {
    this.cache = cache;
  }

  /** With an empty cache. */
  static async create(): Promise<CommandLine> {
    return new CommandLine(await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-cli-')));
  }

  /** Runs `swarmproof WORDS...`; no setting of the caller's reaches it. */
  run(words: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}) {
    const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
    // What a test's cache holds is what the test put there.
    const compiled = NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : { NODE_DISABLE_COMPILE_CACHE: '1' };
    return execa(process.execPath, [SWARMPROOF, ...words], {
      env: { PATH, HOME, LAB_CACHE: this.cache, ...compiled, ...options.env },
      extendEnv: false,
      reject: false,
      timeout: 60_000,
      ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    });
  }

  /** Puts an artifact into the cache, last used so many days ago. */
  async artifact(kind: string, key: string, { kib = 64, days = 0 } = {}): Promise<string> {
    const folder = path.join(this.cache, kind, key);
    await fs.mkdir(folder, { recursive: true });
    await fs.writeFile(path.join(folder, 'content'), Buffer.alloc(kib * 1024, 1));
    const then = new Date(Date.now() - days * 24 * 3600 * 1000);
    await fs.utimes(folder, then, then);
    return folder;
  }

  /** A PATH on which only these programs are found. */
  async pathOf(programs: readonly string[]): Promise<string> {
    const folder = path.join(this.cache, 'bin');
    await fs.mkdir(folder);
    for (const program of programs) {
      const { stdout } = await execa('sh', ['-c', 'command -v "$1"', 'sh', program]);
      await fs.symlink(stdout, path.join(folder, program));
    }
    return folder;
  }

  /** What lies in the cache, as `kind/key`. */
  async contents(): Promise<string[]> {
    const kinds = await fs.readdir(this.cache);
    const keys = kinds.map(async (kind) =>
      (await fs.readdir(path.join(this.cache, kind)).catch(() => [])).map((key) => `${kind}/${key}`),
    );
    return (await Promise.all(keys)).flat().sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await fs.rm(this.cache, { recursive: true, force: true });
  }
}
