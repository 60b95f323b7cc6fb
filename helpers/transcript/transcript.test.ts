import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Inconclusive, Violation } from '../errors.ts';
import { converge, now, pass, promptly } from '../waiting.ts';
import { packTranscript, unpackTranscript } from './file.ts';
import { type Entry, exchange, LIMITS, note, record, replay } from './transcript.ts';

// Nothing of one test may be recorded, or replayed, in the next.
afterEach(() => record().end());

const head = {
  schema: 'swarmproof/transcript/1',
  clause: 'DNS-002',
  cell: 'default',
  startedAt: '2026-11-24T19:00:00.000Z',
  pace: 1,
  soakMs: 0,
  lease: {},
  stack: {},
} as const;

/** Runs a body twice: on the world, and on the transcript of the first time, through its file. */
async function twice<T>(
  body: (world: boolean) => Promise<T>,
): Promise<{ first: unknown; second: unknown; entries: Entry[] }> {
  const outcome = (run: Promise<T>) => run.catch((error: unknown) => error);
  const recording = record();
  const first = await outcome(body(true));
  const { entries } = unpackTranscript(packTranscript({ head, entries: recording.end() }));
  const replaying = replay(entries);
  const second = await outcome(body(false));
  assert.equal(replaying.end(), undefined);
  return { first, second, entries };
}

/** Asks something that only the world can answer. */
const answering =
  (world: boolean) =>
  async <T>(to: string, ask: string, answer: () => T | Promise<T>): Promise<T> =>
    exchange(to, ask, async () => {
      assert.ok(world, `the replay asked ${to}: ${ask}`);
      return answer();
    });

test('the clock and every answer are the same again', async () => {
  let state = 0;
  const { first, second, entries } = await twice(async (world) => {
    const ask = answering(world);
    const wrong = async () => ((await ask('shell w1', 'look', () => ++state)) < 4 ? ['not yet'] : []);
    const took = await converge('it comes', wrong, { withinMs: 5000, holdMs: 30, everyMs: 5 });
    await pass(3);
    return { took, at: now(), state: await ask('api m1', 'GET /services', () => ({ state })) };
  });
  assert.deepEqual(second, first);
  assert.ok(entries.filter(({ to }) => to === 'shell w1').length >= 4);
});

test('a promise that was broken is broken in the same words', async () => {
  const { first, second } = await twice(async (world) => {
    const ask = answering(world);
    await converge('it comes', async () => [await ask('shell w1', 'look', () => 'never')], {
      withinMs: 20,
      everyMs: 5,
    });
  });
  assert.ok(first instanceof Violation && second instanceof Violation);
  assert.equal(second.message, first.message);
});

test('equal questions asked side by side get their own answers, in the order in which those came', async () => {
  const flow = (delays: number[]) => async (world: boolean) => {
    const ask = answering(world);
    const came: string[] = [];
    let serial = 0;
    const chain = async (name: string, each: number[]) => {
      for (const delay of each) {
        const answer = await ask('api m1', 'GET /tasks', async () => {
          const mine = ++serial;
          await sleep(delay);
          return mine;
        });
        came.push(`${name} ${answer}`);
      }
    };
    await Promise.all([
      chain('a', delays),
      chain('b', delays.toReversed()),
      chain(
        'c',
        delays.map((ms) => 12 - ms),
      ),
    ]);
    return came;
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 5 }),
      async (delays) => {
        const { first, second } = await twice(flow(delays));
        assert.deepEqual(second, first);
      },
    ),
    { numRuns: 15 },
  );
});

test('errors come again as what they were', async () => {
  const refusal = Object.assign(new Error('(HTTP code 409) conflict - in use '), {
    statusCode: 409,
    reason: 'conflict',
    json: { message: 'in use' },
  });
  const broken = new Inconclusive('observer', 'the shell beside w1 broke', { node: 'w1' });
  for (const thrown of [refusal, broken]) {
    const { second } = await twice(async (world) => {
      await answering(world)('api m1', 'DELETE /networks/front', () => Promise.reject(thrown));
    });
    assert.equal((second as Error).message, thrown.message);
    assert.deepEqual({ ...(second as object), json: undefined }, { ...thrown, json: undefined });
    if (thrown === refusal) assert.deepEqual((second as typeof refusal).json, { message: 'in use' });
    else assert.ok(second instanceof Inconclusive);
  }
});

test('bytes come again as bytes, and nothing as null', async () => {
  const { second } = await twice(async (world) => [
    await answering(world)('api m1', 'GET /logs', () => Buffer.from([0, 255, 10])),
    await answering(world)('api m1', 'DELETE /x', () => undefined),
  ]);
  assert.deepEqual(second, [Buffer.from([0, 255, 10]), null]);
});

test('what is drawn by lot is drawn again', async () => {
  const { first, second } = await twice(async () =>
    [1, 2, 3].map(() => note('chance', 'a number', Math.random)),
  );
  assert.deepEqual(second, first);
});

test('an answer that came too late comes too late again', async () => {
  const { first, second } = await twice(async (world) => {
    const slow = answering(world)('api m1', 'GET /info', () => sleep(60, 'late'));
    return promptly(slow, 10).catch((error: Error) => error.message);
  });
  assert.equal(first, 'nothing within 0.01 s');
  assert.equal(second, first);
});

test('what is asked within another question is part of it', async () => {
  const { entries } = await twice(async (world) =>
    answering(world)('lab', 'pace', () => exchange('shell outsider', 'loop', async () => 1.5)),
  );
  assert.deepEqual(
    entries.map(({ to }) => to),
    ['lab'],
  );
});

test('a question that was not asked so is told, even if the body lives on without an answer', async () => {
  const replaying = replay([{ to: 'shell w1', ask: 'ipvsadm -Ln', at: 0, ms: 1, order: 0, answer: 'table' }]);
  const asked = exchange('shell w1', 'ipvsadm -Ln --exact', async () => 'from the world');
  await assert.rejects(
    asked,
    /what is asked of shell w1 was not asked so when it was recorded: ipvsadm -Ln --exact/,
  );
  assert.equal(await exchange('shell w1', 'ipvsadm -Ln', async () => 'from the world'), 'table');
  assert.equal(replaying.end()?.code, 'not-asked');
});

test('an answer that was too long is missing, and said to be', async () => {
  const recording = record();
  await exchange('shell w1', 'dump', async () => 'x'.repeat(LIMITS.answer));
  const entries = recording.end();
  assert.match(entries[0]?.missing ?? '', /^\d+ characters$/);
  const replaying = replay(entries);
  await assert.rejects(
    exchange('shell w1', 'dump', async () => ''),
    /was not kept/,
  );
  assert.equal(replaying.end()?.code, 'answer-missing');
});

test('commands by hand are kept with the first of equal questions', async () => {
  const recording = record();
  const plain = () => ['dig web'];
  for (const to of ['shell w1', 'shell w1', 'shell w2']) await exchange(to, 'probe', async () => '', plain);
  assert.deepEqual(
    recording.end().map((entry) => entry.plain),
    [['dig web'], undefined, ['dig web']],
  );
});

test('nothing is recorded once a recording has ended', async () => {
  const recording = record();
  const late = exchange('api m1', 'GET /info', () => sleep(10, 'late'));
  const [entry] = recording.end();
  assert.equal(await late, 'late');
  assert.deepEqual(Object.keys(entry ?? {}).toSorted(), ['ask', 'at', 'to']);
});

test('a line that is none of a transcript is told by its number', () => {
  const file = packTranscript({ head, entries: [{ to: 'clock', ask: 'now', at: 'soon' as never }] });
  assert.throws(() => unpackTranscript(file), /line 2 is none of a transcript/);
});
