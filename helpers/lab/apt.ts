import fs from 'node:fs/promises';
import path from 'node:path';
import { ExecaError, execa } from 'execa';
import { UsageError } from '../errors.ts';
import { type Cache, lock, type Progress, removeTree } from './cache.ts';
import { KERNEL_SUITES, type KernelSuite, SUITES, type Suite } from './sources.ts';

/** Public keys of the Debian archive, pinned here so that any Debian-family host verifies with the same ones. */
const KEYRING = path.join(import.meta.dirname, 'debian-archive-keyring.gpg');

/** Where Debian packages come from, and on what terms. */
export interface Archive {
  /** Its URL; empty for the one of the host's own apt configuration. */
  mirror: string;
  /** Whether package lists past their Valid-Until date are used. Signatures are verified in any case. */
  expired: 'refuse' | 'accept';
  /** After how many ms it is looked up what a suite has by now; 0 for never, once something was made of it. */
  renewMs: number;
}

/** What a package list says of one version of a package: its fields by name, such as `Depends`. */
export type PackageRecord = Readonly<Record<string, string>> & { Package: string; Version: string };

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
  readonly #suite: Suite | KernelSuite;
  readonly #folder: string;
  readonly #config: string;
  readonly #archives: string;
  readonly #mirror: string;

  private constructor(suite: Suite | KernelSuite, folder: string, mirror: string) {
    this.#suite = suite;
    this.#folder = folder;
    this.#config = path.join(folder, 'apt.conf');
    this.#archives = path.join(folder, 'archives');
    this.#mirror = mirror;
  }

  /**
   * Opens the private root of one Debian suite and brings its package lists up to date.
   *
   * @throws UsageError when the host has no apt, names no Debian mirror, or the mirror cannot be reached or verified, or its
   *   lists are out of date and that is not accepted.
   */
  static open(
    cache: Cache,
    suite: Suite | KernelSuite,
    archive: Archive,
    progress: Progress = () => {},
  ): Promise<Apt> {
    const key = [cache.root, suite, archive.mirror].join('\n');
    const opened = Apt.#opened.get(key) ?? Apt.#open(cache, suite, archive, progress);
    Apt.#opened.set(key, opened);
    // What failed may work later: a pool lives long.
    opened.catch(() => Apt.#opened.delete(key));
    return opened;
  }

  /** One update of the lists serves everything this process fetches. */
  static readonly #opened = new Map<string, Promise<Apt>>();

  static async #open(
    cache: Cache,
    suite: Suite | KernelSuite,
    archive: Archive,
    progress: Progress,
  ): Promise<Apt> {
    await requireApt();
    const mirror = archive.mirror || (await hostMirror());
    if (!mirror)
      throw new UsageError("the host's apt configuration names no Debian mirror: set LAB_MIRROR to one.");
    const folder = path.join(cache.root, 'apt', suite);
    for (const part of ['etc/apt.conf.d', 'etc/preferences.d', 'lists/partial', 'archives/partial'])
      await fs.mkdir(path.join(folder, part), { recursive: true });
    await fs.writeFile(path.join(folder, 'status'), '');
    await fs.writeFile(
      path.join(folder, 'etc', 'sources.list'),
      `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`,
    );
    await fs.writeFile(path.join(folder, 'apt.conf'), await configuration(folder, archive));
    const apt = new Apt(suite, folder, mirror);
    await using _lock = await apt.#locked();
    await apt.#run('apt-get', ['update', '-o', 'APT::Update::Error-Mode=any']);
    if (archive.expired === 'accept') {
      const until = await apt.#validUntil();
      if (until && until.getTime() < Date.now())
        progress(
          `the package lists of Debian ${suite} expired on ${until.toISOString().slice(0, 10)}: used all the same, as LAB_EXPIRED=accept says`,
        );
    }
    return apt;
  }

  /**
   * Resolves packages with everything they depend on (no recommendations), downloads and verifies them.
   *
   * @param wanted keeps only some of what was resolved: a kernel is wanted without the system around it.
   */
  async fetch(names: readonly string[], wanted: (name: string) => boolean = () => true): Promise<Package[]> {
    await using _lock = await this.#locked();
    const packages = await this.#resolved(names, wanted);
    await this.#download(packages);
    return packages;
  }

  /** The versions that {@link Apt.fetch} would bring, without bringing them. */
  async versionsOf(names: readonly string[]): Promise<Record<string, string>> {
    await using _lock = await this.#locked();
    return versions(await this.#resolved(names));
  }

  async #resolved(
    names: readonly string[],
    wanted: (name: string) => boolean = () => true,
  ): Promise<Package[]> {
    const plan = await this.#run('apt-get', ['--simulate', 'install', ...names]);
    return plan
      .split('\n')
      .map((line) => /^Inst (\S+) \((\S+) .*\[(\S+)\]\)/.exec(line))
      .filter((match) => match !== null)
      .filter(([, name = '']) => wanted(name))
      .map(([, name = '', version = '', architecture = '']) => this.#located(name, version, architecture));
  }

  /** Every version of the packages whose name matches, as the lists describe it. @param pattern an extended regular expression. */
  async list(pattern: string): Promise<PackageRecord[]> {
    await using _lock = await this.#locked();
    const found = await this.#run('apt-cache', ['search', '--names-only', pattern]);
    const names = found
      .split('\n')
      .map((line) => line.split(' ')[0] ?? '')
      .filter(Boolean);
    return names.length === 0 ? [] : parseRecords(await this.#run('apt-cache', ['show', ...names]));
  }

  /** Downloads and verifies packages as they were listed, without what they depend on. */
  async fetchListed(records: readonly PackageRecord[]): Promise<Package[]> {
    await using _lock = await this.#locked();
    const packages = records.map(({ Package, Version, Architecture = '' }) =>
      this.#located(Package, Version, Architecture),
    );
    await this.#download(packages);
    return packages;
  }

  /** The place in which `apt-get download` leaves a package. */
  #located(name: string, version: string, architecture: string): Package {
    const file = `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
    return { name, version, file: path.join(this.#archives, file) };
  }

  async #download(packages: readonly Package[]): Promise<void> {
    const missing = await Promise.all(
      packages.map(async (deb) => ((await exists(deb.file)) ? [] : [`${deb.name}=${deb.version}`])),
    );
    if (missing.flat().length > 0) await this.#run('apt-get', ['download', ...missing.flat()]);
  }

  /** Until when Debian vouches for the lists; undefined where a suite says nothing. */
  async #validUntil(): Promise<Date | undefined> {
    const lists = path.join(this.#folder, 'lists');
    const [release] = (await fs.readdir(lists)).filter((name) => /_(In)?Release$/.test(name));
    const text = release ? await fs.readFile(path.join(lists, release), 'utf8') : '';
    const date = /^Valid-Until: (.*)$/m.exec(text)?.[1];
    return date ? new Date(date) : undefined;
  }

  async #locked(): Promise<AsyncDisposable> {
    return lock(path.join(this.#folder, 'lock'), 'exclusive');
  }

  async #run(program: 'apt-get' | 'apt-cache', args: string[]): Promise<string> {
    try {
      const { stdout } = await execa(program, ['-q', ...args], {
        cwd: this.#archives,
        env: { APT_CONFIG: this.#config, LC_ALL: 'C' },
      });
      return stdout;
    } catch (error) {
      const told = error instanceof ExecaError ? String(error.stderr) : String(error);
      const first = told.split('\n').find((line) => line.startsWith('E:')) ?? told.split('\n')[0];
      const since = /is expired \(invalid since (\S+)/.exec(told)?.[1];
      if (since)
        throw new UsageError(
          `the package lists of Debian ${this.#suite} on ${this.#mirror} expired ${since} ago: set LAB_EXPIRED=accept to use them ` +
            'all the same (signatures are still verified), or LAB_MIRROR to a mirror that is up to date.',
        );
      throw new UsageError(
        `the package mirror ${this.#mirror} did not serve what the lab needs (${program} ${args[0]}: ${first}). ` +
          'Check the network, or set LAB_MIRROR to a Debian mirror you can reach.',
      );
    }
  }
}

/** Reads what `apt-cache show` prints: fields of a record one a line, continued by lines that begin with a blank. */
export function parseRecords(text: string): PackageRecord[] {
  return text
    .split(/\n{2,}/)
    .map((record) => record.replaceAll(/\n[ \t]+/g, ' '))
    .map((record) =>
      Object.fromEntries([...record.matchAll(/^([\w-]+): *(.*)$/gm)].map(([, name, value]) => [name, value])),
    )
    .filter((record): record is PackageRecord => Boolean(record.Package && record.Version));
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
  const known = new Set<string>([...KERNEL_SUITES, 'stable', 'oldstable', 'testing', 'unstable']);
  const rows = stdout.split('\n').map((line) => line.split(' '));
  return rows.find(([release = '', uri = '']) => known.has(release) && !/security/.test(uri))?.[1];
}

/** apt.conf of a private root; only how to reach the network is taken over from the host (proxies). */
async function configuration(folder: string, { expired }: Archive): Promise<string> {
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
    `Acquire::Check-Valid-Until "${expired === 'refuse'}";`,
    ...network,
    '',
  ].join('\n');
}

/** Forgets the downloaded packages of every suite; lists stay. */
export async function forgetDownloads(cache: Cache): Promise<void> {
  for (const suite of [...SUITES, ...KERNEL_SUITES])
    await removeTree(path.join(cache.root, 'apt', suite, 'archives'));
}
