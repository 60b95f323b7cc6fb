import { messageOf } from '../errors.ts';

/**
 * Something that goes on while something else is done: called, it begins, and answers when it is really under way; the function it
 * gives then ends it and brings what was seen all the while.
 */
export type Ongoing<T> = () => Promise<() => Promise<T>>;

/** What each of several ongoing things saw, by name. */
type Seen<M extends Record<string, Ongoing<unknown>>> = {
  [name in keyof M]: M[name] extends Ongoing<infer T> ? T : never;
};

/**
 * Does something while other things go on, such as traffic (`Vantage.sending`) or a look at the kernel many times a second
 * (`Node.ipvsOverTime`). They begin one after another in the order given, all are under way before the action begins, and all are
 * ended when it is done or has failed.
 *
 * @param keep gets what they saw, whatever became of the action.
 * @returns what each saw, every record of it.
 */
export async function meanwhile<M extends Record<string, Ongoing<unknown>>>(
  ongoing: M,
  action: () => Promise<unknown>,
  keep: (seen: Seen<M>) => Promise<void>,
): Promise<Seen<M>> {
  const begun: (readonly [string, () => Promise<unknown>])[] = [];
  for (const [name, begin] of Object.entries(ongoing)) begun.push([name, await begin()]);
  const end = async () => {
    const seen = begun.map(async ([name, stop]) => [name, await stop()] as const);
    const all = Object.fromEntries(await Promise.all(seen)) as Seen<M>;
    await keep(all);
    return all;
  };
  try {
    await action();
  } catch (error) {
    // What the action died of is the better story than an observer that broke along with it, which is told beside it.
    await end().catch((broken: unknown) => {
      if (error instanceof Error) error.message += `\nwhat went on meanwhile was lost: ${messageOf(broken)}`;
    });
    throw error;
  }
  return end();
}

/** Several things that go on at once as one, such as the same traffic from several places; they begin all at once. */
export function together<T>(parts: Readonly<Record<string, Ongoing<T>>>): Ongoing<Record<string, T>> {
  const all = async <R>(each: (readonly [string, () => Promise<R>])[]) =>
    Promise.all(each.map(async ([name, act]) => [name, await act()] as const));
  return async () => {
    const begun = await all(Object.entries(parts));
    return async () => Object.fromEntries(await all(begun));
  };
}
