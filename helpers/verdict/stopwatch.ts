import { NO_TIME, type Spent } from './model.ts';

/** Adds up time by what it was spent on. Of nested activities the outer one counts, of parallel ones of a kind their union. */
export class Stopwatch {
  #spent: Spent = { ...NO_TIME };
  #active: { on: keyof Spent; since: number; depth: number } | undefined;

  /** Runs something and books its time. */
  async spend<T>(on: keyof Spent, run: () => Promise<T>): Promise<T> {
    const active = this.#active ?? { on, since: performance.now(), depth: 0 };
    this.#active = active;
    active.depth += 1;
    try {
      return await run();
    } finally {
      active.depth -= 1;
      if (active.depth === 0) {
        this.#spent[active.on] += performance.now() - active.since;
        this.#active = undefined;
      }
    }
  }

  /** What was booked since the last time this was asked. */
  take(): Spent {
    const taken = this.#spent;
    this.#spent = { ...NO_TIME };
    return taken;
  }
}

/** The stopwatch of this process: a worker runs one clause at a time. */
export const stopwatch = new Stopwatch();
