import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allAnswered } from './answers.ts';

const answered = { at: 1000, ms: 3, to: '10.0.0.2:80', status: 200 };
const refused = { at: 3500, ms: 1, to: '10.0.0.2:80', error: 'refused', phase: 'connect' };

test('every request has to be answered', () => {
  assert.deepEqual(allAnswered([answered, answered], 2), { ok: true });
  assert.deepEqual(allAnswered([{ at: 1, ms: 2, to: '10.0.0.2:9000' }], 1), { ok: true });
});

test('one failure among many is told, with its time', () => {
  assert.deepEqual(allAnswered([answered, refused, answered], 3), {
    ok: false,
    expected: 'all of 3 requests answered',
    seen: '1 failed',
    detail: '2.5 s after the first: 10.0.0.2:80 refused in connect after 1 ms',
  });
});

test('an answer that is none counts as a failure', () => {
  const judgement = allAnswered([{ ...answered, status: 503 }], 1);
  assert.equal(!judgement.ok && judgement.detail, '0.0 s after the first: 10.0.0.2:80 status 503 after 3 ms');
});

test('too few requests judge nothing', () => {
  assert.throws(() => allAnswered([answered], 2), RangeError);
  assert.throws(() => allAnswered([], 0), RangeError);
});
