/** Judgements over sustained traffic: every request counts, and none may be lost among many. */

import { type Judgement, list, requireSense } from './judgement.ts';

/** What is judged of a request; any sample of the probe has it. */
export interface Request {
  /** Its start in epoch ms. */
  at: number;
  /** What it took. */
  ms: number;
  to: string;
  error?: string | undefined;
  phase?: string | undefined;
  /** Of HTTP. */
  status?: number | undefined;
}

/** So many failures show what is the matter; all are in the evidence. */
const MOST_FAILURES = 5;

/**
 * Whether every single request was answered, over HTTP with 200. No chance is involved.
 *
 * @param atLeast so many requests must have been made, or nothing was judged.
 * @throws {RangeError} when there were fewer
 */
export function allAnswered(requests: readonly Request[], atLeast: number): Judgement {
  requireSense(
    atLeast > 0 && requests.length >= atLeast,
    `${requests.length} requests are fewer than the ${atLeast} that would show something`,
  );
  const begun = Math.min(...requests.map(({ at }) => at));
  const failures = requests.flatMap(({ at, ms, to, error, phase, status }) => {
    if (!error && (status === undefined || status === 200)) return [];
    const what = error ? `${error} in ${phase}` : `status ${status}`;
    return [
      `${((at - begun) / 1000).toFixed(1)} s after the first: ${to} ${what} after ${Math.round(ms)} ms`,
    ];
  });
  if (failures.length === 0) return { ok: true };
  return {
    ok: false,
    expected: `all of ${requests.length} requests answered`,
    seen: `${failures.length} failed`,
    detail: list(failures.slice(0, MOST_FAILURES)),
  };
}
