/** Which lines of a log are held against the product. */
export interface LogPolicy {
  /** What counts, unless an exception explains it. */
  counts: readonly { where: 'kernel' | 'engine'; lines: RegExp }[];
  exceptions: readonly { where: 'kernel' | 'engine'; lines: RegExp }[];
}

/** The lines that count and that no exception explains, in their order. */
export function unexplained(
  { counts, exceptions }: LogPolicy,
  where: 'kernel' | 'engine',
  lines: readonly string[],
): string[] {
  const matches = (rules: LogPolicy['counts'], line: string) =>
    rules.some((rule) => rule.where === where && rule.lines.test(line));
  return lines.filter((line) => matches(counts, line) && !matches(exceptions, line));
}
