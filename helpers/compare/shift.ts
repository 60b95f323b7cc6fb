import jstat from 'jstat';

/** By what factor one set of times differs from another. */
export interface Shift {
  /** Estimate of the factor, 1 where nothing changed. */
  factor: number;
  /** The interval that holds the true factor with the confidence asked for. */
  low: number;
  high: number;
  /** Number of ratios behind it. */
  count: number;
}

/** Below this number of ratios the normal approximation of rank statistics is too coarse for an interval at 95 %. */
export const FEWEST = 8;

/**
 * The factor that is common to paired times: Hodges and Lehmann's estimate with the interval that belongs to Wilcoxon's signed
 * rank test, in logarithms. It takes no distribution for granted, and single wild ratios hardly move it.
 *
 * @param ratios later time by earlier time, one for each pair.
 * @returns undefined when there are fewer than {@link FEWEST}.
 */
export function commonShift(ratios: readonly number[], confidence: number): Shift | undefined {
  const logs = ratios.map(Math.log);
  const n = logs.length;
  if (n < FEWEST) return undefined;
  const averages = logs.flatMap((x, i) => logs.slice(i).map((y) => (x + y) / 2)).sort((a, b) => a - b);
  const z = jstat.normal.inv(1 - (1 - confidence) / 2, 0, 1);
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1)) / 24);
  // As many averages lie outside on either side as the test leaves in doubt.
  const outside = Math.max(0, Math.floor(averages.length / 2 - z * deviation));
  const at = (index: number) => Math.exp(averages[index] as number);
  return {
    factor: Math.exp(jstat.median(averages)),
    low: at(outside),
    high: at(averages.length - 1 - outside),
    count: n,
  };
}

/**
 * The items whose ratio lies far above all others: more than three times the interquartile range above the upper quartile of
 * the logarithms, Tukey's outer fence. Nothing is claimed about them; they are where a look is worth while.
 *
 * @returns the largest first; nothing when there are fewer than {@link FEWEST}.
 */
export function farAbove<T>(items: readonly T[], ratioOf: (item: T) => number): T[] {
  if (items.length < FEWEST) return [];
  const [lower, , upper] = jstat.quartiles(items.map((item) => Math.log(ratioOf(item)))) as [
    number,
    number,
    number,
  ];
  const fence = Math.exp(upper + 3 * (upper - lower));
  return items.filter((item) => ratioOf(item) > fence).sort((a, b) => ratioOf(b) - ratioOf(a));
}
