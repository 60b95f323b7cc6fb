import { UsageError } from '../errors.ts';

/**
 * Gives the versions that a text such as `debian:trixie-backports/6.12..7.3` stands for, the oldest first, each as `KERNEL` or
 * `ENGINE` takes it.
 */
export type RangeResolver = (range: string) => Promise<string[]>;

/**
 * The versions that a list names, in its order, which is from good to bad.
 *
 * @param list versions by commas; one with two dots in it is a range. A comma within a version is left alone, as each begins with
 * its kind and a colon.
 * @throws UsageError when there are fewer than two, or one twice, or a range that nothing here resolves.
 */
export async function versionsIn(list: string, resolve?: RangeResolver): Promise<string[]> {
  const named = list
    .split(/,(?=\s*[a-z]+:)/)
    .map((one) => one.trim())
    .filter(Boolean);
  const versions = (
    await Promise.all(named.map((one) => (isRange(one) ? resolved(one, resolve) : [one])))
  ).flat();
  const twice = versions.find((one, index) => versions.indexOf(one) !== index);
  if (twice) throw new UsageError(`${twice} is named twice: name each version once, the oldest first.`);
  if (versions.length < 2)
    throw new UsageError(
      `${list.trim() || 'an empty list'} names ${versions.length} version: a search needs at least two, the oldest first, by commas.`,
    );
  return versions;
}

function isRange(text: string): boolean {
  return /[^./]\.\.[^./]/.test(text);
}

async function resolved(range: string, resolve?: RangeResolver): Promise<string[]> {
  if (resolve) return resolve(range);
  throw new UsageError(
    `the range ${range} cannot be resolved: name its versions by commas, the oldest first.`,
  );
}
