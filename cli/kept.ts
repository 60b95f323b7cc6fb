import { UsageError } from '../helpers/errors.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { PoolClient } from '../helpers/pool/client.ts';
import type { PoolStatus } from '../helpers/pool/protocol.ts';
import { type KeptPool, keptPool } from '../helpers/pool/runs.ts';

/** The lab that `lab up` keeps: its pool, and the lab itself once it is ready. */
export interface KeptLab {
  pool: KeptPool;
  status: PoolStatus;
  lab: PoolStatus['labs'][number] | undefined;
}

/** The kept lab, if there is one. @throws Inconclusive when its pool does not answer. */
export async function findKeptLab(settings: Settings): Promise<KeptLab | undefined> {
  const pool = await keptPool(settings.LAB_CACHE);
  if (!pool) return undefined;
  const status = await new PoolClient(pool.socket).call('status', {});
  return { pool, status, lab: status.labs[0] };
}

/** The kept lab, ready. @throws UsageError that says how to get one. */
export async function requireKeptLab(
  settings: Settings,
): Promise<KeptLab & { lab: PoolStatus['labs'][number] }> {
  const kept = await findKeptLab(settings);
  if (!kept) throw new UsageError('no lab is kept: start one with `npx swarmproof lab up`.');
  const { lab } = kept;
  if (!lab)
    throw new UsageError('the kept lab is not ready: wait for `lab up`, or for the run that uses it.');
  return { ...kept, lab };
}
