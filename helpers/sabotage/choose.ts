/** Which sabotages a run does, and which faults a blind run draws. */
import fc from 'fast-check';
import type { ClauseData } from '../catalogue/catalogue.ts';
import { UsageError } from '../errors.ts';
import { FAULTS, readied } from '../fault/library.ts';
import type { Plan } from './plan.ts';
import type { Sabotage } from './sabotages.ts';

/** How a plan names a sabotage. */
export function nameOf({ clause, fault }: Pick<Sabotage, 'clause' | 'fault'>): string {
  return `${clause}: ${fault.description}`;
}

/** What makes a sample quick. */
export interface Known {
  /** How long each took when it was last done (ms), undefined where it was not: the lot falls on the quick ones. */
  took: (sabotage: Sabotage) => number | undefined;
  /** What its spec file starts with, a Swarm of some kind with a stack on it: each has to be made, so that few serve all areas where they can. */
  start: (sabotage: Sabotage) => string | undefined;
  /** Starts that are likely there, since clauses that are judged often have them: one of these is no more to make. */
  made: ReadonlySet<string | undefined>;
}

/** What a user may ask for. */
export interface Wanted {
  clauses: readonly string[];
  areas: readonly string[];
  /** So many sabotages, drawn by lot from as many areas as possible; undefined takes all. */
  sample: number | undefined;
  seed: number;
  /** Known where a sample is to be quick. */
  quick?: Known | undefined;
}

/**
 * Chooses sabotages.
 *
 * @throws UsageError for a clause or an area that has none.
 */
export function choose(
  sabotages: ReadonlyMap<string, readonly Sabotage[]>,
  catalogue: ReadonlyMap<string, Pick<ClauseData, 'area' | 'draft' | 'soak'>>,
  { clauses, areas, sample, seed, quick }: Wanted,
): Sabotage[] {
  for (const id of clauses)
    if (!sabotages.has(id))
      throw new UsageError(
        `${id} ${catalogue.has(id) ? 'has no sabotage yet' : 'is no clause of the catalogue'}`,
      );
  const known = new Set([...catalogue.values()].map(({ area }) => area));
  for (const area of areas)
    if (!known.has(area)) throw new UsageError(`${area} is no area; there are ${[...known].join(', ')}`);
  const areaOf = ({ clause }: Sabotage) => catalogue.get(clause)?.area ?? '';
  const judged = ({ clause }: Sabotage) => !catalogue.get(clause)?.draft && !catalogue.get(clause)?.soak;
  const all = [...sabotages.values()].flat();
  const wanted = all.filter(
    (one) =>
      (clauses.length === 0 ? judged(one) : clauses.includes(one.clause)) &&
      (areas.length === 0 || areas.includes(areaOf(one))),
  );
  if (wanted.length === 0) throw new UsageError(`there is no sabotage yet for ${areas.join(', ')}`);
  if (sample === undefined || sample >= wanted.length) return wanted;
  const soon = quick ? quicker(wanted, quick, areaOf) : wanted;
  const lots = soon.length < sample ? wanted : soon;
  const [order = []] = fc.sample(fc.shuffledSubarray(lots, { minLength: lots.length }), { seed, numRuns: 1 });
  const startOf = (one: Sabotage) => quick?.start(one);
  const ofAreas = [...Map.groupBy(order, areaOf).values()];
  const starts = (some: readonly Sabotage[]) => new Set(some.map(startOf));
  const startsOfAreas = ofAreas.map(starts);
  const served = (one: Sabotage) => startsOfAreas.filter((some) => some.has(startOf(one))).length;
  // Area after area in turn, so that a small sample touches them all; those that have no choice of a start choose for others.
  const areasInTurn = ofAreas.toSorted((a, b) => starts(a).size - starts(b).size);
  const begun = new Set(quick?.made);
  const inTurn = areasInTurn.map((own) => {
    const shared = own.toSorted((a, b) => served(b) - served(a));
    const start = startOf(own.find((one) => begun.has(startOf(one))) ?? (shared[0] as Sabotage));
    begun.add(start);
    return own.toSorted((a, b) => Number(startOf(b) === start) - Number(startOf(a) === start));
  });
  // A start that nobody needs for their first is made for nobody's second while there is another choice.
  const ranked = inTurn.flatMap((own) =>
    own.map((one, turn) => ({ one, rank: begun.has(startOf(one)) ? turn : turn + order.length })),
  );
  const drawn = new Set(
    ranked
      .toSorted((a, b) => a.rank - b.rank)
      .slice(0, sample)
      .map(({ one }) => one),
  );
  return wanted.filter((one) => drawn.has(one));
}

/** Those that killed, and took no longer than half of all such did; of an area without any, for each start the one that took least. */
function quicker(
  some: readonly Sabotage[],
  { took, start }: Known,
  areaOf: (one: Sabotage) => string,
): Sabotage[] {
  const time = (one: Sabotage) => took(one) ?? Number.MAX_VALUE;
  const times = some.flatMap((one) => took(one) ?? []).toSorted((a, b) => a - b);
  const median = times[Math.floor((times.length - 1) / 2)] ?? 0;
  return [...Map.groupBy(some, areaOf).values()].flatMap((own) => {
    const quick = own.filter((one) => time(one) <= median);
    if (quick.length > 0) return quick;
    // What never killed, as a clause that cannot be judged here does not, is drawn only where an area has nothing else.
    const killed = own.filter((one) => took(one) !== undefined);
    return [...Map.groupBy(killed.length > 0 ? killed : own, start).values()].flatMap((equal) =>
      equal.toSorted((a, b) => time(a) - time(b)).slice(0, 1),
    );
  });
}

/**
 * Draws faults by lot, one or two on members of chance, for the blind mode.
 *
 * @param nodes names of the members there are.
 */
export function drawBlind(nodes: readonly string[], seed: number): Plan['blind'] {
  const wound = fc
    .record({
      fault: fc.constantFrom(...[...FAULTS.values()].filter(({ somewhere }) => somewhere)),
      node: fc.constantFrom(...nodes),
      // A number like 0.3 is as likely as any other, which doubles are not.
      percent: fc.integer({ min: 0, max: 99 }),
    })
    .map(({ fault: { id, somewhere }, node, percent }) => ({ id, where: somewhere?.(node, percent / 100) }))
    .filter(({ where }) => where !== undefined);
  const lot = fc.uniqueArray(wound, { minLength: 1, maxLength: 2, selector: ({ id }) => id });
  const [drawn = []] = fc.sample(lot, { seed, numRuns: 1, unbiased: true });
  return drawn.map(({ id, where }) => {
    const one = { fault: id, ...where };
    readied(one);
    return one;
  });
}
