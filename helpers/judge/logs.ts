/** Lines of a log, the kernel's or an engine's. */
interface LogRule {
  where: 'kernel' | 'engine';
  lines: RegExp;
}

/** Which lines of a log are held against the product, and which against the lab. */
export interface LogPolicy {
  /** What counts, unless an exception explains it. */
  counts: readonly LogRule[];
  exceptions: readonly LogRule[];
  /** What tells that an engine was kept from running. */
  stalls: readonly LogRule[];
}

/** The lines that count and that no exception explains, in their order. */
export function unexplained(
  { counts, exceptions }: Omit<LogPolicy, 'stalls'>,
  where: 'kernel' | 'engine',
  lines: readonly string[],
): string[] {
  return lines.filter((line) => matches(counts, where, line) && !matches(exceptions, where, line));
}

/** The lines that tell of an engine that was kept from running, in their order. */
export function stallsIn(
  { stalls }: Pick<LogPolicy, 'stalls'>,
  where: LogRule['where'],
  lines: readonly string[],
): string[] {
  return lines.filter((line) => matches(stalls, where, line));
}

function matches(rules: readonly LogRule[], where: LogRule['where'], line: string): boolean {
  return rules.some((rule) => rule.where === where && rule.lines.test(line));
}
