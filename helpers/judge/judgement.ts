/**
 * What a judge says. A judge is a pure function of evidence: no clock, no chance, no I/O, so that a verdict can be
 * computed again from what was stored.
 *
 * What the engine did wrong is an answer (`ok: false`). A question that could not have been answered otherwise (no
 * node observed, too few samples to ever fail) is a RangeError: that is our mistake, and must not pass as a pass.
 */

/** Serialisable. `expected` and `seen` are one line each, for people; `detail` says where the two part. */
export type Judgement = { ok: true } | { ok: false; expected: string; seen: string; detail?: string };

/** @throws {RangeError} saying `reason` unless the question makes sense */
export function requireSense(makesSense: boolean, reason: string): asserts makesSense {
  if (!makesSense) throw new RangeError(reason);
}

/** Members as they appear in judgements. */
export function list(members: readonly string[]): string {
  return members.length > 0 ? members.join(', ') : '(none)';
}
