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
  /** What tells that a known defect was at work. */
  symptoms: readonly LogRule[];
}

/** The lines that count and that no exception explains, in their order. */
export function unexplained(
  { counts, exceptions }: Pick<LogPolicy, 'counts' | 'exceptions'>,
  where: 'kernel' | 'engine',
  lines: readonly string[],
): string[] {
  return lines.filter((line) => matches(counts, where, line) && !matches(exceptions, where, line));
}

/** The lines of an engine's log that tell of one thing: that it was kept from running, or that a known defect was at work. */
export function engineTells(
  policy: LogPolicy,
  what: 'stalls' | 'symptoms',
  lines: readonly string[],
): string[] {
  return lines.filter((line) => matches(policy[what], 'engine', line));
}

function matches(rules: readonly LogRule[], where: LogRule['where'], line: string): boolean {
  return rules.some((rule) => rule.where === where && rule.lines.test(line));
}
