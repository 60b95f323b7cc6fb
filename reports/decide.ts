import { stripVTControlCharacters } from 'node:util';
import type { Judged } from '../helpers/verdict/channel.ts';
import { UNEXPECTEDLY_CONFORMING, type Verdict } from '../helpers/verdict/model.ts';

/** How the runner saw one test end. */
export interface Ran {
  status: 'passed' | 'failed' | 'timedOut' | 'skipped' | 'interrupted';
  /** What the worker concluded, if it came that far. */
  judged?: Judged;
  /** First error of the test. */
  error?: string;
  /** Text of the annotation that skipped the test; absent when nobody asked for a skip. */
  skip?: string;
  /** Text of the annotation that declares a known defect; absent when the clause is expected to hold. */
  knownDefect?: string;
}

/** A verdict with its grounds. */
export interface Decision {
  verdict: Verdict;
  reason: string | null;
  message: string | null;
  node: string | null;
}

/** Why a clause has no result of its own. */
export interface NotRun {
  reason: string;
  message: string;
}

/**
 * The verdict on one clause. Only a judgement can make it a pass or a fail; whatever else happened to the test says
 * something about the lab or the suite, not about the product, and is inconclusive.
 */
export function decide(ran: Ran | undefined, notRun: NotRun): Decision {
  if (ran?.status === 'skipped' && ran.skip !== undefined) return decision('skipped', ran.skip);
  if (ran === undefined || ran.status === 'skipped')
    return decision('inconclusive', notRun.reason, notRun.message);
  const { judged, knownDefect } = ran;
  if (judged === undefined) return decision('inconclusive', withoutJudgement(ran), ran.error);
  const { outcome, reason, message, node } = judged;
  if (outcome === 'inconclusive') return decision('inconclusive', reason, message ?? ran.error, node);
  if (outcome === 'fail') {
    const verdict = knownDefect === undefined ? 'fail' : 'expected-fail';
    return decision(verdict, knownDefect || reason, message ?? ran.error, node);
  }
  if (ran.status !== 'passed') return decision('inconclusive', 'broke-after-judging', ran.error, node);
  if (knownDefect !== undefined)
    return decision('fail', UNEXPECTEDLY_CONFORMING, knownDefect || message, node);
  return decision('pass', reason, message, node);
}

function decision(verdict: Verdict, reason: string, message?: string, node?: string): Decision {
  return { verdict, reason, message: message ? plain(message) : null, node: node ?? null };
}

function withoutJudgement({ status, error }: Ran): string {
  if (status === 'passed') return 'nothing-was-judged';
  if (status === 'timedOut') return 'timed-out';
  if (status === 'interrupted') return 'interrupted';
  return error?.includes('worker process exited unexpectedly') ? 'worker-crashed' : 'set-up-broke';
}

/** Text without the colours the runner puts into it. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).trim();
}
