import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { tally } from './tally.ts';
import { draw, seeded } from './testing/draws.ts';
import {
  missProbability,
  permutationHistogram,
  shareFalseAlarm,
  shareWithin,
  trialsForShare,
  uniform,
} from './uniform.ts';

/** The part of `runs` samples that `uniform` finds red. */
function redRate(
  seed: number,
  probabilities: readonly number[],
  trials: number,
  alpha: number,
  runs: number,
): number {
  const random = seeded(seed);
  let red = 0;
  for (let run = 0; run < runs; run += 1)
    if (!uniform(draw(random, probabilities, trials), alpha).ok) red += 1;
  return red / runs;
}

const fair = (categories: number) => Array<number>(categories).fill(1 / categories);
const SKEWED = [0.55, 0.45];
/** Six orders of three members, uniform but for 10 % of the answers, which all come in the first order. */
const STUCK = [0.1 + 0.9 / 6, ...Array<number>(5).fill(0.9 / 6)];

/**
 * The exact probability that `uniform` is red under uniformity: sums the multinomial distribution over all counts
 * whose sum of squares stays below the limit, one category after the other.
 */
function exactFalseAlarm(trials: number, categories: number, alpha: number): number {
  const most = ((limitOf(categories - 1, alpha) + trials) * trials) / categories;
  // Weights 1/n!, scaled so that they neither overflow nor vanish.
  const fair = trials / categories;
  const weights = [1];
  for (let n = 1; n <= trials; n += 1) weights.push(((weights[n - 1] ?? 0) * fair) / n);

  // Trials used so far -> sum of squares -> weight.
  let states = [new Map([[0, 1]])];
  for (let category = 1; category <= categories; category += 1) {
    const next = Array.from({ length: trials + 1 }, () => new Map<number, number>());
    for (const [used, bySquares] of states.entries())
      for (const [squares, weight] of bySquares)
        for (let count = category === categories ? trials - used : 0; used + count <= trials; count += 1) {
          const sum = squares + count * count;
          if (sum > most) break;
          next[used + count]?.set(sum, (next[used + count]?.get(sum) ?? 0) + weight * (weights[count] ?? 0));
        }
    states = next;
  }
  const green = [...(states[trials]?.values() ?? [])].reduce((sum, weight) => sum + weight, 0);
  // On this scale all counts together weigh trials^trials / trials!.
  let scale = 1;
  for (let n = 1; n <= trials; n += 1) scale *= n / trials;
  return 1 - green * scale;
}

/** Chi-square limits from tables, so that the test does not lean on what it tests. */
function limitOf(df: number, alpha: number): number {
  const limits: Record<string, number> = {
    '1 0.000001': 23.928,
    '2 0.000001': 27.631,
    '5 0.000001': 35.888,
    '9 0.000001': 44.811,
    '5 0.01': 15.086,
  };
  const limit = limits[`${df} ${alpha}`];
  assert.ok(limit);
  return limit;
}

test('p is that of the chi-square distribution', () => {
  // With two degrees of freedom the upper tail is exp(-x / 2).
  const { statistic, df, p } = uniform({ a: 40, b: 35, c: 15 });
  assert.equal(statistic, (10 ** 2 + 5 ** 2 + 15 ** 2) / 30);
  assert.equal(df, 2);
  assert.ok(Math.abs(p - Math.exp(-statistic / 2)) < 1e-12);
});

test('red begins at the limit of the catalogue: 23.93 for two categories', () => {
  // 1,000 trials: chi-square is (2 d)^2 / 1000 for counts 500 + d and 500 - d.
  assert.equal(uniform({ a: 577, b: 423 }).ok, true); // 23.72
  assert.equal(uniform({ a: 578, b: 422 }).ok, false); // 24.34
});

test('equal counts pass and one category taking all fails, for any number of categories', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 24 }), fc.integer({ min: 15, max: 1000 }), (categories, each) => {
      const names = Array.from({ length: categories }, (_, n) => `c${n}`);
      const equal = Object.fromEntries(names.map((name) => [name, each]));
      const lonely = Object.fromEntries(names.map((name, n) => [name, n === 0 ? categories * each : 0]));
      assert.equal(uniform(equal).ok, true);
      assert.equal(uniform(lonely).ok, false);
    }),
  );
});

test('a category never seen is named', () => {
  const judgement = uniform({ a: 60, b: 60, c: 0 });
  assert.ok(!judgement.ok);
  assert.match(judgement.detail ?? '', /; never seen: c$/);
  assert.deepEqual(JSON.parse(JSON.stringify(judgement)), judgement);
});

test('false alarms come as often as alpha says: 20,000 fair samples of 120 answers, alpha 1 %', () => {
  const exact = exactFalseAlarm(120, 6, 0.01);
  assert.ok(Math.abs(exact - 0.01) < 0.001, `exact ${exact}`);
  // 5 standard deviations of the measured rate: 5 * sqrt(0.01 * 0.99 / 20000) = 0.0035.
  const measured = redRate(1, fair(6), 120, 0.01, 20_000);
  assert.ok(Math.abs(measured - exact) < 0.0035, `measured ${measured}`);
});

test('at alpha 1e-6 the exact false-alarm probability stays below 3e-6, for two categories below 1.2e-6', () => {
  for (let trials = 24; trials <= 400; trials += 1) {
    const exact = exactFalseAlarm(trials, 2, 1e-6);
    assert.ok(exact < 1.2e-6, `2 categories, ${trials} trials: ${exact}`);
  }
  for (const [categories, samples] of [
    [3, [30, 40, 60, 128, 200]],
    [6, [60, 63, 120, 128]],
    [10, [100, 101]],
  ] as const)
    for (const trials of samples) {
      const exact = exactFalseAlarm(trials, categories, 1e-6);
      assert.ok(exact < 3e-6, `${categories} categories, ${trials} trials: ${exact}`);
    }
});

for (const { effect, probabilities, alpha, trials, atLeast, atMost } of [
  {
    effect: '55 % to one of two members',
    probabilities: SKEWED,
    alpha: 1e-6,
    trials: 5300,
    atLeast: 0.98,
    atMost: 1,
  },
  {
    effect: '55 % to one of two members',
    probabilities: SKEWED,
    alpha: 0.01,
    trials: 2500,
    atLeast: 0.98,
    atMost: 1,
  },
  {
    effect: 'an order stuck 10 % of the time',
    probabilities: STUCK,
    alpha: 1e-6,
    trials: 1500,
    atLeast: 0.98,
    atMost: 1,
  },
  {
    effect: 'an order stuck 10 % of the time',
    probabilities: STUCK,
    alpha: 0.01,
    trials: 750,
    atLeast: 0.98,
    atMost: 1,
  },
  {
    effect: 'an order stuck 10 % of the time',
    probabilities: STUCK,
    alpha: 1e-6,
    trials: 128,
    atLeast: 0,
    atMost: 0.02,
  },
])
  test(`power against ${effect}: ${trials} trials at alpha ${alpha} are red in ${atLeast} to ${atMost}`, () => {
    const rate = redRate(2, probabilities, trials, alpha, 1000);
    assert.ok(rate >= atLeast && rate <= atMost, `measured ${rate}`);
  });

test('every order of the members is counted, also those never answered', () => {
  const histogram = permutationHistogram([
    ['b', 'a', 'c'],
    ['a', 'b', 'c'],
    ['b', 'a', 'c'],
  ]);
  assert.deepEqual(histogram, { 'b a c': 2, 'b c a': 0, 'a b c': 1, 'a c b': 0, 'c b a': 0, 'c a b': 0 });
});

test('histograms count every answer once', () => {
  const answers = fc.uniqueArray(fc.ipV4(), { minLength: 2, maxLength: 5 }).chain((members) =>
    fc.array(fc.shuffledSubarray(members, { minLength: members.length, maxLength: members.length }), {
      minLength: 1,
    }),
  );
  fc.assert(
    fc.property(answers, (all) => {
      const histogram = permutationHistogram(all);
      assert.deepEqual(
        histogram,
        tally(
          Object.keys(histogram),
          all.map((answer) => answer.join(' ')),
        ),
      );
      const orders = [1, 1, 2, 6, 24, 120][all[0]?.length ?? 0];
      assert.equal(Object.keys(histogram).length, orders);
    }),
  );
});

/** C(n, k), exact. */
function choose(n: number, k: number): bigint {
  let result = 1n;
  for (let i = 1n; i <= BigInt(k); i += 1n) result = (result * (BigInt(n) - i + 1n)) / i;
  return result;
}

test('the chance to leave 20 % to 80 % in 40 trials of a coin is 4.2e-5, exactly', () => {
  let outside = 0n;
  for (let heads = 0; heads <= 40; heads += 1) if (heads < 8 || heads > 32) outside += choose(40, heads);
  const exact = Number(outside) / 2 ** 40;
  const stated = shareFalseAlarm(40, 2, { low: 0.2, high: 0.8 });
  assert.ok(Math.abs(stated / exact - 1) < 1e-10, `${stated} for ${exact}`);
  assert.ok(stated > 4.2e-5 && stated < 4.3e-5);
});

test('for two members the chance is exact, also with lopsided bounds; for three it is an upper bound', () => {
  const bounds = fc.record({
    low: fc.constantFrom(0, 0.1, 0.2, 0.3),
    high: fc.constantFrom(0.55, 0.6, 0.8, 0.9),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 24 }), bounds, (trials, { low, high }) => {
      const out = (count: number) => count / trials < low || count / trials > high;
      let two = 0;
      let three = 0;
      for (let a = 0; a <= trials; a += 1) {
        if (out(a) || out(trials - a)) two += Number(choose(trials, a)) / 2 ** trials;
        for (let b = 0; a + b <= trials; b += 1)
          if (out(a) || out(b) || out(trials - a - b))
            three += Number(choose(trials, a) * choose(trials - a, b)) / 3 ** trials;
      }
      assert.ok(Math.abs(shareFalseAlarm(trials, 2, { low, high }) - two) < 1e-9);
      const bound = shareFalseAlarm(trials, 3, { low, high });
      assert.ok(bound >= three - 1e-9 && bound <= 3 * three + 1e-9, `${bound} for ${three}`);
    }),
  );
});

test('shares are red exactly when one leaves the bounds, which themselves are allowed', () => {
  assert.deepEqual(shareWithin({ a: 8, b: 32 }, 0.2, 0.8), {
    ok: true,
    falseAlarm: shareFalseAlarm(40, 2, { low: 0.2, high: 0.8 }),
  });
  const judgement = shareWithin({ a: 7, b: 33 }, 0.2, 0.8);
  assert.ok(!judgement.ok);
  assert.equal(judgement.detail, 'a has 17.5 %, b has 82.5 %');
});

test('shares leave the bounds as often as stated: 20,000 fair samples', () => {
  const random = seeded(3);
  const stated = shareFalseAlarm(40, 2, { low: 0.3, high: 0.7 });
  let red = 0;
  for (let run = 0; run < 20_000; run += 1)
    if (!shareWithin(draw(random, fair(2), 40), 0.3, 0.7).ok) red += 1;
  // Stated: 0.0064; 5 standard deviations of the measured rate are 0.0028.
  assert.ok(Math.abs(red / 20_000 - stated) < 0.0028, `measured ${red / 20_000}, stated ${stated}`);
});

test('a sample widened for alpha is the smallest that keeps it', () => {
  assert.equal(trialsForShare(2, { low: 0.2, high: 0.8 }), 60);
  for (const [members, low, high, alpha] of [
    [2, 0.2, 0.8, 1e-6],
    [3, 0.1, 0.6, 1e-3],
    [4, 0, 0.5, 1e-4],
  ] as const) {
    const trials = trialsForShare(members, { low, high }, alpha);
    assert.ok(shareFalseAlarm(trials, members, { low, high }) <= alpha);
    for (let fewer = 1; fewer < trials; fewer += 1)
      assert.ok(shareFalseAlarm(fewer, members, { low, high }) > alpha, `${fewer} trials suffice`);
  }
});

test('the chance to miss a member', () => {
  assert.deepEqual(missProbability(2, 3), { given: 1 / 8, any: 1 / 4 });
  assert.deepEqual(missProbability(1, 5), { given: 0, any: 0 });
  assert.deepEqual(missProbability(3, 0), { given: 1, any: 1 });
  const random = seeded(4);
  let missedFirst = 0;
  let missedAny = 0;
  for (let run = 0; run < 20_000; run += 1) {
    const counts = Object.values(draw(random, fair(6), 20));
    if (counts[0] === 0) missedFirst += 1;
    if (counts.includes(0)) missedAny += 1;
  }
  const { given, any } = missProbability(6, 20);
  assert.ok(
    Math.abs(missedFirst / 20_000 - given) < 0.006,
    `measured ${missedFirst / 20_000}, stated ${given}`,
  );
  // The union bound is never too small, and here at most a tenth too large.
  assert.ok(
    missedAny / 20_000 < any && missedAny / 20_000 > 0.9 * any,
    `measured ${missedAny / 20_000}, bound ${any}`,
  );
});

for (const [what, ask] of [
  ['fewer than ten trials per category', () => uniform({ a: 15, b: 14, c: 0 })],
  ['so few trials that nothing could be red', () => uniform({ a: 23, b: 0 })],
  ['one category', () => uniform({ a: 100 })],
  ['half a count', () => uniform({ a: 50.5, b: 49.5 })],
  ['a negative count', () => uniform({ a: 101, b: -1 })],
  ['an alpha of 0', () => uniform({ a: 50, b: 50 }, 0)],
  ['an alpha of 1', () => uniform({ a: 50, b: 50 }, 1)],
  ['no answer', () => permutationHistogram([])],
  ['answers with one member', () => permutationHistogram([['a']])],
  [
    'answers of different members',
    () =>
      permutationHistogram([
        ['a', 'b'],
        ['a', 'c'],
      ]),
  ],
  ['answers that double a member', () => permutationHistogram([['a', 'a']])],
  ['the 5,040 orders of seven members', () => permutationHistogram([[...'abcdefg']])],
  ['shares of nothing', () => shareWithin({ a: 0, b: 0 }, 0.2, 0.8)],
  ['the share of one member', () => shareWithin({ a: 40 }, 0.2, 0.8)],
  ['bounds beside the fair share', () => shareWithin({ a: 20, b: 20 }, 0.6, 0.8)],
  ['bounds no share can leave', () => shareWithin({ a: 20, b: 20 }, 0, 1)],
  ['half a trial', () => shareFalseAlarm(0.5, 2, { low: 0.2, high: 0.8 })],
  ['bounds that no sample can satisfy', () => trialsForShare(2, { low: 0.5, high: 0.8 })],
  ['a sample for alpha 0', () => trialsForShare(2, { low: 0.2, high: 0.8 }, 0)],
  ['draws from nothing', () => missProbability(0, 3)],
] as const)
  test(`${what}: refused, not passed`, () => {
    assert.throws(ask, RangeError);
  });
