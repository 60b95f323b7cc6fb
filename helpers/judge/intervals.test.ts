import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fewestAtOnce } from './intervals.ts';

const span = { from: 0, until: 100 };

test('the fewest are there where one has ended and its successor has not begun', () => {
  const steady = { from: -10 };
  assert.equal(fewestAtOnce([steady, { from: -5, until: 20 }, { from: 30 }], span), 1);
  assert.equal(fewestAtOnce([steady, { from: -5, until: 20 }, { from: 10 }], span), 2);
  assert.equal(
    fewestAtOnce([{ from: -5, until: 20 }, { from: -5, until: 25 }, { from: 22 }, { from: 40 }], span),
    1,
  );
});

test('none at the beginning, or at all, is none', () => {
  assert.equal(fewestAtOnce([{ from: 10 }], span), 0);
  assert.equal(fewestAtOnce([], span), 0);
});

test('what happens outside the span does not count', () => {
  assert.equal(fewestAtOnce([{ from: -9 }, { from: -9, until: -1 }, { from: -9, until: 100 }], span), 2);
});

test('a span of nothing judges nothing', () => {
  assert.throws(() => fewestAtOnce([{ from: 0 }], { from: 5, until: 5 }), RangeError);
});
