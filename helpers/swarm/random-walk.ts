import fc from 'fast-check';

/** One step of a random walk: what is done, and a number by which it is chosen to what. */
export interface Step<D extends string> {
  deed: D;
  pick: number;
}

/**
 * A walk of so many steps, the same for the same seed; a longer walk begins like a shorter one. Deeds come in rounds: each once, in
 * an order of chance.
 */
export function randomWalk<D extends string>(deeds: readonly D[], seed: number, steps: number): Step<D>[] {
  const length = deeds.length;
  const round = fc.tuple(
    fc.shuffledSubarray([...deeds], { minLength: length }),
    fc.array(fc.nat(), { minLength: length, maxLength: length }),
  );
  return fc
    .sample(round, { seed, numRuns: Math.ceil(steps / length) })
    .flatMap(([order, picks]) => order.map((deed, i) => ({ deed, pick: picks[i] ?? 0 })))
    .slice(0, steps);
}

/** The one of some things that a step's number chooses. @throws RangeError when there are none. */
export function chosen<T>(things: readonly T[], pick: number): T {
  const thing = things[pick % things.length];
  if (thing === undefined) throw new RangeError('there is nothing to choose from');
  return thing;
}
