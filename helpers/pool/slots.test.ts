import assert from 'node:assert/strict';
import test from 'node:test';
import { defaultSlots } from './slots.ts';

const GiB = 1024 ** 3;

for (const [cores, free, env, slots] of [
  [2, 24, {}, 1],
  [1, 24, {}, 1],
  [8, 24, {}, 4],
  [16, 24, {}, 5],
  [16, 24, { LAB_MEMORY: '5G' }, 3],
  [16, 2, {}, 1],
  [16, 64, { LAB: 'docker' }, 1],
  [4, 24, { LAB_MEMORY: 'wrong' }, 2],
] as const) {
  test(`${cores} cores, ${free} GiB free, ${JSON.stringify(env)}: ${slots} labs`, () => {
    assert.equal(defaultSlots(cores, free * GiB, env), slots);
  });
}
