import { UsageError } from '../helpers/errors.ts';
import { Apt } from '../helpers/lab/apt.ts';
import { Cache } from '../helpers/lab/cache.ts';
import { kernelsBetween, type ListedKernel, listKernels, shortName } from '../helpers/lab/kernels.ts';
import { archiveOf, type Settings } from '../helpers/lab/settings.ts';
import { KERNEL_SUITES, type KernelSuite } from '../helpers/lab/sources.ts';
import { columns, count } from './words.ts';

/**
 * `kernels`: the kernels that Debian lists, as the setting KERNEL names them, the oldest of each suite first.
 *
 * @returns the exit status: 1 when a suite could not be read; why is told beside the others.
 */
export async function kernels(settings: Settings, suites: readonly string[]): Promise<number> {
  const unknown = suites.filter((suite) => !isKernelSuite(suite));
  if (unknown.length > 0)
    throw new UsageError(
      `${unknown.join(', ')} is no suite with kernels; there are ${KERNEL_SUITES.join(', ')}.`,
    );
  const cache = await new Cache(settings.LAB_CACHE).open();
  const wanted = suites.length > 0 ? suites.filter(isKernelSuite) : KERNEL_SUITES;
  const unread: string[] = [];
  const found: (readonly string[])[] = [];
  let complete = 0;
  for (const suite of wanted) {
    try {
      const apt = await Apt.open(cache, suite, archiveOf(settings), (line) => console.error(line));
      const listed = await listKernels(apt, suite);
      complete += listed.filter(({ missing }) => missing.length === 0).length;
      found.push(...listed.map((kernel) => [shortName(kernel, listed), kernel.release, stateOf(kernel)]));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      unread.push(error.message);
    }
  }
  if (found.length > 0)
    for (const line of columns([['KERNEL', 'release', 'state'], ...found])) console.log(line);
  console.log(`${count(complete, 'kernel')} can be used.`);
  for (const why of unread) console.error(why);
  return unread.length > 0 ? 1 : 0;
}

/**
 * The kernels that a range such as `debian:6.12..7.3` stands for, or `debian:trixie-backports/6.12..7.3` in one suite alone, the oldest
 * first, as the setting KERNEL names them.
 *
 * @throws UsageError when it is no range of kernels, nothing lies in it, or a suite cannot be read.
 */
export async function kernelRange(settings: Settings, range: string): Promise<string[]> {
  const [, suite, from, to] = /^debian:(?:([\w-]+)\/)?(\d[^/]*?)\.\.(\d[^/]*)$/.exec(range) ?? [];
  if (!from || !to)
    throw new UsageError(
      `${range} is no range of kernels: write debian:6.12..7.3, or debian:SUITE/6.12..7.3 for those of one suite.`,
    );
  if (suite && !isKernelSuite(suite))
    throw new UsageError(`${suite} is no suite with kernels; there are ${KERNEL_SUITES.join(', ')}.`);
  const cache = await new Cache(settings.LAB_CACHE).open();
  const wanted = suite ? [suite as KernelSuite] : KERNEL_SUITES;
  const listed: ListedKernel[] = [];
  for (const one of wanted) {
    const apt = await Apt.open(cache, one, archiveOf(settings), (line) => console.error(line));
    listed.push(...(await listKernels(apt, one)));
  }
  const found = kernelsBetween(listed, from, to);
  if (found.length === 0)
    throw new UsageError(
      `no kernel that Debian still has lies in ${range}: \`npx swarmproof kernels\` lists them.`,
    );
  const ofSuite = Map.groupBy(listed, (kernel) => kernel.suite);
  return found.map((kernel) => shortName(kernel, ofSuite.get(kernel.suite) ?? []));
}

function stateOf({ missing, current }: ListedKernel): string {
  if (missing.length > 0) return `incomplete: the mirror no longer has ${missing.join(', ')}`;
  return current ? 'the current one of its suite' : '';
}

function isKernelSuite(text: string): text is KernelSuite {
  return (KERNEL_SUITES as readonly string[]).includes(text);
}
