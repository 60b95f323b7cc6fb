import type { z } from 'zod';
import type { Swarm } from '../swarm/swarm.ts';

/**
 * One way to break a Swarm, in the words of the domain. What a clause sees of it is none of its business: it says by itself that
 * the damage is done.
 */
export interface Fault<P = never> {
  /** As the data of sabotages name it, such as `ipvs-scheduler`. */
  id: string;
  /** What it takes besides its id. */
  parameters: z.ZodType<P>;
  /** The damage in one line, for people. */
  describe: (parameters: P) => string;
  /** Areas of the catalogue whose promises it breaks first of all, for the question how near a red clause points. */
  areas: readonly string[];
  /**
   * Does the damage.
   *
   * @throws Unproven when there is nothing to damage, such as no service of that name.
   */
  inflict: (swarm: Swarm, parameters: P) => Promise<Damage>;
  /**
   * Parameters of chance, as data have them, that fit any Swarm with tasks: for the blind mode. Absent where a fault needs to know
   * the stack.
   *
   * @param node any member, drawn by lot.
   * @param lot a number of chance in [0, 1).
   * @returns undefined where the fault is not for that node.
   */
  somewhere?: (node: string, lot: number) => Record<string, unknown> | undefined;
}

/**
 * Damage that was done, and how it is known. It is taken back with everything that came of it by restoring the Swarm from its
 * checkpoint, and the clause's twin, which is judged on a restored one afterwards, shows that nothing is left.
 */
export interface Damage {
  /** Nodes on which it was done; none where it is in the Swarm as a whole. */
  nodes: readonly string[];
  /**
   * Looks whether the damage is there, before a clause judges; another look than any clause has. Absent where nothing can be seen
   * before something happens: then there is `met`.
   *
   * @returns what it saw.
   * @throws Unproven when it is not there.
   */
  there?: () => Promise<string>;
  /**
   * Looks, after a clause has judged, whether the clause met the damage, such as requests that were altered.
   *
   * @returns what it saw.
   * @throws Unproven when the clause never met it.
   */
  met?: () => Promise<string>;
}

/** A fault did not take hold, or cannot be shown to have: whatever a clause says then proves nothing. */
export class Unproven extends Error {
  override readonly name = 'Unproven';
}

/** A fault with its parameters' type found out from their schema. */
export function fault<S extends z.ZodType>(
  id: string,
  parameters: S,
  rest: Omit<Fault<z.output<S>>, 'id' | 'parameters'>,
): Fault {
  // The library holds faults of all kinds; `parameters` is parsed by the fault's own schema before it gets them.
  return { id, parameters, ...rest } as unknown as Fault;
}
