import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { messageOf } from '../errors.ts';
import { keyOf } from '../key.ts';
import type { Cache, Progress } from './cache.ts';
import type { HostTools } from './hosttools.ts';
import type { Kernel } from './kernel.ts';
import { type Accelerator, Machine } from './machine.ts';

/** A kernel under working hardware acceleration is up in well under a second. */
const PROBE_MS = 5000;

/**
 * Hardware acceleration if it really works here, emulation otherwise; said in one line.
 *
 * That /dev/kvm exists proves nothing (on some hosts a guest hangs at its first instruction), so a kernel is booted
 * with a short limit. The answer is kept for as long as this host stays up.
 */
export async function chooseAccelerator(
  cache: Cache,
  tools: HostTools,
  kernel: Kernel,
  wish: 'auto' | Accelerator,
  progress: Progress,
): Promise<Accelerator> {
  if (wish !== 'auto') return wish;
  const bootId = await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  const note = path.join(
    cache.root,
    `accelerator-${keyOf([bootId, tools.qemuVersion, kernel.release])}.json`,
  );
  const known = await fs.readFile(note, 'utf8').catch(() => undefined);
  if (known) return (JSON.parse(known) as { accelerator: Accelerator }).accelerator;
  const why = await kvmFails(tools, kernel);
  const accelerator = why ? 'tcg' : 'kvm';
  progress(
    why ? `no hardware acceleration here (${why}): emulating` : 'hardware acceleration works: using it',
  );
  await forgetOtherBoots(cache, bootId);
  await fs.writeFile(note, JSON.stringify({ accelerator, why: why ?? null, bootId }));
  return accelerator;
}

/** Removes answers that were found before this host was started last; those of other kernels stay. */
async function forgetOtherBoots(cache: Cache, bootId: string): Promise<void> {
  for (const name of await fs.readdir(cache.root)) {
    if (!name.startsWith('accelerator-')) continue;
    const file = path.join(cache.root, name);
    // Another run may have removed it meanwhile.
    const text = await fs.readFile(file, 'utf8').catch(() => '{}');
    if ((JSON.parse(text) as { bootId?: string }).bootId !== bootId) await fs.rm(file, { force: true });
  }
}

/** Why a guest cannot be accelerated, or undefined when one has really booted. */
export async function kvmFails(tools: HostTools, kernel: Kernel): Promise<string | undefined> {
  try {
    await fs.access('/dev/kvm', fs.constants.R_OK | fs.constants.W_OK);
  } catch {
    return '/dev/kvm is missing or not ours';
  }
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-probe-'));
  try {
    await using machine = await Machine.start({
      tools,
      kernel,
      shape: { accelerator: 'kvm', memoryBytes: 512 * 1024 ** 2, cpus: 1 },
      disks: [],
      folder,
    });
    // Without a disk the initramfs says so and powers off: it ran.
    await machine.consoleShows(/lab: no root disk/, PROBE_MS);
    return undefined;
  } catch (error) {
    return `a trial boot failed: ${messageOf(error).split('\n')[0]}`;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}
