import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { commonShift, FEWEST, farAbove } from './shift.ts';

/** Ratios as noisy runs on one machine show them: logarithms with a deviation of 0.3, times a true factor. */
function noisy(random: () => number, count: number, factor: number): number[] {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: count }, () => factor * Math.exp(0.3 * normal()));
}

/** A small generator with a seed (mulberry32), so that a frequency judged here is the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How often of 1000 draws the interval holds the truth. */
function coverage(truth: number, draw: () => { low: number; high: number } | undefined): number {
  const holds = () => {
    const interval = draw();
    return interval !== undefined && interval.low <= truth && truth <= interval.high;
  };
  return Array.from({ length: 1000 }, holds).filter(Boolean).length / 1000;
}

for (const count of [FEWEST, 12, 40]) {
  test(`the interval of ${count} pairs holds the true factor as often as it says`, () => {
    const random = seeded(count);
    const seen = coverage(1.3, () => commonShift(noisy(random, count, 1.3), 0.95));
    // Three standard errors of 1000 draws are 0.02; ranks are whole numbers, so a small sample may be surer than asked.
    assert.ok(seen > 0.93 && seen < 0.99, `seen ${seen}`);
  });
}

const ratios = fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), {
  minLength: FEWEST,
  maxLength: 40,
});

test('comparing the other way round gives the inverse', () => {
  fc.assert(
    fc.property(ratios, (forth) => {
      const there = commonShift(forth, 0.95);
      const back = commonShift(
        forth.map((ratio) => 1 / ratio),
        0.95,
      );
      assert.ok(there && back);
      for (const [one, other] of [
        [there.factor, back.factor],
        [there.low, back.high],
        [there.high, back.low],
      ] as const)
        assert.ok(Math.abs(one * other - 1) < 1e-9);
      assert.ok(there.low <= there.factor * (1 + 1e-9) && there.factor <= there.high * (1 + 1e-9));
    }),
  );
});

test('a factor common to all moves the estimate by just that factor', () => {
  fc.assert(
    fc.property(ratios, fc.double({ min: 0.1, max: 10, noNaN: true }), (some, factor) => {
      const [before, after] = [some, some.map((ratio) => ratio * factor)].map((list) =>
        commonShift(list, 0.95),
      );
      assert.ok(before && after);
      assert.ok(Math.abs(after.factor / (before.factor * factor) - 1) < 1e-9);
    }),
  );
});

test('too few ratios give no interval', () => {
  assert.equal(commonShift(Array(FEWEST - 1).fill(1), 0.95), undefined);
});

test('one ratio far above the others is named, and noise is not', () => {
  const noise = noisy(seeded(3), 60, 1);
  assert.deepEqual(
    farAbove(noise, (ratio) => ratio),
    [],
  );
  assert.deepEqual(
    farAbove([...noise, 20, 10], (ratio) => ratio),
    [20, 10],
  );
});
