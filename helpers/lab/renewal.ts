import fs from 'node:fs/promises';
import path from 'node:path';
import type { Cache, Progress } from './cache.ts';

/**
 * Which versions a Debian suite has of something, as it was last looked up: part of the recipe of what is made of them, so that a
 * newer version makes a new one, and the same versions the one there is.
 *
 * @param what tells this lookup from others.
 * @param everyMs how long a lookup holds, by the clock: the first to ask in each such span looks it up. 0 is for ever: what was made
 *   once is kept whatever the suite has by now.
 * @returns versions by package; undefined for ever.
 */
export async function versionsNow(
  cache: Cache,
  what: unknown,
  everyMs: number,
  lookUp: () => Promise<Record<string, string>>,
  { progress, now = Date.now() }: { progress?: Progress; now?: number } = {},
): Promise<Record<string, string> | undefined> {
  if (everyMs === 0) return undefined;
  const span = Math.floor(now / everyMs);
  const artifact = await cache.once(
    'lookup',
    { what, everyMs, span },
    async (folder) => fs.writeFile(path.join(folder, 'versions.json'), JSON.stringify(await lookUp())),
    progress,
  );
  return JSON.parse(await fs.readFile(path.join(artifact.folder, 'versions.json'), 'utf8'));
}
