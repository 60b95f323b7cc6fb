/** What every parser here shares: numbered lines, and the refusal of a line none of them knows. */

/**
 * A line (or the end of the text) that a parser does not know. Nothing is ever skipped: a format that has drifted
 * must break the observer, which makes a verdict inconclusive, and not quietly shrink what was seen.
 */
export class UnknownLine extends Error {
  override name = 'UnknownLine';
  /** The refused line, as it came. */
  readonly line: string;

  constructor(source: string, number: number, line: string, reason: string) {
    super(`${source}, line ${number}: ${reason}\n> ${line}`);
    this.line = line;
  }
}

/** One line of a tool's output and the way to refuse it. */
export interface Line {
  readonly text: string;
  /** The error to throw when this line cannot be read; `reason` completes "line 7: ...". */
  refusal(reason?: string): UnknownLine;
}

/** The lines of `text`, without the line ends that close it; `source` names the tool in refusals. */
export function linesOf(source: string, text: string): [Line, ...Line[]] {
  const lines = text.replace(/\n+$/, '').split('\n');
  // split() never returns an empty list: the empty text is one empty line.
  return lines.map((line, index) => ({
    text: line,
    refusal: (reason = 'not a line this parser knows') => new UnknownLine(source, index + 1, line, reason),
  })) as [Line, ...Line[]];
}

/** The error to throw when the text ends too early; it quotes the last line. */
export function cutOff([first, ...rest]: [Line, ...Line[]], reason: string): UnknownLine {
  return (rest.at(-1) ?? first).refusal(reason);
}

/**
 * A counter that the tool printed in full. IPVS and iptables count in 64 bits; beyond 2^53 a JavaScript number would
 * round, and an exact comparison would lie.
 * @throws {UnknownLine} when `digits` is not exact as a number
 */
export function exactCount(digits: string, line: Line): number {
  const count = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(count))
    throw line.refusal(`${digits} is not an exact count`);
  return count;
}

/** An IP address and a port, the address as the tool prints it (IPv6 without brackets). */
export interface Endpoint {
  address: string;
  port: number;
}
