import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Cache } from './cache.ts';
import { versionsNow } from './renewal.ts';

const DAY = 86_400_000;

test('a suite is looked up once in each span of time, and by whom nothing was said, never', async (t) => {
  const root = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-renewal-'));
  t.after(() => fs.rm(root, { recursive: true, force: true }));
  const cache = await new Cache(root).open();
  let lookups = 0;
  const at = (day: number, everyMs = DAY, what = 'engine') =>
    versionsNow(
      cache,
      what,
      everyMs,
      async () => {
        lookups += 1;
        return { 'docker.io': `1.${lookups}` };
      },
      { now: day * DAY },
    );
  assert.equal(await at(20_000, 0), undefined);
  assert.equal(lookups, 0);
  assert.deepEqual(await at(20_000), { 'docker.io': '1.1' });
  assert.deepEqual(await at(20_000.9), { 'docker.io': '1.1' });
  assert.deepEqual(await at(20_001), { 'docker.io': '1.2' });
  assert.deepEqual(await at(20_001, DAY, 'kernel'), { 'docker.io': '1.3' });
  assert.deepEqual(await at(20_001.5), { 'docker.io': '1.2' });
});
