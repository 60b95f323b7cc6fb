import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meanwhile, type Ongoing, together } from './meanwhile.ts';

/** Tells when it begins and ends. */
const told =
  (log: string[], name: string): Ongoing<string> =>
  async () => {
    log.push(`${name} begins`);
    return async () => {
      log.push(`${name} ends`);
      return `seen by ${name}`;
    };
  };

test('everything is under way before the action begins, and ends after it', async () => {
  const log: string[] = [];
  const kept: unknown[] = [];
  const seen = await meanwhile(
    { a: told(log, 'a'), b: told(log, 'b') },
    async () => log.push('action'),
    async (all) => {
      kept.push(all);
    },
  );
  assert.deepEqual(log, ['a begins', 'b begins', 'action', 'a ends', 'b ends']);
  assert.deepEqual(seen, { a: 'seen by a', b: 'seen by b' });
  assert.deepEqual(kept, [seen]);
});

test('what was seen is kept when the action fails, and its error is what is thrown', async () => {
  const log: string[] = [];
  const kept: unknown[] = [];
  const failing = meanwhile(
    { a: told(log, 'a') },
    async () => {
      throw new Error('the action failed');
    },
    async (all) => {
      kept.push(all);
    },
  );
  await assert.rejects(failing, /the action failed/);
  assert.deepEqual(log, ['a begins', 'a ends']);
  assert.deepEqual(kept, [{ a: 'seen by a' }]);
});

test('an observer that breaks is told, but not in place of the action that failed', async () => {
  const broken: Ongoing<string> = async () => async () => {
    throw new Error('the observer broke');
  };
  const keep = async () => {};
  await assert.rejects(
    meanwhile({ broken }, async () => {}, keep),
    /the observer broke/,
  );
  const both = meanwhile(
    { broken },
    async () => {
      throw new Error('the action failed');
    },
    keep,
  );
  await assert.rejects(both, /the action failed\nwhat went on meanwhile was lost: the observer broke/);
});

test('several things go on as one', async () => {
  const log: string[] = [];
  const end = await together({ a: told(log, 'a'), b: told(log, 'b') })();
  assert.deepEqual(log, ['a begins', 'b begins']);
  assert.deepEqual(await end(), { a: 'seen by a', b: 'seen by b' });
});
