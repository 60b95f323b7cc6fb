import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { comesAndGoesOnce } from './presence.ts';

test('whatever is there in one stretch passes, wherever that begins and ends', () => {
  const stretches = fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 6 });
  fc.assert(
    fc.property(stretches, (all) => {
      const moments = Array.from({ length: 21 }, (_, at) =>
        all.flatMap(([a, b], i) => (at >= Math.min(a, b) && at <= Math.max(a, b) ? [`10.0.1.${i}`] : [])),
      );
      assert.deepEqual(comesAndGoesOnce(moments), { ok: true });
    }),
  );
});

test('what comes back is named, with the gap', () => {
  const moments = [['a', 'b'], ['a'], ['a', 'b'], []];
  assert.deepEqual(comesAndGoesOnce(moments), {
    ok: false,
    expected: 'each there in one unbroken stretch',
    seen: 'b missing from moment 1 to 2',
  });
});

test('too few moments are refused, not passed', () => {
  assert.throws(() => comesAndGoesOnce([['a'], []]), RangeError);
});
