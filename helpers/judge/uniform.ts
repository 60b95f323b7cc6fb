/**
 * Judgements of chance: orders of DNS answers, and members that clients choose by resolving a name. Each one states
 * the probability of a false alarm, that is, of being red although the engine chooses uniformly.
 */

import jstat from 'jstat';
import { type Judgement, list, requireSense } from './judgement.ts';
import { printTally } from './tally.ts';

/** Default false-alarm probability of one statistical judgement (`alpha` in the conventions of the catalogue). */
export const DEFAULT_ALPHA = 1e-6;

/** Trials per category from which the chi-square tail is close enough to the exact one; see `uniform`. */
export const MIN_PER_CATEGORY = 10;

/** A judgement of uniformity and the numbers behind it. */
export type UniformityJudgement = Judgement & {
  /** Pearson's chi-square: 0 for perfectly equal counts. */
  statistic: number;
  /** Degrees of freedom: categories less one. */
  df: number;
  /** Chance of a statistic at least this large under uniformity. Below about 1e-13 it is rounding noise. */
  p: number;
  alpha: number;
};

/**
 * Pearson's chi-square test: red when the counts are so uneven that uniform choice would produce them with a
 * probability below `alpha`.
 *
 * The tail of the chi-square distribution approximates the exact multinomial one. Exact enumeration (in the test)
 * shows what an alpha of 1e-6 really is with 10 or more trials per category: under 1.2e-6 for two categories, under
 * 3e-6 for up to ten.
 *
 * Power: at the default alpha 99 % sure to be red after 5,300 trials when one of two members gets 55 % of them, and
 * after 1,500 when one of six orders is stuck for 10 % of the answers. 128 answers would miss the latter nearly always
 * (all measured in the test).
 * @param counts how often each category was seen; a category that can occur but did not must be there, with 0
 * @throws {RangeError} on fewer than two categories, fewer than 10 trials per category, counts that are no whole
 *   numbers, or so few trials that even a single category taking all of them would not be red
 */
export function uniform(
  counts: Readonly<Record<string, number>>,
  alpha: number = DEFAULT_ALPHA,
): UniformityJudgement {
  const values = Object.values(counts);
  const trials = totalOf(values);
  const fair = trials / values.length;
  const df = values.length - 1;
  requireSense(alpha > 0 && alpha < 1, `alpha ${alpha} is not a probability`);
  requireSense(
    fair >= MIN_PER_CATEGORY,
    `${trials} trials over ${values.length} categories: at least ${MIN_PER_CATEGORY * values.length} are needed`,
  );
  // The statistic is largest, trials * df, when one category takes all.
  requireSense(upperTail(trials * df, df) < alpha, `${trials} trials can never be red at alpha ${alpha}`);

  const statistic = values.reduce((sum, count) => sum + (count - fair) ** 2, 0) / fair;
  const p = upperTail(statistic, df);
  const numbers = { statistic, df, p, alpha };
  if (p >= alpha) return { ok: true, ...numbers };

  const unseen = Object.keys(counts).filter((category) => counts[category] === 0);
  return {
    ok: false,
    expected: `about ${fair.toFixed(1)} of ${trials} each`,
    seen: printTally(counts),
    detail: [
      `chi-square ${statistic.toFixed(2)} (df ${df}), p ${p.toExponential(1)} < alpha ${alpha}`,
      ...(unseen.length > 0 ? [`never seen: ${list(unseen)}`] : []),
    ].join('; '),
    ...numbers,
  };
}

function upperTail(statistic: number, df: number): number {
  return Math.max(0, 1 - jstat.chisquare.cdf(statistic, df));
}

/** More members than this have more orders than can be sampled (7: 5,040 orders, 50,400 answers). */
const MAX_PERMUTED = 6;

/**
 * How often each order of the same members was answered, for `uniform`. All R! orders are there, also those never
 * seen, beginning with that of the first answer; an order is its members joined by blanks.
 * @throws {RangeError} when an answer has other members than the first (judge the members before their order), or on
 *   fewer than 2 or more than 6 members
 */
export function permutationHistogram(answers: readonly (readonly string[])[]): Record<string, number> {
  const members = answers[0] ?? [];
  requireSense(
    new Set(members).size === members.length && members.length >= 2 && members.length <= MAX_PERMUTED,
    `cannot count the orders of ${list(members)}: 2 to ${MAX_PERMUTED} distinct members are needed`,
  );
  const counts = new Map(permutations(members).map((order) => [order.join(' '), 0]));
  for (const answer of answers) {
    const order = answer.join(' ');
    const count = counts.get(order);
    requireSense(count !== undefined, `${order} is not an order of ${list(members)}`);
    counts.set(order, count + 1);
  }
  return Object.fromEntries(counts);
}

function permutations(members: readonly string[]): string[][] {
  if (members.length === 0) return [[]];
  return members.flatMap((first) =>
    permutations(members.filter((member) => member !== first)).map((rest) => [first, ...rest]),
  );
}

/** Bounds of a member's share of all trials, as fractions, both allowed. */
export interface ShareBounds {
  low: number;
  high: number;
}

/** A judgement of shares with its false-alarm probability. */
export type ShareJudgement = Judgement & {
  /** See `shareFalseAlarm`. */
  falseAlarm: number;
};

/**
 * Whether every member's share of the trials lies within the bounds. Coarser than `uniform` and easier to explain;
 * its false-alarm probability follows from the sample size and the bounds, so look at it before choosing them:
 * 40 trials within 20 % and 80 % are red by chance in 4.2e-5 of all runs, not in 1e-6.
 * @throws {RangeError} on fewer than two members, no trial, counts that are no whole numbers, or bounds that do not
 *   enclose the fair share or that no count can leave
 */
export function shareWithin(
  counts: Readonly<Record<string, number>>,
  low: number,
  high: number,
): ShareJudgement {
  const members = Object.entries(counts);
  const trials = totalOf(Object.values(counts));
  const falseAlarm = shareFalseAlarm(trials, members.length, { low, high });
  const outside = members.filter(([, count]) => count / trials < low || count / trials > high);
  if (outside.length === 0) return { ok: true, falseAlarm };
  return {
    ok: false,
    expected: `each share within ${percent(low)} and ${percent(high)} of ${trials}`,
    seen: printTally(counts),
    detail: outside.map(([member, count]) => `${member} has ${percent(count / trials)}`).join(', '),
    falseAlarm,
  };
}

/**
 * The chance that, under uniform choice, some member's share leaves the bounds. Exact (binomial) for two members;
 * for more the sum over the members, which is an upper bound.
 * @throws {RangeError} as `shareWithin`
 */
export function shareFalseAlarm(trials: number, members: number, { low, high }: ShareBounds): number {
  requireSense(Number.isInteger(trials) && trials > 0, `${trials} trials`);
  requireSense(Number.isInteger(members) && members >= 2, `shares of ${members} members`);
  requireSense(
    low < 1 / members && high > 1 / members,
    `bounds ${low} and ${high} do not enclose 1/${members}`,
  );
  requireSense(low > 0 || high < 1, `no share can leave ${low} and ${high}`);

  // Counts up to `below` and from `above` on are outside. Start beside the boundary: low * trials may be rounded.
  let below = Math.ceil(low * trials);
  while (below / trials >= low) below -= 1;
  let above = Math.floor(high * trials);
  while (above / trials <= high) above += 1;

  if (members === 2) {
    // The other member has the rest, so a count is also outside when trials - count is.
    below = Math.max(below, trials - above);
    above = trials - below;
  }
  const one = binomialTail(trials, 1 / members, below, -1) + binomialTail(trials, 1 / members, above, 1);
  return Math.min(1, members === 2 ? one : members * one);
}

/**
 * The smallest sample for which `shareFalseAlarm` is at most `alpha`. Use exactly this size: counts are whole, so the
 * next larger sample may lie above alpha again.
 * @throws {RangeError} on bounds or members that `shareFalseAlarm` refuses, or an alpha that is no probability
 */
export function trialsForShare(members: number, bounds: ShareBounds, alpha: number = DEFAULT_ALPHA): number {
  requireSense(alpha > 0 && alpha < 1, `alpha ${alpha} is not a probability`);
  let trials = 1;
  while (shareFalseAlarm(trials, members, bounds) > alpha) trials += 1;
  return trials;
}

/** The chance to miss members that are chosen uniformly. */
export interface MissProbability {
  /** That one given member is never seen: (1 - 1/k)^n, exact. */
  given: number;
  /** That any member is never seen: the union bound k (1 - 1/k)^n, capped at 1; never too small. */
  any: number;
}

/**
 * The chance that a uniformly chosen member of `members` is never seen in `draws` independent draws.
 * @throws {RangeError} unless both are whole numbers, `members` positive and `draws` not negative
 */
export function missProbability(members: number, draws: number): MissProbability {
  requireSense(Number.isInteger(members) && members > 0, `${members} members`);
  requireSense(Number.isInteger(draws) && draws >= 0, `${draws} draws`);
  const given = (1 - 1 / members) ** draws;
  return { given, any: Math.min(1, members * given) };
}

function totalOf(counts: readonly number[]): number {
  requireSense(counts.length >= 2, `${counts.length} categories cannot be compared`);
  requireSense(
    counts.every((count) => Number.isInteger(count) && count >= 0),
    `not counts: ${counts.join(', ')}`,
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** P(X = from) + P(X = from + step) + ... for X binomial; stops where a term no longer changes the sum. */
function binomialTail(trials: number, p: number, from: number, step: 1 | -1): number {
  let sum = 0;
  for (let x = from; x >= 0 && x <= trials; x += step) {
    const term = Math.exp(
      logFactorial(trials) -
        logFactorial(x) -
        logFactorial(trials - x) +
        x * Math.log(p) +
        (trials - x) * Math.log1p(-p),
    );
    if (sum + term === sum) break;
    sum += term;
  }
  return sum;
}

const logFactorials = [0];

/** ln n!, summed once and kept: exact to about 1e-12 for every sample one could wait for. */
function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i += 1)
    logFactorials.push((logFactorials[i - 1] ?? 0) + Math.log(i));
  return logFactorials[n] ?? 0;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
