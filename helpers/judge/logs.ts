/** Lines of a log, the kernel's or an engine's. */
interface LogRule {
  where: 'kernel' | 'engine';
  lines: RegExp;
}

/** A rule that explains lines. */
interface LogException extends LogRule {
  /** The clauses in which it does, and `hurt` for any that broke a node itself; absent when it always does. */
  during?: readonly string[] | undefined;
  /** The day from which on it does no more, as in 2026-12-31. */
  ends?: string | undefined;
}

/** What was judged while lines were logged. */
export interface Meanwhile {
  /** Id of the clause. */
  clause: string;
  /** Whether it broke a node itself. */
  hurt: boolean;
}

/** Which lines of a log are held against the product, and which against the lab. */
export interface LogPolicy {
  /** What counts, unless an exception explains it. */
  counts: readonly LogRule[];
  exceptions: readonly LogException[];
  /** What tells that an engine was kept from running. */
  stalls: readonly LogRule[];
  /** What tells that a known defect was at work. */
  symptoms: readonly LogRule[];
}

/**
 * The lines that count and that no exception explains, in their order. One that tells of a stall is held against the lab instead.
 */
export function unexplained(
  { counts, exceptions, stalls }: Pick<LogPolicy, 'counts' | 'exceptions' | 'stalls'>,
  where: 'kernel' | 'engine',
  lines: readonly string[],
  meanwhile: Meanwhile,
): string[] {
  return lines.filter(
    (line) =>
      matches(counts, where, line) &&
      !matches(stalls, where, line) &&
      !matches(
        exceptions.filter((exception) => holds(exception, line, meanwhile)),
        where,
        line,
      ),
  );
}

/** Whether an exception holds for a line. One that ends on a day explains no line that does not say when it was logged. */
function holds({ during, ends }: LogException, line: string, { clause, hurt }: Meanwhile): boolean {
  if (during && !during.includes(clause) && !(hurt && during.includes('hurt'))) return false;
  if (ends === undefined) return true;
  const day = /^time="(\d{4}-\d\d-\d\d)T/.exec(line)?.[1];
  return day !== undefined && day < ends;
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
