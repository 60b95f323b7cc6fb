import assert from 'node:assert/strict';
import test from 'node:test';
import { chosen, walk } from './walk.ts';

const DEEDS = ['scale', 'update', 'kill'] as const;

test('a seed replays its walk, and another one walks elsewhere', () => {
  assert.deepEqual(walk(DEEDS, 7, 20), walk(DEEDS, 7, 20));
  assert.notDeepEqual(walk(DEEDS, 7, 20), walk(DEEDS, 8, 20));
});

test('a longer walk begins like a shorter one', () => {
  assert.deepEqual(walk(DEEDS, 7, 20).slice(0, 5), walk(DEEDS, 7, 5));
});

test('every round does each deed once', () => {
  const done = walk(DEEDS, 7, 9).map(({ deed }) => deed);
  for (const round of [0, 3, 6])
    assert.deepEqual(done.slice(round, round + 3).toSorted(), [...DEEDS].toSorted());
});

test('a number chooses one of the things there are', () => {
  assert.equal(chosen(['a', 'b', 'c'], 4), 'b');
  assert.throws(() => chosen([], 4), RangeError);
});
