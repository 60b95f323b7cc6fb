import { Violation } from '../errors.ts';
import { type Convergence, converge } from '../waiting.ts';

/** What is wrong, one line each, by the node where it is seen; a node of which nothing is wrong may be left out. */
export type Wrong = Readonly<Record<string, readonly string[]>>;

/** Judges what was seen on each node by itself. */
export function wrongOnEach<T>(
  seen: Readonly<Record<string, T>>,
  wrong: (seen: T) => readonly string[],
): Wrong {
  return Object.fromEntries(Object.entries(seen).map(([node, one]) => [node, wrong(one)]));
}

/** A promise about nodes, as it is watched. */
export interface Watched<T> {
  look: () => Promise<T>;
  /** Judges one look and nothing else. */
  wrong: (seen: T) => Wrong;
  /** Gets the last look, whatever it showed. */
  keep: (seen: T) => Promise<void>;
}

/**
 * Looks until nothing is wrong on any node any more and stays so, see {@link converge}.
 *
 * @returns how long it took until the promise held (ms).
 * @throws Violation with the timeline; with the node, when the last look showed something wrong on one node alone.
 */
export async function watch<T>(
  what: string,
  { look, wrong, keep }: Watched<T>,
  bounds: Convergence,
): Promise<number> {
  let last: { seen: T } | undefined;
  let problems: [node: string, lines: readonly string[]][] = [];
  const ask = async () => {
    last = { seen: await look() };
    problems = Object.entries(wrong(last.seen)).filter(([, lines]) => lines.length > 0);
    return problems.flatMap(([node, lines]) => lines.map((line) => `${node}: ${line}`));
  };
  try {
    return await converge(what, ask, bounds);
  } catch (error) {
    const [[node] = [], ...others] = problems;
    if (error instanceof Violation && node && others.length === 0)
      throw new Violation(error.message, { node });
    throw error;
  } finally {
    if (last) await keep(last.seen);
  }
}
