import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Stopwatch } from './stopwatch.ts';

test('nested and parallel activities are booked once, under the outer one', async () => {
  const time = new Stopwatch();
  const started = performance.now();
  await time.spend('settling', () =>
    Promise.all([time.spend('observing', () => pause(30)), time.spend('observing', () => pause(30))]),
  );
  const wall = performance.now() - started;
  const spent = time.take();
  assert.equal(spent.observing, 0);
  assert(spent.settling >= 29 && spent.settling <= wall);
});

test('time is booked when something fails, and taken only once', async () => {
  const time = new Stopwatch();
  await assert.rejects(
    time.spend('lab', async () => {
      await pause(10);
      throw new Error('broken');
    }),
    /broken/,
  );
  assert(time.take().lab >= 9);
  assert.equal(time.take().lab, 0);
});
