/** What the parsers of iproute2's JSON share. */

/**
 * Reads a JSON list of objects, each with `read`.
 * @param source names the command in refusals.
 * @throws {Error} quoting the text when it is not such a list; `refusal` makes the error that quotes one entry.
 */
export function readList<T>(
  source: string,
  text: string,
  read: (entry: Record<string, unknown>, refusal: () => Error) => T,
): T[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${source}: not JSON\n> ${text}`, { cause });
  }
  if (!Array.isArray(list)) throw new Error(`${source}: not a list\n> ${text}`);
  return list.map((entry: unknown) =>
    read(
      Object(entry) as Record<string, unknown>,
      () => new Error(`${source}: not an entry\n> ${JSON.stringify(entry)}`),
    ),
  );
}
