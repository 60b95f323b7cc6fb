/** Whether an API refused a request, for the reason it should. */

import { type Judgement, list, requireSense } from './judgement.ts';

/** How an API answered a request; serialisable. */
export type ApiAnswer = { accepted: true } | { accepted: false; status: number; reason: string };

/** A refusal as it is due. */
export interface Refusal {
  /** Its HTTP status; several where the documentation leaves it open or engines differ. */
  status: number | readonly number[];
  /** What its reason must tell, in whatever words stand around it: texts, whatever their case, or patterns. */
  tells: readonly (string | RegExp)[];
}

/**
 * Whether a request was refused, with that status and for that reason.
 * @throws {RangeError} when the refusal need tell nothing, or could have a status of success
 */
export function refusedAs({ status, tells }: Refusal, answer: ApiAnswer): Judgement {
  const due = [status].flat();
  requireSense(tells.length > 0, 'a refusal whose reason does not matter');
  requireSense(due.length > 0 && due.every((one) => one >= 400), `no status of refusals: ${due.join(', ')}`);
  const expected = `a refusal with status ${due.join(' or ')} that tells ${list(tells.map(shown))}`;
  if (answer.accepted) return { ok: false, expected, seen: 'the request accepted' };
  const untold = tells.filter((what) => !told(what, answer.reason));
  if (due.includes(answer.status) && untold.length === 0) return { ok: true };
  const detail = untold.length > 0 ? `not told: ${list(untold.map(shown))}` : undefined;
  return { ok: false, expected, seen: `${answer.status} ${answer.reason}`, ...(detail && { detail }) };
}

/** Whether a request was accepted. */
export function acceptedBy(answer: ApiAnswer): Judgement {
  if (answer.accepted) return { ok: true };
  return { ok: false, expected: 'the request accepted', seen: `${answer.status} ${answer.reason}` };
}

function told(what: string | RegExp, reason: string): boolean {
  return typeof what === 'string' ? reason.toLowerCase().includes(what.toLowerCase()) : what.test(reason);
}

function shown(what: string | RegExp): string {
  return typeof what === 'string' ? `"${what}"` : String(what);
}
