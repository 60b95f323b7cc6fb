import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { failedShare, median, percentile } from './middle.ts';

const numbers = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });

test('half of all numbers are no larger than their median, and half no smaller', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const middle = median(values);
      assert.ok(values.filter((value) => value <= middle).length * 2 >= values.length);
      assert.ok(values.filter((value) => value >= middle).length * 2 >= values.length);
    }),
  );
});

test('a percentile lies between the smallest and the largest, and grows with its share', () => {
  fc.assert(
    fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const found = percentile(values, share);
      assert.ok(found >= Math.min(...values) - 1e-6 && found <= Math.max(...values) + 1e-6);
      assert.ok(percentile(values, 1) >= found - 1e-6);
    }),
  );
  assert.equal(percentile([10, 20, 30, 40, 50], 0.95), 50);
  assert.equal(percentile([50, 10, 40, 20, 30], 0.5), 30);
});

test('a request fails by an error or by its status', () => {
  const requests = [{}, { status: 200 }, { status: 503 }, { error: 'timeout' }];
  assert.equal(failedShare(requests), 0.5);
  assert.equal(failedShare([{}]), 0);
});

test('of nothing there is nothing to tell', () => {
  assert.throws(() => median([]), RangeError);
  assert.throws(() => percentile([1], 2), RangeError);
  assert.throws(() => failedShare([]), RangeError);
});
