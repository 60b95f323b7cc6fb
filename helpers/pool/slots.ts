import os from 'node:os';
import { readSettings } from '../lab/settings.ts';

/** A guest's memory, and half as much again for QEMU itself and the pages of its disks. */
const MEMORY_PER_GUEST = 1.5;

/**
 * How many labs run side by side unless the user says `--workers=N`: two cores and the memory of a guest each, one at least.
 * An engine the user names is one lab.
 */
export function defaultSlots(
  cores = os.availableParallelism(),
  freeBytes = os.freemem(),
  env = process.env,
): number {
  // A wrong setting is told by global set-up, in the report too; here it only must not get in the way.
  const memory = env.LAB_MEMORY ? readMemory(env) : readSettings({}).LAB_MEMORY;
  if (env.LAB === 'docker') return 1;
  return Math.max(1, Math.min(Math.floor(cores / 2), Math.floor(freeBytes / (memory * MEMORY_PER_GUEST))));
}

function readMemory(env: NodeJS.ProcessEnv): number {
  try {
    return readSettings({ LAB_MEMORY: env.LAB_MEMORY }).LAB_MEMORY;
  } catch {
    return readSettings({}).LAB_MEMORY;
  }
}
