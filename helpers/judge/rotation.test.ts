import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Judgement } from './judgement.ts';
import { evenCounts, strictRotation } from './rotation.ts';

/** A rotation that enters its order anywhere and ends anywhere, with at least two rounds. */
const rotation = fc
  .record({
    order: fc.uniqueArray(fc.ipV4(), { minLength: 2, maxLength: 6 }),
    start: fc.nat(),
    rounds: fc.integer({ min: 2, max: 5 }),
    extra: fc.nat(),
  })
  .map(({ order, start, rounds, extra }) => ({
    members: order.toSorted(),
    answers: Array.from(
      { length: order.length * rounds + (extra % order.length) },
      (_, at) => order[(start + at) % order.length] ?? '',
    ),
  }));

function detailOf(judgement: Judgement): string {
  assert.ok(!judgement.ok);
  return judgement.detail ?? '';
}

test('every rotation passes, whatever its order, start and end', () => {
  fc.assert(
    fc.property(rotation, ({ members, answers }) => {
      assert.deepEqual(strictRotation(answers, members), { ok: true });
      assert.deepEqual(evenCounts(answers, members), { ok: true });
    }),
  );
});

test('a repeated answer breaks the rotation at that answer', () => {
  fc.assert(
    fc.property(rotation, fc.nat(), ({ members, answers }, pick) => {
      const at = 1 + (pick % (answers.length - 1));
      const broken = answers.with(at, answers[at - 1] ?? '');
      assert.match(
        detailOf(strictRotation(broken, members)),
        new RegExp(`^answer ${at + 1} of ${answers.length} `),
      );
    }),
  );
});

test('a skipped turn breaks the rotation', () => {
  fc.assert(
    fc.property(rotation, fc.nat(), ({ members, answers }, pick) => {
      // Without the first or the last answer it would still be a rotation.
      const at = 1 + (pick % (answers.length - 2));
      const next = answers.at(-members.length) ?? '';
      assert.equal(strictRotation([...answers.toSpliced(at, 1), next], members).ok, false);
    }),
  );
});

test('another order in the second round breaks the rotation although counts stay even', () => {
  const answers = ['a', 'b', 'c', 'a', 'c', 'b'];
  assert.deepEqual(evenCounts(answers, ['a', 'b', 'c']), { ok: true });
  assert.deepEqual(strictRotation(answers, ['a', 'b', 'c']), {
    ok: false,
    expected: 'rotation over a, b, c',
    seen: 'a 2, b 2, c 2',
    detail: 'answer 5 of 6 was c after b, c, a; due was b',
  });
});

test('a stranger breaks rotation and counts', () => {
  fc.assert(
    fc.property(rotation, fc.nat(), ({ members, answers }, pick) => {
      const at = pick % answers.length;
      const broken = answers.with(at, 'stranger');
      assert.match(
        detailOf(strictRotation(broken, members)),
        new RegExp(`^answer ${at + 1} of .* was stranger`),
      );
      assert.equal(detailOf(evenCounts(broken, members)), 'unexpected stranger');
    }),
  );
});

test('a rotation that leaves a member out breaks, and the member due is named', () => {
  const judgement = strictRotation(['a', 'b', 'a', 'b', 'a', 'b'], ['a', 'b', 'c']);
  assert.equal(detailOf(judgement), 'answer 3 of 6 was a after a, b; due was c');
});

test('counts may differ by one and not by two', () => {
  assert.deepEqual(evenCounts(['a', 'a', 'b'], ['a', 'b']), { ok: true });
  assert.equal(detailOf(evenCounts(['a', 'a', 'b', 'a'], ['a', 'b'])), 'counts differ by 2');
  assert.equal(detailOf(evenCounts(['a', 'a', 'b', 'b'], ['a', 'b', 'c'])), 'counts differ by 2');
});

test('one member rotates alone', () => {
  assert.deepEqual(strictRotation(['a', 'a', 'a'], ['a']), { ok: true });
  assert.equal(strictRotation(['a', 'b'], ['a']).ok, false);
});

test('questions without sense are refused, not passed', () => {
  assert.throws(() => strictRotation(['a', 'b', 'a'], ['a', 'b']), RangeError);
  assert.throws(() => strictRotation(['a', 'a'], ['a', 'a']), RangeError);
  assert.throws(() => strictRotation([], []), RangeError);
  assert.throws(() => evenCounts(['a'], ['a', 'b']), RangeError);
  assert.throws(() => evenCounts(['a'], []), RangeError);
});
