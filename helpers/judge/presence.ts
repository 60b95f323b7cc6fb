import { type Judgement, list, requireSense } from './judgement.ts';

/**
 * Whether everything that comes and goes over time does so once: whatever is ever seen is there in one unbroken stretch. What is
 * gone and comes back was told from stale knowledge, what is missing in between was forgotten for a while. No chance is involved.
 *
 * @param moments what was seen at each moment, in order of time
 * @throws {RangeError} on fewer than three moments, in which nothing can come back
 */
export function comesAndGoesOnce(moments: readonly (readonly string[])[]): Judgement {
  requireSense(moments.length >= 3, `${moments.length} moments cannot show that anything comes back`);
  const returns = [...new Set(moments.flat())].flatMap((member) => {
    const seen = moments.flatMap((moment, at) => (moment.includes(member) ? [at] : []));
    const gap = seen.findIndex((at, i) => i > 0 && at !== (seen[i - 1] ?? 0) + 1);
    return gap < 0 ? [] : [`${member} missing from moment ${(seen[gap - 1] ?? 0) + 1} to ${seen[gap]}`];
  });
  if (returns.length === 0) return { ok: true };
  return { ok: false, expected: 'each there in one unbroken stretch', seen: list(returns) };
}
