import fs from 'node:fs/promises';
import path from 'node:path';
import { ExecaError, execa } from 'execa';
import { UsageError } from '../errors.ts';
import { type Cache, lock, type Progress, removeTree } from './cache.ts';
import { SUITES, type Suite } from './settings.ts';

/** Public keys of the Debian archive, pinned here so that any Debian-family host verifies with the same ones. */
const KEYRING = path.join(import.meta.dirname, 'debian-archive-keyring.gpg');

/** A package that apt resolved, downloaded and verified (Release signature, then SHA-256 by index). */
export interface Package {
  name: string;
  version: string;
  /** The .deb file. */
  file: string;
}

/**
 * A private apt root: its own sources, lists, and an empty idea of what is installed.
 *
 * It needs no root rights and changes nothing on the host; apt resolves and verifies as on a real system.
 */
export class Apt {
  readonly #folder: string;
  readonly #config: string;
  readonly #archives: string;
  readonly #mirror: string;

  private constructor(folder: string, mirror: string) {
    this.#folder = folder;
    this.#config = path.join(folder, 'apt.conf');
    this.#archives = path.join(folder, 'archives');
    this.#mirror = mirror;
  }

  /**
   * Opens the private root of one Debian suite and brings its package lists up to date.
   *
   * @throws UsageError when the host has no apt, names no Debian mirror, or the mirror cannot be reached or verified.
   */
  static open(cache: Cache, suite: Suite, mirrorSetting: string): Promise<Apt> {
    const key = [cache.root, suite, mirrorSetting].join('\n');
    const opened = Apt.#opened.get(key) ?? Apt.#open(cache, suite, mirrorSetting);
    Apt.#opened.set(key, opened);
    return opened;
  }

  /** One update of the lists serves everything this process fetches. */
  static readonly #opened = new Map<string, Promise<Apt>>();

  static async #open(cache: Cache, suite: Suite, mirrorSetting: string): Promise<Apt> {
    await requireApt();
    const mirror = mirrorSetting || (await hostMirror());
    if (!mirror)
      throw new UsageError("the host's apt configuration names no Debian mirror: set LAB_MIRROR to one.");
    const folder = path.join(cache.root, 'apt', suite);
    await fs.mkdir(path.join(folder, 'etc', 'apt.conf.d'), { recursive: true });
    await fs.mkdir(path.join(folder, 'lists', 'partial'), { recursive: true });
    await fs.mkdir(path.join(folder, 'archives', 'partial'), { recursive: true });
    await fs.writeFile(path.join(folder, 'status'), '');
    await fs.writeFile(
      path.join(folder, 'etc', 'sources.list'),
      `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`,
    );
    await fs.writeFile(path.join(folder, 'apt.conf'), await configuration(folder));
    const apt = new Apt(folder, mirror);
    await using _lock = await apt.#locked();
    await apt.#run(['update', '-o', 'APT::Update::Error-Mode=any']);
    return apt;
  }

  /**
   * Resolves packages with everything they depend on (no recommendations), downloads and verifies them.
   *
   * @param wanted keeps only some of what was resolved: a kernel is wanted without the system around it.
   */
  async fetch(names: readonly string[], wanted: (name: string) => boolean = () => true): Promise<Package[]> {
    await using _lock = await this.#locked();
    const plan = await this.#run(['--simulate', 'install', ...names]);
    const packages = plan
      .split('\n')
      .map((line) => /^Inst (\S+) \((\S+) .*\[(\S+)\]\)/.exec(line))
      .filter((match) => match !== null)
      .filter(([, name = '']) => wanted(name))
      .map(([, name = '', version = '', architecture = '']) => ({
        name,
        version,
        file: path.join(this.#archives, `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`),
      }));
    const missing = await Promise.all(
      packages.map(async (deb) => ((await exists(deb.file)) ? [] : [`${deb.name}=${deb.version}`])),
    );
    if (missing.flat().length > 0) await this.#run(['download', ...missing.flat()]);
    return packages;
  }

  async #locked(): Promise<AsyncDisposable> {
    return lock(path.join(this.#folder, 'lock'), 'exclusive');
  }

  async #run(args: string[]): Promise<string> {
    try {
      const { stdout } = await execa('apt-get', ['-q', ...args], {
        cwd: this.#archives,
        env: { APT_CONFIG: this.#config, LC_ALL: 'C' },
      });
      return stdout;
    } catch (error) {
      const told = error instanceof ExecaError ? String(error.stderr) : String(error);
      const first = told.split('\n').find((line) => line.startsWith('E:')) ?? told.split('\n')[0];
      throw new UsageError(
        `the package mirror ${this.#mirror} did not serve what the lab needs (apt-get ${args[0]}: ${first}). ` +
          'Check the network, or set LAB_MIRROR to a Debian mirror you can reach.',
      );
    }
  }
}

/** Unpacks packages into a folder, maintainer scripts not run. */
export async function unpack(
  packages: readonly Package[],
  folder: string,
  progress: Progress = () => {},
): Promise<void> {
  await fs.mkdir(folder, { recursive: true });
  progress(`unpacking ${packages.length} packages`);
  // base-files first: it brings the links /bin -> usr/bin and the like that later packages unpack through.
  const first = packages.filter((deb) => deb.name === 'base-files');
  for (const deb of [...first, ...packages.filter((other) => other.name !== 'base-files')]) {
    await execa('dpkg-deb', ['-x', deb.file, folder]);
  }
}

/** Name -> version of what was unpacked, for verdict.json. */
export function versions(packages: readonly Package[]): Record<string, string> {
  return Object.fromEntries(packages.map(({ name, version }) => [name, version]));
}

async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}

async function requireApt(): Promise<void> {
  for (const tool of ['apt-get', 'dpkg-deb']) {
    const found = await execa('sh', ['-c', `command -v ${tool}`], { reject: false });
    if (found.exitCode !== 0) {
      throw new UsageError(
        `images are built from Debian packages and this host has no ${tool}: run the suite on a Debian-family host (its ` +
          'lab may be elsewhere: LAB=docker with DOCKER_HOST naming an engine you have).',
      );
    }
  }
}

/** The Debian mirror of the host's own apt configuration, or undefined when it names none. */
export async function hostMirror(): Promise<string | undefined> {
  const format = ['--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'];
  const { stdout = '' } = await execa('apt-get', ['indextargets', ...format], { reject: false });
  const known = new Set<string>([...SUITES, 'stable', 'oldstable', 'testing', 'unstable']);
  const rows = stdout.split('\n').map((line) => line.split(' '));
  return rows.find(([release = '', uri = '']) => known.has(release) && !/security/.test(uri))?.[1];
}

/** apt.conf of a private root; only how to reach the network is taken over from the host (proxies). */
async function configuration(folder: string): Promise<string> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire']);
  const network = stdout.split('\n').filter((line) => /^Acquire::https?::/i.test(line));
  return [
    `Dir "${folder}";`,
    `Dir::State "${folder}";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::State::lists "lists";`,
    `Dir::Cache "${folder}";`,
    `Dir::Cache::archives "archives";`,
    `Dir::Etc "${folder}/etc";`,
    'Dir::Etc::sourcelist "sources.list";',
    'Dir::Etc::sourceparts "/dev/null";',
    'Dir::Etc::preferences "/dev/null";',
    'Dir::Etc::preferencesparts "/dev/null";',
    'Dir::Etc::trustedparts "/dev/null";',
    'APT::Architecture "amd64";',
    'APT::Architectures { "amd64"; };',
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "";',
    'Acquire::Languages "none";',
    'Acquire::http::Timeout "20";',
    ...network,
    '',
  ].join('\n');
}

/** Forgets the downloaded packages of every suite; lists stay. */
export async function forgetDownloads(cache: Cache): Promise<void> {
  for (const suite of SUITES) await removeTree(path.join(cache.root, 'apt', suite, 'archives'));
}
