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
  const averages = logs.flatMap((x, i) => logs.slice(i).map((y) => (x + y) / 2));
  return estimate(averages, Math.sqrt((n * (n + 1) * (2 * n + 1)) / 24), confidence, n);
}

/**
 * The factor by which a part was shifted more than the rest: Hodges and Lehmann's estimate with the interval that belongs to
 * the rank test of Mann and Whitney, in logarithms. What shifts all ratios alike, such as a slower machine, leaves it at 1.
 *
 * @returns undefined when the part or the rest has fewer than {@link FEWEST} ratios.
 */
export function shiftBeyond(
  part: readonly number[],
  rest: readonly number[],
  confidence: number,
): Shift | undefined {
  const [m, n] = [part.length, rest.length];
  if (m < FEWEST || n < FEWEST) return undefined;
  const others = rest.map(Math.log);
  const differences = part.map(Math.log).flatMap((x) => others.map((y) => x - y));
  return estimate(differences, Math.sqrt((m * n * (m + n + 1)) / 12), confidence, m);
}

/** Median of pairwise quantities, and those at the ranks which the test statistic leaves in doubt. */
function estimate(pairwise: number[], deviation: number, confidence: number, count: number): Shift {
  const sorted = pairwise.toSorted((a, b) => a - b);
  const z = jstat.normal.inv(1 - (1 - confidence) / 2, 0, 1);
  const outside = Math.max(0, Math.floor(sorted.length / 2 - z * deviation));
  const at = (index: number) => Math.exp(sorted[index] as number);
  return {
    factor: Math.exp(jstat.median(sorted)),
    low: at(outside),
    high: at(sorted.length - 1 - outside),
    count,
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
