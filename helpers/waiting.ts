import { setTimeout } from 'node:timers/promises';
import { Inconclusive, messageOf, Violation } from './errors.ts';
import { exchange, note } from './transcript/transcript.ts';
import { stopwatch } from './verdict/stopwatch.ts';

/** Whom transcripts name for the time, and for what is drawn by lot. */
const CLOCK = 'clock';

/**
 * What the clock of this process says (ms, from a moment of its own). Whoever judges by time asks this one, so that it runs the
 * same when a clause is judged again from its transcript.
 *
 * @param what for, where several ask side by side.
 */
export function now(what = 'now'): number {
  return note(CLOCK, what, () => performance.now());
}

async function pause(ms: number, { idle = false } = {}): Promise<void> {
  await exchange(CLOCK, `${Math.round(ms)} ms later`, () => setTimeout(ms, undefined, { ref: !idle }));
}

/**
 * Asks until the answer is there: for what our own side owes. This file is the only place where the suite waits.
 *
 * @param what named in the error, as in "no answer from ...".
 * @param ask returns undefined, or throws, while it is too early.
 * @throws Inconclusive with the last thing seen when `withinMs` has passed; at once when `alive` says why it is in vain.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  options: { withinMs: number; everyMs: number; alive?: () => string | undefined },
): Promise<T> {
  const started = now(what);
  let last = 'nothing yet';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = messageOf(error);
    }
    const dead = options.alive?.();
    if (dead) throw new Inconclusive('lab', `${what}: ${dead}`);
    const waited = now(what) - started;
    if (waited > options.withinMs) {
      throw new Inconclusive(
        'lab',
        `${what}: not within ${Math.round(options.withinMs / 1000)} s; last seen: ${last}`,
      );
    }
    await pause(options.everyMs);
  }
}

/**
 * How many times slower than the lab in which all bounds were calibrated this one is, 1 for one as fast or faster. Bounds of
 * {@link converge} are stretched by it.
 */
let pace = 1;
let measurePace = async (): Promise<number> => 1;

/** Ours: a lab so much slower can no longer tell a slow product from its own slowness. */
const MOST_PACE = 8;

/**
 * Measures a lab's pace and keeps to it from now on. It is measured again before a bound is said to be exceeded: a host may
 * become busy in the middle of a clause.
 *
 * @param measure gives the pace as it is at this moment, 1 being that of the lab in which bounds were calibrated.
 */
export async function keepPaceWith(measure: () => Promise<number>): Promise<number> {
  measurePace = () => exchange(CLOCK, 'pace of the lab', measure);
  pace = within(await measurePace());
  return pace;
}

/** The pace bounds are stretched by at this moment. */
export function currentPace(): number {
  return pace;
}

/**
 * The pace, measured once more: the slowest so far. For bounds by which what is over is judged once, after waits that a lab which
 * has become slow in the meantime may have survived without a measurement.
 */
export async function paceNow(): Promise<number> {
  pace = Math.max(pace, within(await measurePace()));
  return pace;
}

function within(measured: number): number {
  return Math.min(MOST_PACE, Math.max(1, measured));
}

/**
 * What a wait would be about that a fault has made vain, see {@link foreseeing}; undefined while none is known. A worker judges one
 * clause at a time.
 */
let foreseen: readonly Foreseen[] | undefined;

/** What a wait may be expected to fail with. */
export interface Foreseen {
  /** Matches its whole message. */
  red: RegExp;
  /** So long it must have read like that on end (ms, in a lab of pace 1): longer than it does without the fault, until all is well. */
  forMs: number;
}

/** Ours: what is wrong for a moment because something is on its way is over sooner, as a rule; the twin of a sabotage tells. */
export const FORESEEN_MS = 3000;

/**
 * Has every {@link converge} meanwhile give up early where nothing can come of it: when what it would fail with has read as
 * expected for so long. For a clause that is judged under a fault which is held; the same clause without the fault has to pass
 * under the same foresight, or it shows nothing.
 */
export async function foreseeing<T>(expected: readonly Foreseen[], run: () => Promise<T>): Promise<T> {
  foreseen = expected;
  try {
    return await run();
  } finally {
    foreseen = undefined;
  }
}

/** How long a promise of the product may take to come true, and for how long it must then stay true. */
export interface Convergence {
  /** In a lab of pace 1. */
  withinMs: number;
  /** 1 s unless given: what was true once may be on its way somewhere else. */
  holdMs?: number;
  everyMs?: number;
}

/**
 * Asks until nothing is wrong any more and stays so: for what the product owes.
 *
 * @param what the promise, for the message.
 * @param wrong what is still wrong, one line each; empty when the promise holds. An error it throws ends the wait.
 * @returns how long it took until the promise held (ms).
 * @throws Violation with the timeline of what was wrong, never just that time ran out.
 */
export async function converge(
  what: string,
  wrong: () => Promise<readonly string[]>,
  bounds: Convergence,
): Promise<number> {
  return stopwatch.spend('settling', () => converged(what, wrong, bounds));
}

async function converged(
  what: string,
  wrong: () => Promise<readonly string[]>,
  { withinMs, holdMs = 1000, everyMs = 300 }: Convergence,
): Promise<number> {
  const started = now(what);
  const timeline: { at: number; seen: string }[] = [];
  let heldSince: number | undefined;
  const vainSince = new Map<Foreseen, number | undefined>();
  const violation = (why: string) => {
    const story = timeline
      .slice(-MOST_ENTRIES)
      .map(({ at, seen }) => `  after ${(at / 1000).toFixed(1)} s: ${seen}`);
    return new Violation(`${what}: ${why}\n${story.join('\n')}`);
  };
  for (;;) {
    const asked = now(what);
    const problems = await wrong();
    const seen = problems.length === 0 ? 'holds' : problems.slice(0, MOST_PROBLEMS).join('\n    ');
    if (timeline.at(-1)?.seen !== seen) timeline.push({ at: asked - started, seen });
    if (problems.length > 0) heldSince = undefined;
    else {
      heldSince ??= asked;
      if (now(what) - heldSince >= holdMs) return heldSince - started;
    }
    const tooLate = async (late: () => boolean) => {
      if (late()) await paceNow();
      return late();
    };
    if (await tooLate(() => heldSince === undefined && now(what) - started > withinMs * pace)) {
      const stretched = pace > 1 ? `, nor within ${pace.toFixed(1)} times that, the lab being as slow` : '';
      throw violation(`not within ${withinMs / 1000} s${stretched}`);
    }
    for (const one of foreseen ?? []) {
      const vain = problems.length > 0 && one.red.test(`${what}:\n${seen}`);
      const since = vain ? (vainSince.get(one) ?? asked) : undefined;
      vainSince.set(one, since);
      // From look to look: a single one that takes long says nothing of how long it was so.
      if (since !== undefined && (await tooLate(() => asked - since >= one.forMs * pace)))
        throw violation('given up early, since a fault is held that keeps it so');
    }
    await pause(everyMs);
  }
}

/** Lets time pass that a clause is about, such as the age of a DNS answer. */
export async function pass(ms: number): Promise<void> {
  await stopwatch.spend('settling', () => pause(ms));
}

/**
 * An answer, if it comes in time: the Docker client's own calls wait forever.
 *
 * @throws Error when it does not come within `ms`, or what it fails with.
 */
export async function promptly<T>(answer: Promise<T>, ms: number): Promise<T> {
  const tooLate = pause(ms, { idle: true }).then(() => {
    throw new Error(`nothing within ${ms / 1000} s`);
  });
  return Promise.race([answer, tooLate]);
}

/** So many lines of one moment, and moments, tell the story; more hide it. */
const MOST_PROBLEMS = 8;
const MOST_ENTRIES = 6;
