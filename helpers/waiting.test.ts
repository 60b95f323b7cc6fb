import assert from 'node:assert/strict';
import test from 'node:test';
import { Inconclusive, Violation } from './errors.ts';
import { converge, foreseeing, keepPaceWith, until } from './waiting.ts';

test('until: gives the first answer, whatever failed before', async () => {
  const answers = [undefined, new Error('not yet'), 'here'];
  const ask = async () => {
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  assert.equal(await until('it', ask, { withinMs: 1000, everyMs: 1 }), 'here');
});

test('until: gives up as inconclusive, with what was seen last', async () => {
  const ask = () => Promise.reject(new Error('connection refused'));
  await assert.rejects(until('the engine', ask, { withinMs: 5, everyMs: 1 }), (error) => {
    assert(error instanceof Inconclusive);
    assert.match(error.message, /the engine: not within .* last seen: connection refused/);
    return true;
  });
});

test('until: gives up at once when it is in vain', async () => {
  const asked = performance.now();
  const options = { withinMs: 60_000, everyMs: 1, alive: () => 'QEMU ended' };
  await assert.rejects(
    until('the guest', async () => undefined, options),
    /the guest: QEMU ended/,
  );
  assert(performance.now() - asked < 10_000);
});

test('converge: once true is not enough, it must stay', async () => {
  // Holds, breaks, holds: only the second time lasts.
  const story = [[], ['broken']];
  let asked = 0;
  await converge('it', async () => story[asked++] ?? [], { withinMs: 1000, holdMs: 20, everyMs: 1 });
  assert(asked > 3);
});

test('converge: fails as a violation that tells the timeline', async () => {
  const story = [['w1 lacks 10.0.1.5'], ['w2 lacks 10.0.1.5']];
  let asked = 0;
  const wrong = async () => story[Math.min(asked++, 1)] ?? [];
  await assert.rejects(converge('all agree', wrong, { withinMs: 20, everyMs: 5 }), (error) => {
    assert(error instanceof Violation);
    assert.match(
      error.message,
      /^all agree: not within 0.02 s\n {2}after 0.0 s: w1 lacks 10.0.1.5\n {2}after .*: w2 lacks/,
    );
    return true;
  });
});

test('converge: an observer that breaks ends the wait as what it is', async () => {
  const broken = () => Promise.reject(new Inconclusive('observer', 'shell broke'));
  await assert.rejects(converge('it', broken, { withinMs: 1000 }), /shell broke/);
});

test('converge: in a lab that has become slow, bounds are stretched before they are said to be exceeded', async () => {
  const paces = [0.3, 3];
  assert.equal(await keepPaceWith(async () => paces.shift() ?? 1), 1);
  const started = performance.now();
  const wrong = async () => (performance.now() - started > 45 ? [] : ['not yet']);
  assert((await converge('it', wrong, { withinMs: 20, holdMs: 0, everyMs: 1 })) > 20);

  const never = converge('it', async () => ['not yet'], { withinMs: 20, everyMs: 1 });
  await assert.rejects(never, /^Violation: it: not within 0.02 s, nor within 3.0 times that/);
});

test('converge: what a fault keeps wrong is given up early, and only where it reads as expected', async () => {
  await keepPaceWith(async () => 1);
  const started = performance.now();
  const wrong = async () => [performance.now() - started < 300 ? 'no task yet' : 'records of two: saw one'];
  const waiting = foreseeing([{ red: /names follow.*records of two/s, forMs: 500 }], () =>
    converge('names follow the tasks', wrong, { withinMs: 60_000, everyMs: 20 }),
  );
  await assert.rejects(
    waiting,
    /^Violation: names follow the tasks: given up early.*\n.*no task yet\n.*records of two/,
  );
  const waited = performance.now() - started;
  assert(waited > 750 && waited < 20_000, `${waited} ms`);

  const other = foreseeing([{ red: /records of three/, forMs: 50 }], () =>
    converge('it', wrong, { withinMs: 500, everyMs: 20 }),
  );
  await assert.rejects(other, /it: not within 0.5 s/);
});

test('converge: in a lab that has become slow, nothing is given up before its time', async () => {
  const paces = [1, 3];
  await keepPaceWith(async () => paces.shift() ?? 1);
  const started = performance.now();
  const wrong = async () => (performance.now() - started > 200 ? [] : ['not yet']);
  const bounds = { withinMs: 60_000, holdMs: 0, everyMs: 5 };
  await foreseeing([{ red: /not yet/, forMs: 100 }], () => converge('it', wrong, bounds));
  await keepPaceWith(async () => 1);
});

test('converge: foresight does not end a wait that comes true, however wrong it reads at first', async () => {
  const started = performance.now();
  const wrong = async () => (performance.now() - started < 200 ? ['records of two: saw one'] : []);
  await foreseeing([{ red: /records of two/, forMs: 2000 }], () =>
    converge('it', wrong, { withinMs: 60_000, holdMs: 50, everyMs: 20 }),
  );
  // And it is over with the clause it was meant for.
  await assert.rejects(
    converge('it', async () => ['records of two: saw one'], { withinMs: 50, everyMs: 5 }),
    /not within 0.05 s/,
  );
});
