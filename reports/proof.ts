/** What a sabotage run says in the end, and the page of all proofs. */
import type { Noticed, Proven } from '../helpers/sabotage/record.ts';
import { duration } from './summary.ts';

/** What a blind run found. */
export interface Blind {
  seed: number;
  noticed: Noticed[];
}

/** The lines that end a proof, the last one plain: `N killed, N survived`. Whatever is not killed and has no excuse survived. */
export function proofSummary(proven: readonly Proven[]): { text: string[]; good: boolean } {
  const of = (outcome: Proven['outcome']) => proven.filter((one) => one.outcome === outcome);
  const [killed, survived, unproven, excused] = [of('killed'), of('survived'), of('unproven'), of('excused')];
  const list = (title: string, some: readonly Proven[]) =>
    some.length === 0 ? [] : [`${title}:`, ...some.map(({ clause, sabotage }) => `  ${clause} ${sabotage}`)];
  const times = killed.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  return {
    text: [
      ...list('Left out, since the clause cannot be judged here', excused),
      ...list('Unproven, which counts as survived', unproven),
      ...list('Survived', survived),
      ...(median === undefined ? [] : [`A kill took ${duration(median)} in the median.`]),
      `${killed.length} killed, ${survived.length + unproven.length} survived`,
    ],
    good: survived.length + unproven.length === 0 && killed.length > 0,
  };
}

/** Areas of clauses that a fault of an area is near to; what a clause's id begins with. */
const areaOf = (clause: string) => clause.replace(/-\d+$/, '').toLowerCase();

/** The lines that end a blind run: whether the damage was noticed, and how near the first red clause points. */
export function blindSummary({ seed, noticed }: Blind): { text: string[]; good: boolean } {
  const damage = noticed.find((one) => one.damage.length > 0)?.damage ?? [];
  const red = noticed.find(({ outcome }) => outcome === 'fail');
  const done = damage.map(({ sabotage }) => `  ${sabotage}`);
  if (damage.length === 0)
    return { text: [`Seed ${seed}: no fault could be done, so nothing was shown.`, '0 noticed, 1 missed'], good: false };
  const nodes = new Set(damage.flatMap((one) => one.nodes));
  const where = !red
    ? []
    : [
        `The first red clause is ${red.clause} (${areaOf(red.clause)}).`,
        red.node === null
          ? 'It names no node.'
          : `It names ${red.node}, ${nodes.has(red.node) ? 'the damaged node' : `not ${[...nodes].join(' or ')}`}.`,
      ];
  return {
    text: [`Seed ${seed} did:`, ...done, ...where, red ? '1 noticed, 0 missed' : '0 noticed, 1 missed'],
    good: red !== undefined,
  };
}
