/**
 * Everything a clause learns, in the order in which it learned it: what its shells printed, what APIs answered, what the clock
 * said, what was drawn by lot. A transcript can be packed and read, and the clause's body can run again on it without a lab.
 *
 * Whatever comes from outside this process passes {@link exchange} or {@link note}, and nothing else does. While nothing is
 * recorded or replayed they only do what they are told to.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { Inconclusive, messageOf } from '../errors.ts';
import { withoutSecrets } from './secrets.ts';

/** One question and its answer. */
export interface Entry {
  /** Who was asked: `shell w1`, `api m1`, `log`, `clock`, `chance`, ... */
  to: string;
  /** The question: a script, or a request as `POST /services/create` with its body after a line break. */
  ask: string;
  /** When it was asked, in ms since the clause began. */
  at: number;
  /** How long the answer took (ms); absent when none came before the clause ended. */
  ms?: number;
  /** Place of the answer among all answers, counted from 0; absent when none came. */
  order?: number;
  /** The answer, or nothing where it was an error, or is left out. */
  answer?: Json;
  error?: RecordedError;
  /** Why the answer is not here: it was longer than {@link LIMITS} allows (so many characters), or is a stream. */
  missing?: `${number} characters` | 'stream';
  /** The same by hand: commands of common tools, without anything of this suite; with the first of equal questions only. */
  plain?: string[];
}

/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json | undefined };

/** An error, as it is thrown again when the transcript is replayed. */
export interface RecordedError {
  message: string;
  /** Of an Inconclusive: which of our own parts broke. */
  reason?: Inconclusive['reason'];
  node?: string;
  /** Of an engine's refusal: HTTP status, its words for it, and the body of its answer. */
  api?: { statusCode: number; reason?: string; json?: Json };
}

/**
 * Ours. A dump of all namespaces of a node with forty services has 300 KB, a capture of a busy minute as much; what is longer is not
 * evidence any more. A clause's whole transcript is held in memory until the clause ends.
 */
export const LIMITS = { answer: 4_000_000, transcript: 64_000_000 };

/** Bytes do not fit into JSON: they are written as base64 under this name. */
const BYTES = '$base64';

/** Inside the asking of another question: what is asked there is part of that one. */
const nested = new AsyncLocalStorage<true>();

interface Mode {
  exchange: <T>(
    to: string,
    ask: string,
    act: () => Promise<T>,
    plain?: () => readonly string[],
  ) => Promise<T>;
  note: <T extends Json>(to: string, ask: string, read: () => T) => T;
}

/** A worker judges one clause at a time. */
let mode: Mode | undefined;

/**
 * Asks something of the world outside this process.
 *
 * @param to who is asked, as in {@link Entry.to}.
 * @param ask the question; equal questions to the same are answered in order when replayed.
 * @param act asks it. Its answer must be what JSON can hold, or a Buffer.
 * @param plain how anyone asks the same by hand, one command each.
 * @throws what `act` throws; Inconclusive (replay) when a replayed transcript has no such question, or lacks its answer.
 */
export async function exchange<T>(
  to: string,
  ask: string,
  act: () => Promise<T>,
  plain?: () => readonly string[],
): Promise<T> {
  if (!mode || nested.getStore()) return act();
  return mode.exchange(to, ask, act, plain);
}

/** The same for what is known at once, such as what the clock says. */
export function note<T extends Json>(to: string, ask: string, read: () => T): T {
  if (!mode || nested.getStore()) return read();
  return mode.note(to, ask, read);
}

/** A transcript that is being written. */
export interface Recording {
  /** Ends it. What has no answer yet stays without one. */
  end: () => Entry[];
}

/** Begins to record; whatever was recorded or replayed before ends. */
export function record(): Recording {
  const began = performance.now();
  const entries: Entry[] = [];
  const asked = new Set<string>();
  let [answers, size, open] = [0, 0, true];
  const now = () => Math.round((performance.now() - began) * 10) / 10;

  const keep = (entry: Entry, outcome: { answer: unknown } | { error: unknown } | { stream: true }) => {
    if (!open) return;
    entry.ms = Math.round((now() - entry.at) * 10) / 10;
    entry.order = answers++;
    if ('stream' in outcome) entry.missing = 'stream';
    else if ('error' in outcome) entry.error = recordedError(outcome.error);
    else {
      const written = JSON.stringify(writable(outcome.answer)) ?? 'null';
      if (written.length > LIMITS.answer || size + written.length > LIMITS.transcript)
        entry.missing = `${written.length} characters`;
      else {
        size += written.length;
        entry.answer = JSON.parse(withoutSecrets(written)) as Json;
      }
    }
  };
  const begin = (to: string, ask: string, plain?: () => readonly string[]): Entry => {
    const known = `${to}\n${ask}`;
    const entry: Entry = { to, ask: withoutSecrets(ask), at: now() };
    if (plain && !asked.has(known)) entry.plain = plain().map(withoutSecrets);
    asked.add(known);
    entries.push(entry);
    return entry;
  };
  const own: Mode = {
    exchange: async (to, ask, act, plain) => {
      const entry = begin(to, ask, plain);
      try {
        const answer = await nested.run(true, act);
        keep(entry, isStream(answer) ? { stream: true } : { answer });
        return answer;
      } catch (error) {
        keep(entry, { error });
        throw error;
      }
    },
    note: (to, ask, read) => {
      const answer = read();
      keep(begin(to, ask), { answer });
      return answer;
    },
  };
  mode = own;
  return {
    end: () => {
      open = false;
      if (mode === own) mode = undefined;
      return entries;
    },
  };
}

/** Why a clause cannot be judged from a transcript. */
export interface NotReplayable {
  /**
   * `not-asked`: the body asked what it had not asked when it was recorded, as after a change of the suite. `answer-missing`: an
   * answer was too long to be kept, or a stream. `no-answer`: it waits for an answer that never came.
   */
  code: 'not-asked' | 'answer-missing' | 'no-answer';
  message: string;
}

/** A transcript that is being replayed. */
export interface Replay {
  /** Ends it. @returns what could not be replayed, the first thing: whatever the body concluded after that is worth nothing. */
  end: () => NotReplayable | undefined;
}

/**
 * Begins to answer from a transcript; whatever was recorded or replayed before ends. Answers come in the order in which they came
 * when they were recorded, so that what went on side by side meets again in the same way.
 */
export function replay(entries: readonly Entry[]): Replay {
  const queues = Map.groupBy(entries, ({ to, ask }) => `${to}\n${ask}`);
  const waiting: { order: number; settle: () => void }[] = [];
  let problem: NotReplayable | undefined;
  let scheduled = false;
  /** Grows with all that goes on. */
  let progress = 0;

  const fail = (code: NotReplayable['code'], message: string): Inconclusive => {
    problem ??= { code, message };
    return new Inconclusive('replay', message);
  };
  const next = (to: string, question: string): Entry => {
    const ask = withoutSecrets(question);
    progress += 1;
    const entry = queues.get(`${to}\n${ask}`)?.shift();
    if (!entry)
      throw fail(
        'not-asked',
        `what is asked of ${to} was not asked so when it was recorded: ${shortened(ask)}`,
      );
    if (entry.missing)
      throw fail('answer-missing', `the answer of ${to} was not kept (${entry.missing}): ${shortened(ask)}`);
    return entry;
  };
  // One answer for each turn of the event loop: all that follows from it is asked before the next one comes.
  const schedule = () => {
    if (scheduled || waiting.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      waiting.sort((one, other) => one.order - other.order);
      progress += 1;
      waiting.shift()?.settle();
      schedule();
    });
  };
  const own: Mode = {
    exchange: async <T>(to: string, ask: string) => {
      const entry = next(to, ask);
      const { order } = entry;
      if (order === undefined)
        return never<T>(() => fail('no-answer', `${to} never answered: ${shortened(entry.ask)}`));
      await new Promise<void>((resolve) => {
        waiting.push({ order, settle: resolve });
        schedule();
      });
      if (entry.error) throw thrown(entry.error);
      return readable(entry.answer) as T;
    },
    note: <T extends Json>(to: string, ask: string) => next(to, ask).answer as T,
  };
  /** Others may go on while this waits in vain; once nothing goes on any more, the wait is over. */
  const never = <T>(why: () => Inconclusive): Promise<T> =>
    new Promise((_, reject) => {
      let seen = -1;
      const timer = setInterval(() => {
        if (mode === own && progress !== seen) seen = progress;
        else {
          clearInterval(timer);
          if (mode === own) reject(why());
        }
      }, IDLE_MS);
      timer.unref();
    });
  mode = own;
  return {
    end: () => {
      if (mode === own) mode = undefined;
      return problem;
    },
  };
}

/** Ours: without a lab nothing takes so long, so that whoever still waits waits in vain. */
const IDLE_MS = 2000;

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

function isStream(answer: unknown): boolean {
  return typeof Object(answer).pipe === 'function';
}

/** Bytes as {@link BYTES}; nothing as null. */
function writable(answer: unknown): unknown {
  if (answer === undefined) return null;
  return Buffer.isBuffer(answer) ? { [BYTES]: answer.toString('base64') } : answer;
}

function readable(answer: Json | undefined): unknown {
  const bytes = (Object(answer) as Record<string, unknown>)[BYTES];
  return typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : answer;
}

function recordedError(error: unknown): RecordedError {
  const message = withoutSecrets(messageOf(error));
  if (error instanceof Inconclusive)
    return { message, reason: error.reason, ...(error.node && { node: error.node }) };
  const { statusCode, reason, json } = Object(error) as {
    statusCode?: number;
    reason?: string;
    json?: unknown;
  };
  if (typeof statusCode !== 'number') return { message };
  const body = JSON.parse(withoutSecrets(JSON.stringify(writable(json)))) as Json;
  return { message, api: { statusCode, ...(reason !== undefined && { reason }), json: body } };
}

function thrown({ message, reason, node, api }: RecordedError): Error {
  if (reason) return new Inconclusive(reason, message, { ...(node && { node }) });
  const error = new Error(message);
  return api ? Object.assign(error, { ...api, json: readable(api.json) }) : error;
}
