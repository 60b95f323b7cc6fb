import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { engineClient, engineFacts } from '../helpers/engine/client.ts';
import { messageOf, UsageError } from '../helpers/errors.ts';
import { hostMirror } from '../helpers/lab/apt.ts';
import { Cache, type Listed } from '../helpers/lab/cache.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { engineOfEnvironment } from '../helpers/pool/docker-provider.ts';
import { keptPool, runsInUse } from '../helpers/pool/runs.ts';
import { mirrorFails } from './mirror.ts';
import { nameOf } from './prune.ts';
import { settingsInForce } from './settings.ts';
import { columns, count, size } from './words.ts';

const GiB = 1024 ** 3;

/** What a cache with everything for one kernel and one engine takes, checkpoints included. */
const CACHE_BYTES = 6 * GiB;
/** What a run adds to a cache that has everything: disk layers, and a checkpoint of a new stack. */
const RUN_BYTES = 2 * GiB;
/** Memory a run needs beside its guest's: QEMU's own, Node's, and the host's. */
const BESIDE_GUEST_BYTES = GiB;
/** The oldest Node that testcontainers runs on. */
const NODE = { major: 22, minor: 22 };
const LOWEST_QEMU = 10;

/** The longest one check may take; they run side by side. */
const CHECK_MS = 4000;
const NETWORK_MS = 2500;

/** What one look at this machine found. */
export interface Finding {
  /** `missing` prevents a run; `note` is worth knowing. */
  grade: 'ok' | 'note' | 'missing';
  text: string;
  /** What to do about it. */
  remedy?: string;
}

const SYMBOLS = { ok: '✓', note: '!', missing: '✗' } as const;

/** What checks look at. */
interface Situation {
  settings: Settings;
  /** What the cache holds. */
  artifacts: Promise<Listed[]>;
}

type Check = (situation: Situation) => Promise<Finding>;

const EVERYWHERE: readonly Check[] = [node, tools, mirror, disk];
const CHECKS: Record<Settings['LAB'], readonly Check[]> = {
  vm: [machine, ...EVERYWHERE, memory, acceleration, qemu, cache, runs],
  docker: [...EVERYWHERE, engine, cache, runs],
};

/**
 * `doctor`: what this machine can do for the lab the settings choose, and what is missing, one line each.
 *
 * @returns the exit status: 1 when something prevents a run.
 */
export async function doctor(settings: Settings): Promise<number> {
  const situation = { settings, artifacts: new Cache(settings.LAB_CACHE).list() };
  const findings = await Promise.all(CHECKS[settings.LAB].map((check) => looked(check, situation)));
  for (const { grade, text, remedy } of findings) {
    console.log(`${SYMBOLS[grade]} ${text}${remedy === undefined ? '' : `: ${remedy}`}`);
  }
  console.log('\nSettings');
  const rows = settingsInForce().map(({ name, value, from }) => [name, value || '(empty)', `from ${from}`]);
  for (const line of columns(rows)) console.log(`  ${line}`);
  const missing = findings.filter(({ grade }) => grade === 'missing').length;
  console.log(missing > 0 ? `\n${count(missing, 'thing')} to mend before a run.` : '\nA run can start.');
  return missing > 0 ? 1 : 0;
}

/** One check, which may neither throw nor take long. */
async function looked(check: Check, situation: Situation): Promise<Finding> {
  const late: Finding = { grade: 'note', text: `looking at ${check.name} took too long` };
  const failed = (error: unknown): Finding => ({
    grade: 'note',
    text: `looking at ${check.name} failed`,
    remedy: messageOf(error).split('\n')[0],
  });
  return Promise.race([check(situation).catch(failed), pause(CHECK_MS, late)]);
}

async function machine(): Promise<Finding> {
  const text = `${os.type()} on ${process.arch}, ${os.availableParallelism()} cores`;
  if (process.platform === 'linux' && process.arch === 'x64') return { grade: 'ok', text };
  return {
    grade: 'missing',
    text,
    remedy: 'the vm lab needs Linux on x64; use LAB=docker with an engine on one',
  };
}

async function node(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const text = `Node ${process.versions.node}`;
  if (major > NODE.major || (major === NODE.major && minor >= NODE.minor)) return { grade: 'ok', text };
  return { grade: 'missing', text, remedy: `${NODE.major}.${NODE.minor} or newer is needed` };
}

/** Program -> the Debian package that has it. */
const PACKAGE_OF: Record<string, string> = {
  'apt-get': 'apt',
  'apt-config': 'apt',
  'dpkg-deb': 'dpkg',
  flock: 'util-linux',
  setpriv: 'util-linux',
  tar: 'tar',
  bash: 'bash',
  find: 'findutils',
  du: 'coreutils',
};

/** Programs that only a Debian-family host has. */
const DEBIAN = ['apt', 'dpkg'];

async function tools(): Promise<Finding> {
  const missing = await absent(Object.keys(PACKAGE_OF));
  if (missing.length === 0)
    return { grade: 'ok', text: `Debian's tools: ${Object.keys(PACKAGE_OF).join(', ')}` };
  const packages = [...new Set(missing.map((program) => PACKAGE_OF[program] ?? program))];
  const text = `not found: ${missing.join(', ')}`;
  const remedy = packages.some((name) => DEBIAN.includes(name))
    ? 'the lab is made of Debian packages, run it on a Debian-family host'
    : `install ${packages.join(', ')}`;
  return { grade: 'missing', text, remedy };
}

async function absent(programs: readonly string[]): Promise<string[]> {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  const found = await Promise.all(
    programs.map(async (program) => {
      const tries = folders.map((folder) => fs.access(path.join(folder, program), fs.constants.X_OK));
      return Promise.any(tries).then(
        () => [],
        () => [program],
      );
    }),
  );
  return found.flat();
}

async function mirror({ settings: { LAB_MIRROR }, artifacts }: Situation): Promise<Finding> {
  if ((await absent(['apt-get'])).length > 0) {
    return { grade: 'note', text: 'package mirror: not looked for, there is no apt-get' };
  }
  const address = LAB_MIRROR || (await hostMirror());
  const from = LAB_MIRROR ? 'LAB_MIRROR' : "the host's apt configuration";
  // What is in the cache needs no mirror, but perhaps not all is.
  const grade = (await artifacts).some(({ kind }) => kind === 'node') ? 'note' : 'missing';
  const remedy = 'set LAB_MIRROR to a Debian mirror you can reach';
  if (!address) return { grade, text: `${from} names no Debian mirror`, remedy };
  // The suite of the host's tools, which every lab needs.
  const why = await mirrorFails(address, 'trixie', NETWORK_MS);
  if (!why) return { grade: 'ok', text: `the package mirror of ${from} answers: ${address}` };
  return { grade, text: `the package mirror of ${from} does not answer (${address}: ${why})`, remedy };
}

async function disk({ settings: { LAB_CACHE }, artifacts }: Situation): Promise<Finding> {
  const folder = await nearestFolder(LAB_CACHE);
  const writable = await fs.access(folder, fs.constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable)
    return {
      grade: 'missing',
      text: `${folder} cannot be written to`,
      remedy: 'set LAB_CACHE to a folder of yours',
    };
  const { bavail, bsize } = await fs.statfs(folder);
  const held = (await artifacts).reduce((sum, { bytes }) => sum + bytes, 0);
  const needed = Math.max(CACHE_BYTES - held, RUN_BYTES);
  const text = `disk: ${size(bavail * bsize)} free for the cache, ${size(needed)} needed`;
  if (bavail * bsize >= needed) return { grade: 'ok', text };
  return { grade: 'missing', text, remedy: 'free some, run `npx swarmproof lab prune`, or set LAB_CACHE' };
}

async function nearestFolder(folder: string): Promise<string> {
  for (let at = folder; ; at = path.dirname(at)) {
    const found = await fs.stat(at).catch(() => undefined);
    if (found?.isDirectory() || at === path.dirname(at)) return at;
  }
}

async function memory({ settings: { LAB_MEMORY } }: Situation): Promise<Finding> {
  const free = process.availableMemory();
  const needed = LAB_MEMORY + BESIDE_GUEST_BYTES;
  const text = `memory: ${size(free)} free, ${size(needed)} needed for each worker`;
  if (free >= needed) return { grade: 'ok', text };
  const total = process.constrainedMemory() || os.totalmem();
  const remedy = 'end something else, or set LAB_MEMORY lower';
  return { grade: Math.min(total, os.totalmem()) < needed ? 'missing' : 'note', text, remedy };
}

/** Only a boot proves acceleration; here is told what the last one showed, if this host was not restarted since. */
async function acceleration({ settings: { LAB_ACCEL, LAB_CACHE } }: Situation): Promise<Finding> {
  if (LAB_ACCEL === 'tcg') return { grade: 'note', text: 'guests are emulated, as LAB_ACCEL says' };
  const usable = await fs.access('/dev/kvm', fs.constants.R_OK | fs.constants.W_OK).then(
    () => true,
    () => false,
  );
  if (LAB_ACCEL === 'kvm') {
    return usable
      ? { grade: 'note', text: 'hardware acceleration is used untried, as LAB_ACCEL says' }
      : { grade: 'missing', text: '/dev/kvm is missing or not yours', remedy: 'leave LAB_ACCEL out' };
  }
  if (!usable)
    return { grade: 'note', text: '/dev/kvm is missing or not yours: guests are emulated, which is slower' };
  const tried = await lastTrial(LAB_CACHE);
  if (!tried)
    return { grade: 'note', text: '/dev/kvm exists; whether it works is tried by booting, in the first run' };
  if (tried.accelerator === 'kvm')
    return { grade: 'ok', text: 'hardware acceleration works: a trial guest booted' };
  return { grade: 'note', text: `guests are emulated, which is slower: ${tried.why}` };
}

async function lastTrial(
  cacheRoot: string,
): Promise<{ accelerator: string; why: string | null } | undefined> {
  const names = await fs.readdir(cacheRoot).catch(() => []);
  const note = names.find((name) => name.startsWith('accelerator-'));
  if (!note) return undefined;
  const file = path.join(cacheRoot, note);
  const { mtimeMs } = await fs.stat(file);
  if (mtimeMs < Date.now() - os.uptime() * 1000) return undefined;
  return JSON.parse(await fs.readFile(file, 'utf8'));
}

async function qemu({ settings: { LAB_QEMU, LAB_CACHE } }: Situation): Promise<Finding> {
  if (LAB_QEMU !== 'packaged') return ownQemu(LAB_QEMU);
  const version = await packagedQemu(LAB_CACHE);
  return {
    grade: 'ok',
    text: version ? `QEMU ${version} is in the cache` : 'QEMU is fetched by the first run',
  };
}

async function ownQemu(file: string): Promise<Finding> {
  const { stdout = '' } = await execa(file, ['--version'], { reject: false });
  const version = /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version && Number.parseInt(version, 10) >= LOWEST_QEMU)
    return { grade: 'ok', text: `QEMU ${version}, ${file}` };
  const text = version ? `${file} is QEMU ${version}` : `${file} is no QEMU that runs here`;
  return { grade: 'missing', text, remedy: `leave LAB_QEMU out, or name one of ${LOWEST_QEMU}.0 or newer` };
}

async function packagedQemu(cacheRoot: string): Promise<string | undefined> {
  const folder = path.join(cacheRoot, 'tools');
  for (const key of await fs.readdir(folder).catch(() => [])) {
    if (key.endsWith('.partial')) continue;
    const text = await fs.readFile(path.join(folder, key, 'packages.json'), 'utf8').catch(() => '{}');
    // Debian's version: epoch, upstream version, revision.
    const version = (JSON.parse(text) as Record<string, string>)['qemu-system-x86'];
    if (version) return version.replace(/^\d+:/, '').replace(/[+-].*$/, '');
  }
  return undefined;
}

async function engine(): Promise<Finding> {
  const remedy = 'check DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH';
  try {
    const docker = engineClient(await engineOfEnvironment());
    const facts = await Promise.race([engineFacts(docker), pause(NETWORK_MS, undefined)]);
    if (!facts) return { grade: 'missing', text: `${process.env.DOCKER_HOST} does not answer`, remedy };
    const text = `engine ${facts.engine} of ${process.env.DOCKER_HOST}, on kernel ${facts.kernel}`;
    return { grade: 'ok', text: `${text}; what the kernel lacks is seen when a run starts` };
  } catch (error) {
    if (error instanceof UsageError) return { grade: 'missing', text: messageOf(error) };
    return {
      grade: 'missing',
      text: `${process.env.DOCKER_HOST} does not answer (${messageOf(error)})`,
      remedy,
    };
  }
}

async function cache({ settings: { LAB_CACHE }, artifacts }: Situation): Promise<Finding> {
  const groups = Map.groupBy(await artifacts, (one) => {
    const name = nameOf(one);
    if (name === 'checkpoint' || name.startsWith('unfinished')) return 'checkpoints';
    return one.kind === 'apt' ? 'packages' : 'images';
  });
  const parts = [...groups].map(
    ([name, group]) => `${name} ${size(group.reduce((sum, { bytes }) => sum + bytes, 0))}`,
  );
  const text = `cache ${LAB_CACHE}`;
  return {
    grade: 'ok',
    text: parts.length > 0 ? `${text}: ${parts.join(', ')}` : `${text}: empty, the first run fills it`,
  };
}

async function runs({ settings: { LAB_CACHE } }: Situation): Promise<Finding> {
  if ((await absent(['flock'])).length > 0)
    return { grade: 'note', text: 'runs in progress: unknown without flock' };
  const [kept, used] = await Promise.all([keptPool(LAB_CACHE), runsInUse(LAB_CACHE)]);
  const others = used - (kept ? 1 : 0);
  const keeping = kept ? `a lab is kept (process ${kept.pid})` : 'no lab is kept';
  return { grade: 'ok', text: `${keeping}, ${others > 0 ? count(others, 'run') : 'no run'} in progress` };
}
