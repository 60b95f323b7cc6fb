import type { VerdictFile } from '../helpers/verdict/model.ts';

/** What a stage of `npm test`, or all of them, came to. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** A stage that is one check. */
export function oneCheck(ok: boolean): Tally {
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

/** Several stages together. */
export function sum(tallies: readonly Tally[]): Tally {
  const total = (key: keyof Tally) => tallies.reduce((n, tally) => n + tally[key], 0);
  return { passed: total('passed'), failed: total('failed'), skipped: total('skipped') };
}

/**
 * A run of the suite on its lab. An inconclusive clause is a failure here: the lab of this project's own tests must work.
 *
 * @param verdict what the run wrote, or undefined when it wrote nothing that can be read.
 * @param exitCode how the runner ended; a failure that no clause explains counts as one.
 */
export function tallyOf(verdict: VerdictFile | undefined, exitCode: number | undefined): Tally {
  if (verdict === undefined || verdict.clauses.length === 0) return oneCheck(false);
  const { totals, run } = verdict;
  const open = totals.fail + totals.inconclusive;
  const unexplained = open === 0 && (exitCode !== 0 || run.exitReason !== 'completed');
  return {
    passed: totals.pass + totals['expected-fail'],
    failed: unexplained ? 1 : open,
    skipped: totals.skipped,
  };
}

/** The plain line that people and CI read: `12 passed, 0 failed`, and what was skipped if anything was. */
export function line({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
