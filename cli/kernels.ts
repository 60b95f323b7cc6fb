import { UsageError } from '../helpers/errors.ts';
import { Apt } from '../helpers/lab/apt.ts';
import { Cache } from '../helpers/lab/cache.ts';
import { type ListedKernel, listKernels, shortName } from '../helpers/lab/kernels.ts';
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

function stateOf({ missing, current }: ListedKernel): string {
  if (missing.length > 0) return `incomplete: the mirror no longer has ${missing.join(', ')}`;
  return current ? 'the current one of its suite' : '';
}

function isKernelSuite(text: string): text is KernelSuite {
  return (KERNEL_SUITES as readonly string[]).includes(text);
}
