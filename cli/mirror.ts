import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ExecaError, execa } from 'execa';
import { SUITES } from '../helpers/lab/settings.ts';

/** apt's own way to fetch a file: it knows the host's proxies and every kind of address apt knows. */
const APT_HELPER = '/usr/lib/apt/apt-helper';

/** The Debian mirror that the lab's packages would come from, or undefined when nothing names one. */
export async function debianMirror(setting: string): Promise<string | undefined> {
  if (setting) return setting;
  const format = ['--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'];
  const { stdout = '' } = await execa('apt-get', ['indextargets', ...format], { reject: false });
  const releases = new Set<string>([...SUITES, 'stable', 'oldstable', 'testing', 'unstable']);
  const rows = stdout.split('\n').map((line) => line.split(' '));
  return rows.find(([release = '', address = '']) => releases.has(release) && !/security/.test(address))?.[1];
}

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
