/**
 * Something outside the product under test broke: the lab, an observer, or the suite itself.
 *
 * A clause that ends with this error is *inconclusive*: it is neither a pass nor a product failure.
 */
export class Inconclusive extends Error {
  override readonly name = 'Inconclusive';
  /** Which of our own parts broke; `replay`: what a clause asked again of its transcript is not there. */
  readonly reason: 'lab' | 'observer' | 'suite' | 'replay';
  /** The Swarm node concerned, when it is known. */
  readonly node: string | undefined;

  constructor(
    reason: Inconclusive['reason'],
    message: string,
    options: { node?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.node = options.node;
  }
}

/**
 * The product broke a documented promise: expected and seen are named, and the node where it was seen.
 *
 * Failed `expect(...)` calls mean the same; this is for judgements that are not a matcher.
 */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** The Swarm node on which the promise was seen broken, when it is one. */
  readonly node: string | undefined;

  constructor(message: string, options: { node?: string | undefined } = {}) {
    super(message);
    this.node = options.node;
  }
}

/** The user asked for something that cannot be: one sentence says what, and what would do. No stack is shown. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Exit status of a command that Ctrl-C ended, as shells say it (128 and the number of SIGINT). */
export const INTERRUPTED = 130;

/** The text of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
