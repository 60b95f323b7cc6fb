import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, bisect, LEAST_RATE, lowestRate, type Outcome, passesFor } from './search.ts';

/** A run of a search to its end against a world that answers, with the judgements in their order. */
function search(versions: string[], world: (version: string) => Outcome, confidence = 0.95) {
  const steps = bisect({ versions, confidence });
  const judged: { version: string; outcome: Outcome }[] = [];
  let step = steps.next('open');
  while (!step.done) {
    const { version, left } = step.value;
    assert.ok(left >= 1, `${left} judgements are left of ${version}`);
    const outcome = world(version);
    judged.push({ version, outcome });
    step = steps.next(outcome);
  }
  return { answer: step.value, judged };
}

const named = (count: number) => Array.from({ length: count }, (_, index) => `v${index}`);
const indexOf = (version: string) => Number(version.slice(1));
const firstBadOf = (answer: Answer) => (answer.outcome === 'found' ? answer.firstBad : answer.why);

/** Numbers of chance with a seed (mulberry32): the frequencies judged here are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A number of versions, and which of them is the first bad one. */
const truths = fc
  .integer({ min: 2, max: 64 })
  .chain((count) =>
    fc.record({ count: fc.constant(count), firstBad: fc.integer({ min: 1, max: count - 1 }) }),
  );

test('whatever breaks always is found, with at most ceil(log2 n) + 2 versions', () => {
  fc.assert(
    fc.property(truths, ({ count, firstBad }) => {
      const { answer, judged } = search(named(count), (version) =>
        indexOf(version) >= firstBad ? 'broken' : 'holds',
      );
      assert.ok(answer.outcome === 'found');
      assert.deepEqual(answer.candidates, [`v${firstBad}`]);
      assert.equal(answer.lastGood, `v${firstBad - 1}`);
      const distinct = new Set(judged.map(({ version }) => version)).size;
      assert.ok(distinct <= Math.ceil(Math.log2(count)) + 2, `${distinct} of ${count}`);
    }),
    { numRuns: 500 },
  );
});

test('32 versions take 7 boots, and some fifty judgements', () => {
  for (let firstBad = 1; firstBad < 32; firstBad++) {
    const { judged } = search(named(32), (version) => (indexOf(version) >= firstBad ? 'broken' : 'holds'));
    assert.ok(new Set(judged.map(({ version }) => version)).size <= 7);
    assert.ok(judged.length <= 65, `${judged.length}`);
  }
});

for (const rate of [1, 0.7, 0.4, LEAST_RATE]) {
  for (const confidence of [0.8, 0.95]) {
    test(`with a failure rate of ${rate} the answer is right in ${confidence} of all searches`, () => {
      const random = seeded(Math.round(1000 * rate + confidence));
      const searches = 1500;
      let right = 0;
      for (let i = 0; i < searches; i++) {
        const count = 2 + Math.floor(random() * 31);
        const firstBad = 1 + Math.floor(random() * (count - 1));
        const world = (version: string) =>
          indexOf(version) >= firstBad && random() < rate ? 'broken' : 'holds';
        const { answer } = search(named(count), world, confidence);
        if (firstBadOf(answer) === `v${firstBad}`) right += 1;
        // A wrong answer claims a later version at most, and never one that holds.
        else if (answer.outcome === 'found') assert.ok(indexOf(answer.firstBad) > firstBad);
      }
      assert.ok(right / searches >= confidence, `right in ${right / searches}`);
    });
  }
}

test('fed what it was told before, a search goes on to the same answer, wherever it was interrupted', () => {
  fc.assert(
    fc.property(
      truths,
      fc.double({ min: LEAST_RATE, max: 1, noNaN: true }),
      fc.integer(),
      (truth, rate, seed) => {
        const random = seeded(seed);
        const versions = named(truth.count);
        const world = (version: string): Outcome => {
          if (random() < 0.05) return 'open';
          return indexOf(version) >= truth.firstBad && random() < rate ? 'broken' : 'holds';
        };
        const { answer, judged } = search(versions, world);
        const steps = bisect({ versions, confidence: 0.95 });
        let step = steps.next('open');
        for (const { version, outcome } of judged) {
          assert.ok(!step.done && step.value.version === version);
          step = steps.next(outcome);
        }
        assert.deepEqual([step.done, step.value], [true, answer]);
      },
    ),
  );
});

test('versions that cannot be judged are neither good nor bad: the neighbours are, and the answer says what is left', () => {
  fc.assert(
    fc.property(truths, fc.array(fc.nat(63), { maxLength: 20 }), ({ count, firstBad }, dead) => {
      const unbootable = new Set(dead.filter((index) => index > 0 && index < count - 1));
      const world = (version: string) => {
        if (unbootable.has(indexOf(version))) return 'open';
        return indexOf(version) >= firstBad ? 'broken' : 'holds';
      };
      const { answer, judged } = search(named(count), world);
      assert.ok(answer.outcome === 'found');
      assert.ok(answer.candidates.includes(`v${firstBad}`));
      assert.ok(indexOf(answer.lastGood) < firstBad && indexOf(answer.firstBad) >= firstBad);
      assert.deepEqual(
        answer.candidates.slice(0, -1).filter((version) => !unbootable.has(indexOf(version))),
        [],
        'only what cannot be judged leaves a doubt',
      );
      const tries = judged.filter(({ version }) => unbootable.has(indexOf(version)));
      assert.equal(tries.length, 3 * new Set(tries.map(({ version }) => version)).size);
    }),
    { numRuns: 300 },
  );
});

test('one open judgement among others does no harm', () => {
  let asked = 0;
  const { answer } = search(named(16), (version) => {
    asked += 1;
    if (asked % 3 === 0) return 'open';
    return indexOf(version) >= 9 ? 'broken' : 'holds';
  });
  assert.equal(firstBadOf(answer), 'v9');
});

const NOTHING_FOUND: [
  name: string,
  world: (version: string, nth: number) => Outcome,
  outcome: string,
  why: RegExp,
][] = [
  ['no version breaks', () => 'holds', 'none', /0 times in \d+ at the newest version, v7: too seldom/],
  ['all versions break', () => 'broken', 'none', /breaks at the oldest version, v0, too/],
  [
    'the newest cannot be judged',
    (version) => (version === 'v7' ? 'open' : 'holds'),
    'open',
    /^v7 could not be judged/,
  ],
  [
    'the oldest cannot be judged',
    (version) => (version === 'v0' ? 'open' : 'broken'),
    'open',
    /^v0 could not be judged/,
  ],
  [
    'the newest breaks ever more rarely',
    (_, nth) => (nth < 5 ? 'broken' : 'holds'),
    'none',
    /broke 5 times in 150 .* too seldom/,
  ],
  [
    'the first bad version broke only once',
    (version, nth) => (version === 'v7' || (version === 'v3' && nth === 0) ? 'broken' : 'holds'),
    'none',
    /^v3 broke, and then held \d+ times in a row/,
  ],
  [
    'the oldest breaks when it is judged again',
    (version, nth) => (version === 'v0' ? (nth < 10 ? 'holds' : 'broken') : 'broken'),
    'none',
    /broke at the oldest version, v0, in the end/,
  ],
];
for (const [name, world, outcome, why] of NOTHING_FOUND) {
  test(`no answer when ${name}`, () => {
    const times = new Map<string, number>();
    const { answer } = search(named(8), (version) => {
      const nth = times.get(version) ?? 0;
      times.set(version, nth + 1);
      return world(version, nth);
    });
    assert.ok(answer.outcome !== 'found');
    assert.equal(answer.outcome, outcome, answer.why);
    assert.match(answer.why, why);
  });
}

test('a version taken for good by chance is bad when it breaks in the end, and the search goes on below it', () => {
  const times = new Map<string, number>();
  const { answer } = search(named(16), (version) => {
    const nth = times.get(version) ?? 0;
    times.set(version, nth + 1);
    // v9 keeps still until it is judged again as the last good one.
    if (version === 'v9' && nth < 7) return 'holds';
    return indexOf(version) >= 9 ? 'broken' : 'holds';
  });
  assert.equal(firstBadOf(answer), 'v9');
});

test('the bounds are the textbook ones', () => {
  // All of ten broke: the bound solves p^10 = risk.
  assert.ok(Math.abs(lowestRate({ broken: 10, judged: 10 }, 0.0125) - 0.0125 ** 0.1) < 1e-6);
  assert.equal(lowestRate({ broken: 0, judged: 10 }, 0.05), 0);
  // Rate 20 %, 1 % error: 21 judgements.
  assert.equal(passesFor(0.2, 0.01), 21);
  assert.equal(passesFor(1, 0.01), 1);
});
