import { setTimeout as pause } from 'node:timers/promises';
import { Inconclusive, messageOf } from '../errors.ts';

/**
 * Asks until the answer is there. This and `swarm/settle.ts` are the only places where the suite waits.
 *
 * @param what named in the error, as in "no answer from ...".
 * @param ask returns undefined, or throws, while it is too early.
 * @throws Inconclusive with the last thing seen when `withinMs` has passed; at once when `alive` says why it is in vain.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  options: { withinMs: number; everyMs: number; alive?: () => string | undefined },
): Promise<T> {
  const started = performance.now();
  let last = 'nothing yet';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = messageOf(error);
    }
    const dead = options.alive?.();
    if (dead) throw new Inconclusive('lab', `${what}: ${dead}`);
    const waited = performance.now() - started;
    if (waited > options.withinMs) {
      throw new Inconclusive('lab', `${what}: not within ${Math.round(options.withinMs / 1000)} s; last seen: ${last}`);
    }
    await pause(options.everyMs);
  }
}
