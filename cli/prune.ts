import fs from 'node:fs/promises';
import path from 'node:path';
import { UsageError } from '../helpers/errors.ts';
import { forgetDownloads } from '../helpers/lab/apt.ts';
import { Cache, type Listed, removeTree } from '../helpers/lab/cache.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { keptPool, runsInUse, sweepRuns } from '../helpers/pool/runs.ts';
import { count, size } from './words.ts';

const DAY_MS = 24 * 3600 * 1000;

/** What `lab prune` was asked to remove. */
export interface PruneOptions {
  /** Everything, not only what is quickly made again. */
  all?: boolean;
  /** Only what was not used for so many days. */
  olderThan?: number;
}

/**
 * `lab prune`: removes checkpoints, downloads and unfinished builds, or everything, and says what that freed.
 *
 * @throws UsageError while a run uses the cache.
 */
export async function prune(settings: Settings, options: PruneOptions = {}): Promise<void> {
  const cache = new Cache(settings.LAB_CACHE);
  await requireUnused(cache.root);
  const swept = await sweepRuns(cache.root);
  const before = await cache.list();
  const gone = before.filter((artifact) => isToGo(artifact, options));
  for (const artifact of gone) await cache.remove(artifact);
  await forgetDownloads(cache);
  if (options.all && options.olderThan === undefined) await forgetNotes(cache.root);
  const freed = total(before) - total(await cache.list());
  const what = [...Map.groupBy(gone, nameOf)].map(([name, { length }]) => count(length, name));
  if (swept > 0) what.push(count(swept, 'killed run'));
  console.log(`freed ${size(Math.max(0, freed))}${what.length > 0 ? `: ${what.join(', ')}` : ''}`);
}

/** What kinds are called that do not say it themselves. */
const NAMES: Record<string, string> = { apt: 'package list', code: 'code folder' };

/** What an artifact is called where it is listed; `.partial` is what the cache builds in. */
export function nameOf({ kind, key }: Pick<Listed, 'kind' | 'key'>): string {
  return isUnfinished(key) ? `unfinished ${kind}` : (NAMES[kind] ?? kind);
}

function isUnfinished(key: string): boolean {
  return key.endsWith('.partial');
}

function isToGo({ kind, key, usedAt }: Listed, { all = false, olderThan = 0 }: PruneOptions): boolean {
  // Nobody runs, so nobody works on it.
  if (isUnfinished(key)) return true;
  return (all || kind === 'checkpoint') && Date.now() - usedAt.getTime() >= olderThan * DAY_MS;
}

async function requireUnused(root: string): Promise<void> {
  const runs = await runsInUse(root);
  if (runs === 0) return;
  const onlyKept = runs === 1 && (await keptPool(root)) !== undefined;
  throw new UsageError(
    onlyKept
      ? 'the kept lab uses the cache: end it with `npx swarmproof lab down` first.'
      : `${count(runs, 'run')} in progress ${runs === 1 ? 'uses' : 'use'} the cache: prune when they have ended.`,
  );
}

/** What lies beside the artifacts: locks nobody holds, and how hardware acceleration was found to be. */
async function forgetNotes(root: string): Promise<void> {
  for (const name of await fs.readdir(root).catch(() => [])) {
    if (name === 'locks' || name.startsWith('accelerator-')) await removeTree(path.join(root, name));
  }
}

function total(artifacts: readonly Listed[]): number {
  return artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}
