/** Of many numbers, the one that tells most: measurements are compared by these. */

import jstat from 'jstat';
import { requireSense } from './judgement.ts';

/** The middle of some numbers. @throws {RangeError} when there are none */
export function median(values: readonly number[]): number {
  requireSense(values.length > 0, 'nothing has no middle');
  return jstat.median(values);
}

/**
 * The smallest of some numbers that so large a share of them does not exceed.
 *
 * @param share from 0 to 1.
 * @throws {RangeError} when there are none
 */
export function percentile(values: readonly number[], share: number): number {
  requireSense(values.length > 0 && share >= 0 && share <= 1, `no ${share} of ${values.length} numbers`);
  // By nearest rank: jstat's own rounds its place down, and calls 40 the 95th percentile of 10, 20, 30, 40 and 50.
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)] as number;
}

/** The share of requests that failed, over HTTP also by a status other than 200. @throws {RangeError} when there are none */
export function failedShare(requests: readonly { error?: string; status?: number }[]): number {
  requireSense(requests.length > 0, 'of no requests none can fail');
  const failures = requests.filter(({ error, status = 200 }) => error !== undefined || status !== 200);
  return failures.length / requests.length;
}
