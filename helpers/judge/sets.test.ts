import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pairs, sameMembers, sameOnEveryNode } from './sets.ts';

const members = fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 8 });
const shuffled = (values: string[]) =>
  fc.shuffledSubarray(values, { minLength: values.length, maxLength: values.length });
const withOrder = members.chain((expected) =>
  fc.record({ expected: fc.constant(expected), seen: shuffled(expected) }),
);

test('the same members in any order pass', () => {
  fc.assert(
    fc.property(withOrder, ({ expected, seen }) => {
      assert.deepEqual(sameMembers(expected, seen), { ok: true });
    }),
  );
});

test('a missing member is named, and nothing else', () => {
  fc.assert(
    fc.property(withOrder, ({ expected, seen: [gone = '', ...seen] }) => {
      const judgement = sameMembers(expected, seen);
      assert.ok(!judgement.ok);
      assert.equal(judgement.detail, `missing ${gone}`);
    }),
  );
});

test('an unexpected member is named, and nothing else', () => {
  fc.assert(
    fc.property(withOrder, ({ expected: [stranger = '', ...expected], seen }) => {
      const judgement = sameMembers(expected, seen);
      assert.ok(!judgement.ok);
      assert.equal(judgement.detail, `unexpected ${stranger}`);
    }),
  );
});

test('a doubled member is named once, however often it comes', () => {
  fc.assert(
    fc.property(withOrder, fc.integer({ min: 1, max: 3 }), ({ expected, seen }, times) => {
      const [twin = ''] = seen;
      const judgement = sameMembers(expected, [...seen, ...Array<string>(times).fill(twin)]);
      assert.ok(!judgement.ok);
      assert.equal(judgement.detail, `duplicated ${twin}`);
    }),
  );
});

test('one member for another is no match although the sizes are equal', () => {
  assert.deepEqual(sameMembers(['10.0.0.3', '10.0.0.4'], ['10.0.0.3', '10.0.0.5']), {
    ok: false,
    expected: '10.0.0.3, 10.0.0.4',
    seen: '10.0.0.3, 10.0.0.5',
    detail: 'missing 10.0.0.4; unexpected 10.0.0.5',
  });
});

test('nothing expected and nothing seen is a match', () => {
  assert.deepEqual(sameMembers([], []), { ok: true });
  assert.equal(sameMembers([], ['10.0.0.3']).ok, false);
});

test('nodes that all agree pass', () => {
  assert.deepEqual(sameOnEveryNode(['a', 'b'], { m1: ['a', 'b'], w1: ['b', 'a'] }), { ok: true });
});

test('nodes that differ are named, each with its difference, and the others are not', () => {
  assert.deepEqual(sameOnEveryNode(['a', 'b'], { m1: ['a', 'b'], w1: ['a'], w2: ['a', 'b', 'b', 'c'] }), {
    ok: false,
    expected: 'a, b on each of m1, w1, w2',
    seen: 'w1: a; w2: a, b, b, c',
    detail: 'w1: missing b; w2: unexpected c; duplicated b',
  });
});

test('nodes that agree with each other but not with what is expected fail', () => {
  assert.equal(sameOnEveryNode(['a'], { m1: ['b'], w1: ['b'] }).ok, false);
});

test('maps are compared by entry', () => {
  const expected = pairs({ '10.0.0.2': 257, '10.0.0.7': 258 });
  const swapped = sameOnEveryNode(expected, { m1: pairs({ '10.0.0.2': 258, '10.0.0.7': 257 }) });
  assert.ok(!swapped.ok);
  assert.match(swapped.detail ?? '', /missing 10\.0\.0\.2=257, 10\.0\.0\.7=258; unexpected/);
});

test('judgements survive storage', () => {
  const judgement = sameMembers(['a'], []);
  assert.deepEqual(JSON.parse(JSON.stringify(judgement)), judgement);
});

test('questions without sense are refused, not passed', () => {
  assert.throws(() => sameOnEveryNode([], {}), RangeError);
  assert.throws(() => sameMembers(['a', 'a'], ['a']), RangeError);
});

test('what is the same reads the same, in whatever order it was listed', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(['d', 'a', 'c', 'b', 'e'], { minLength: 5 }), (seen) => {
      const judgement = sameMembers(['c', 'a', 'missing'], seen);
      assert.equal(!judgement.ok && judgement.seen, 'c, a, b, d, e');
    }),
  );
});
