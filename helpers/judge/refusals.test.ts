import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiAnswer, acceptedBy, refusedAs } from './refusals.ts';

const taken: ApiAnswer = {
  accepted: false,
  status: 400,
  reason: "port '80' is already in use by service 'a'",
};

test('a refusal counts when its status is due and its reason tells all that it must', () => {
  assert.ok(refusedAs({ status: 400, tells: ['Already in use', /service 'a'/] }, taken).ok);
  assert.ok(refusedAs({ status: [409, 400], tells: ['80'] }, taken).ok);
});

test('what was accepted was not refused', () => {
  const judgement = refusedAs({ status: 400, tells: ['in use'] }, { accepted: true });
  assert.ok(!judgement.ok);
  assert.equal(judgement.seen, 'the request accepted');
});

test('another status, or a reason that tells something else, is not the refusal that is due', () => {
  assert.ok(!refusedAs({ status: 500, tells: ['in use'] }, taken).ok);
  const judgement = refusedAs({ status: 400, tells: ['in use', "service 'b'"] }, taken);
  assert.ok(!judgement.ok);
  assert.equal(judgement.detail, 'not told: "service \'b\'"');
});

test('a refusal that anything would satisfy is no question', () => {
  assert.throws(() => refusedAs({ status: 400, tells: [] }, taken), RangeError);
  assert.throws(() => refusedAs({ status: 201, tells: ['x'] }, taken), RangeError);
  assert.throws(() => refusedAs({ status: [], tells: ['x'] }, taken), RangeError);
});

test('acceptance is told apart from any refusal', () => {
  assert.ok(acceptedBy({ accepted: true }).ok);
  const judgement = acceptedBy(taken);
  assert.ok(!judgement.ok);
  assert.match(judgement.seen, /^400 port/);
});
