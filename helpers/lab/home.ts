/** Where the cache is, and what is kept there besides a lab: a module that imports nothing, since it runs before all others. */
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** The cache folder where LAB_CACHE names none (XDG Base Directory Specification, XDG_CACHE_HOME). */
export const DEFAULT_CACHE = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'),
  'swarmproof',
);

/**
 * Keeps what Node compiles, for this process and all that it starts (docs: Node.js, module compile cache). A run loads the same
 * modules in its runner, in the lab's pool and in each worker; compiling them was a quarter of the time to its first verdict.
 *
 * Nothing is kept before there is a cache, nor where NODE_COMPILE_CACHE names a folder of the user's own.
 */
export function keepCompiled(): void {
  const root = process.env.LAB_CACHE || DEFAULT_CACHE;
  if (existsSync(root)) process.env.NODE_COMPILE_CACHE ??= path.join(root, 'code');
  // Where that cannot be written to, modules are compiled as ever; whoever needs the cache says what is wrong with it.
  if (process.env.NODE_COMPILE_CACHE) enableCompileCache();
}
