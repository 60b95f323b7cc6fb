import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ExecaError, execa } from 'execa';

/** apt's own way to fetch a file: it knows the host's proxies and every kind of address apt knows. */
const APT_HELPER = '/usr/lib/apt/apt-helper';

/** Why the mirror does not serve a suite's signed index, or undefined when it does. */
export async function mirrorFails(
  mirror: string,
  suite: string,
  withinMs: number,
): Promise<string | undefined> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-mirror-'));
  const seconds = Math.max(1, Math.floor(withinMs / 1000));
  const options = [`Acquire::http::Timeout=${seconds}`, `Acquire::https::Timeout=${seconds}`];
  options.push('Acquire::Retries=0', 'APT::Sandbox::User=');
  const index = `${mirror.replace(/\/*$/, '')}/dists/${suite}/InRelease`;
  const words = [...options.flatMap((option) => ['-o', option]), 'download-file', index];
  try {
    const target = path.join(folder, 'InRelease');
    await execa(APT_HELPER, [...words, target], { env: { LC_ALL: 'C' }, timeout: withinMs });
    return undefined;
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    if (error.timedOut) return `no answer within ${seconds} s`;
    const told = String(error.stderr)
      .split('\n')
      .find((line) => line.startsWith('E:'));
    return told?.replace(/^E: (?:Failed to fetch \S+ +)?/, '') ?? error.shortMessage;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}
