/** Judgements over spans of time, such as the lives of containers. */

import { requireSense } from './judgement.ts';

/** From a moment on, until another; without end when that is left out. Both in ms, by one clock. */
export interface Interval {
  from: number;
  until?: number | undefined;
}

/**
 * How few of the intervals there are at any moment of a span. One that ends in the moment in which another begins does not
 * overlap with it.
 * @throws {RangeError} when the span is empty
 */
export function fewestAtOnce(intervals: readonly Interval[], span: { from: number; until: number }): number {
  requireSense(span.from < span.until, `nothing lies between ${span.from} and ${span.until}`);
  // The number only falls where one ends, so these moments and the beginning stand for all.
  const moments = [span.from, ...intervals.flatMap(({ until }) => until ?? [])];
  const within = moments.filter((moment) => moment >= span.from && moment < span.until);
  const counts = within.map(
    (moment) =>
      intervals.filter(({ from, until }) => from <= moment && (until ?? Number.POSITIVE_INFINITY) > moment)
        .length,
  );
  return Math.min(...counts);
}
