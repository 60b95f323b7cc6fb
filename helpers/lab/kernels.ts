import { UsageError } from '../errors.ts';
import type { Apt, PackageRecord } from './apt.ts';
import type { KernelSuite } from './sources.ts';
import { compareVersions, upstreamVersion } from './versions.ts';

/** A kernel that a Debian suite lists. */
export interface ListedKernel {
  suite: KernelSuite;
  /** What `uname -r` will say. */
  release: string;
  /** Version of its packages. */
  version: string;
  /** Whether it is the one that the suite installs now. */
  current: boolean;
  /** What has to be unpacked. */
  packages: PackageRecord[];
  /** Packages it consists of that the suite no longer has; without them it cannot be used. */
  missing: string[];
}

/** The flavour for virtual machines: the smallest, and built from the same source with the same Swarm-related options. */
const FLAVOUR = 'cloud-amd64';

/**
 * A kernel's parts. Up to 6.18 one package has it all; later ones have a shell around several, whose names have changed
 * before: what a package demands in exactly its own version is a part of it.
 */
const PART = /^linux-(?:image|binary|modules|base)-/;

/** Only newer kernels have files in it (configuration, list of built-in modules); in 6.18 it is demanded and empty. */
const OPTIONAL_PART = /^linux-base-/;

/** All kernels a suite lists, the oldest first. */
export async function listKernels(apt: Apt, suite: KernelSuite): Promise<ListedKernel[]> {
  return kernelsIn(await apt.list(`^linux-(image|binary|modules|base)-.*${FLAVOUR}$`), suite);
}

/** The kernels that these records of a suite's list describe, the oldest first. */
export function kernelsIn(records: readonly PackageRecord[], suite: KernelSuite): ListedKernel[] {
  const current = demanded(
    records.find(({ Package }) => Package === `linux-image-${FLAVOUR}`) ?? { Package: '', Version: '' },
  );
  return records
    .filter(({ Package }) => /^linux-image-\d/.test(Package))
    .map((image) => {
      const parts = partsOf(image, records);
      return {
        suite,
        release: image.Package.slice('linux-image-'.length),
        version: image.Version,
        current: current.some(({ name, version }) => name === image.Package && version === image.Version),
        ...parts,
      };
    })
    .toSorted((a, b) => compareVersions(a.version, b.version));
}

/**
 * The kernel of a suite that `wanted` names: the version of its packages, the upstream part of that, or the release as
 * `uname -r` says it (with or without the flavour). Without it, the current one.
 *
 * @throws UsageError naming those that there are.
 */
export function chooseKernel(
  kernels: readonly ListedKernel[],
  suite: KernelSuite,
  wanted: string | undefined,
): ListedKernel {
  const fitting = wanted
    ? kernels.filter(({ version, release }) =>
        [version, upstreamVersion(version), release, release.replace(`-${FLAVOUR}`, '')].includes(wanted),
      )
    : kernels.filter(({ current }) => current);
  const [kernel, another] = fitting;
  const name = `debian:${suite}${wanted ? `/${wanted}` : ''}`;
  if (!kernel) {
    const there = kernels.filter(({ missing }) => missing.length === 0).map(({ version }) => version);
    throw new UsageError(
      `KERNEL=${name} is not in Debian ${suite}, which has ${there.join(', ') || 'none'}.`,
    );
  }
  if (another)
    throw new UsageError(
      `KERNEL=${name} fits more than one kernel: say which of ${fitting.map(({ version }) => version).join(', ')}.`,
    );
  if (kernel.missing.length > 0)
    throw new UsageError(
      `KERNEL=${name} is listed in Debian ${suite}, but incomplete: the mirror no longer has ${kernel.missing.join(', ')}. ` +
        '`npx swarmproof kernels` lists those that are complete.',
    );
  return kernel;
}

/**
 * The complete kernels from one upstream version up to another, the oldest first, each once however many suites have it.
 *
 * @param to its later patch releases count too: `7.3` ends after the last 7.3.x.
 */
export function kernelsBetween(kernels: readonly ListedKernel[], from: string, to: string): ListedKernel[] {
  const within = (upstream: string) =>
    compareVersions(upstream, from) >= 0 &&
    (compareVersions(upstream, to) <= 0 || upstream.startsWith(`${to}.`));
  const found = kernels.filter(
    ({ version, missing }) => missing.length === 0 && within(upstreamVersion(version)),
  );
  return [...new Map(found.toReversed().map((kernel) => [kernel.version, kernel])).values()].toSorted(
    (a, b) => compareVersions(a.version, b.version),
  );
}

/** What KERNEL calls a kernel, as briefly as the other kernels of its suite allow. */
export function shortName({ suite, version }: ListedKernel, kernels: readonly ListedKernel[]): string {
  const upstream = upstreamVersion(version);
  const alone = kernels.filter((other) => upstreamVersion(other.version) === upstream).length === 1;
  return `debian:${suite}/${alone ? upstream : version}`;
}

function partsOf(
  image: PackageRecord,
  records: readonly PackageRecord[],
): Pick<ListedKernel, 'packages' | 'missing'> {
  const packages: PackageRecord[] = [];
  const missing: string[] = [];
  const add = (record: PackageRecord) => {
    if (packages.includes(record)) return;
    packages.push(record);
    for (const { name, version } of demanded(record).filter((part) => PART.test(part.name))) {
      const part = records.find((other) => other.Package === name && other.Version === version);
      if (part) add(part);
      else if (!OPTIONAL_PART.test(name) && !missing.includes(name)) missing.push(name);
    }
  };
  add(image);
  return { packages, missing };
}

/** What a package demands in one exact version. */
export function demanded({ Depends = '', 'Pre-Depends': before = '' }: PackageRecord) {
  return [...`${before}, ${Depends}`.matchAll(/(?:^|,)\s*(\S+) \(= ([^)]+)\)(?=\s*(?:,|$))/g)].map(
    ([, name = '', version = '']) => ({ name, version }),
  );
}
