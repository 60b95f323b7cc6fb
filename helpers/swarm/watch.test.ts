import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inconclusive, Violation } from '../errors.ts';
import { type Wrong, watch } from './watch.ts';

/** Long enough for a second look on a busy machine. */
const BOUNDS = { withinMs: 300, holdMs: 1, everyMs: 5 };

/** Watches a story, one look after another, its last one again and again; returns what was kept and thrown. */
async function watching(story: readonly Wrong[], look = async (asked: number) => asked) {
  const kept: number[] = [];
  let asked = 0;
  const thrown = await watch(
    'all is well',
    {
      look: () => look(asked++),
      wrong: (seen) => story[Math.min(seen, story.length - 1)] ?? {},
      keep: async (seen) => void kept.push(seen),
    },
    BOUNDS,
  ).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { kept, thrown, looks: asked };
}

test('the last look is kept when the promise holds', async () => {
  const { kept, thrown, looks } = await watching([{ w1: ['bad'] }, { w1: [] }]);
  assert.equal(thrown, undefined);
  assert.deepEqual(kept, [looks - 1]);
});

test('the last look is kept when it does not, and the one node is named', async () => {
  const { kept, thrown, looks } = await watching([
    { w1: ['bad'], w2: ['bad'] },
    { w1: [], w2: ['worse'] },
  ]);
  assert(thrown instanceof Violation);
  assert.equal(thrown.node, 'w2');
  assert.match(thrown.message, /all is well: .*\n.*w1: bad\n.*w2: bad\n.*w2: worse/);
  assert.deepEqual(kept, [looks - 1]);
});

test('no node is named when several are wrong', async () => {
  const { thrown } = await watching([{ w1: ['bad'], w2: ['bad'] }]);
  assert(thrown instanceof Violation);
  assert.equal(thrown.node, undefined);
});

test('a look that breaks stays what it is, and what was seen before is kept', async () => {
  const look = async (asked: number) => {
    if (asked === 1) throw new Inconclusive('observer', 'shell broke');
    return asked;
  };
  const { kept, thrown } = await watching([{ w1: ['bad'] }], look);
  assert(thrown instanceof Inconclusive);
  assert.deepEqual(kept, [0]);
});
