import { styleText } from 'node:util';
import type { ClauseVerdict, Verdict } from '../helpers/verdict/model.ts';
import type { Selected } from './selection.ts';
import { duration } from './summary.ts';

const colours = {
  pass: 'green',
  fail: 'red',
  inconclusive: 'magenta',
  'expected-fail': 'yellow',
  skipped: 'gray',
} as const satisfies Record<Verdict, string>;

/** Verdicts that a reader wants to know of at once, even in a log. */
const RED: ReadonlySet<Verdict> = new Set(['fail', 'inconclusive']);

/** Where progress is shown. */
export interface Screen {
  /** Whether a line can be taken back. */
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** What progress is told about a run before it begins. */
export interface Plan {
  selected: readonly Selected[];
  /** Area of a clause. */
  areaOf: (clause: string) => string;
  /** How long a clause took when it was judged last, in ms, where that is known. */
  expected: (clause: { cell: string; id: string }) => number | undefined;
  /** Labs that work side by side. */
  workers: number;
}

/** Of clauses that could not be judged for one and the same reason so many have a line of their own. */
const MOST_ALIKE = 2;

/** How often the last line of a terminal is brought up to date (ms). */
const REFRESH_MS = 1000;

/**
 * Progress of a run. On a terminal every verdict has its line, and below them one line says what is being judged, how
 * long that has taken, and how long the rest will. A log, where no line can be taken back, gets one line for each clause
 * that failed or could not be judged, at once, and one for each area that is done.
 */
export class Progress {
  readonly #screen: Screen;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #running = new Map<string, { selected: Selected; since: number }>();
  readonly #done = new Map<string, Verdict>();
  readonly #fates = new Map<string, number>();
  #plan: Plan = { selected: [], areaOf: () => '', expected: () => undefined, workers: 1 };
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  constructor(screen: Screen, now: () => number = Date.now) {
    this.#screen = screen;
    this.#now = now;
    this.#startedAt = now();
  }

  /** The run begins. */
  begin(plan: Plan): void {
    this.#plan = plan;
    if (!this.#screen.isTTY || plan.selected.length === 0) return;
    this.#timer = setInterval(() => this.#draw(), REFRESH_MS).unref();
    this.#draw();
  }

  /** A lab begins with a clause. */
  started(selected: Selected): void {
    this.#running.set(selected.test, { selected, since: this.#now() });
    this.#draw();
  }

  /** A clause has its verdict. */
  judged(selected: Selected, clause: ClauseVerdict): void {
    this.#running.delete(selected.test);
    this.#done.set(selected.test, clause.verdict);
    const alike = this.#alike(clause);
    if (alike === MOST_ALIKE) this.say('… and others, for the same reason');
    if (alike < MOST_ALIKE && (this.#screen.isTTY || RED.has(clause.verdict))) this.say(this.#line(clause));
    if (!this.#screen.isTTY) this.#sayArea(selected);
  }

  /** Writes a line of its own, above the one that changes. */
  say(line: string): void {
    this.write(`${line}\n`);
  }

  /** Lets others write, such as a spec that prints, there or to another stream of the same terminal. */
  write(text: string | Buffer, to: Pick<Screen, 'write'> = this.#screen): void {
    this.#clear();
    to.write(String(text));
    // What ends within a line would be written over.
    if (String(text).endsWith('\n')) this.#draw();
  }

  /** The run is over: the line that changes goes. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  /** What is being judged and how long it will take, in one line. */
  status(): string {
    const { selected } = this.#plan;
    const running = [...this.#running.values()].map(
      ({ selected: { clause }, since }) =>
        `${this.#plan.areaOf(clause).toUpperCase()} ${clause} ${duration(this.#now() - since)}`,
    );
    const left = this.#left();
    const counts = [...Map.groupBy(this.#done.values(), (verdict) => verdict)]
      .filter(([verdict]) => RED.has(verdict))
      .map(([verdict, { length }]) => `, ${length} ${verdict}`)
      .join('');
    return [
      `${this.#done.size} of ${selected.length}${counts}`,
      `${duration(this.#now() - this.#startedAt)}${left === undefined ? '' : `, about ${duration(left)} left`}`,
      ...running,
    ].join(' | ');
  }

  /**
   * How long the rest will take, in ms: the time that each clause took last, those that are new like the median, shared
   * out over the labs. Nothing while no clause is known.
   */
  #left(): number | undefined {
    const { selected, expected, workers } = this.#plan;
    const timeOf = ({ cell, clause }: Selected) => expected({ cell, id: clause });
    const known = selected.flatMap((one) => timeOf(one) ?? []).toSorted((a, b) => a - b);
    const median = known[Math.floor(known.length / 2)];
    if (median === undefined) return undefined;
    const open = selected.filter(({ test }) => !this.#done.has(test));
    const rest = open.map((one) => {
      const since = this.#running.get(one.test)?.since;
      return Math.max(0, (timeOf(one) ?? median) - (since === undefined ? 0 : this.#now() - since));
    });
    const sum = rest.reduce((total, ms) => total + ms, 0);
    return Math.max(sum / workers, ...rest);
  }

  /** How many clauses shared their fate with this one before, as after the death of a lab; none where each has one of its own. */
  #alike({ verdict, reason, message }: ClauseVerdict): number {
    if (verdict !== 'inconclusive') return 0;
    const fate = JSON.stringify([reason, message]);
    const before = this.#fates.get(fate) ?? 0;
    this.#fates.set(fate, before + 1);
    return before;
  }

  #line({ verdict, id, cell, title, durationMs, node, reason, message }: ClauseVerdict): string {
    const several = this.#plan.selected.some((other) => other.cell !== cell);
    const where = [...(several ? [cell] : []), ...(RED.has(verdict) && node ? [node] : [])].join(' ');
    const why = RED.has(verdict) ? `: ${(message ?? reason ?? '').split('\n')[0]}` : '';
    const colour = this.#screen.isTTY ? (text: string) => styleText(colours[verdict], text) : String;
    return `${colour(verdict.padEnd(13))} ${id}${where && ` on ${where}`} ${title} (${duration(durationMs)})${why}`;
  }

  /** Says that an area is done when the last of its clauses is. */
  #sayArea({ clause, cell }: Selected): void {
    const { selected, areaOf } = this.#plan;
    const area = areaOf(clause);
    const own = selected.filter((one) => one.cell === cell && areaOf(one.clause) === area);
    const verdicts = own.map(({ test }) => this.#done.get(test));
    if (verdicts.includes(undefined)) return;
    const counts = [...Map.groupBy(verdicts, String)].map(([verdict, { length }]) => `${length} ${verdict}`);
    const where = selected.some((other) => other.cell !== cell) ? ` on ${cell}` : '';
    this.say(
      `${area.toUpperCase()}${where} done: ${counts.join(', ')}; ${this.#done.size} of ${selected.length} clauses after ${duration(this.#now() - this.#startedAt)}`,
    );
  }

  #draw(): void {
    if (this.#timer === undefined) return;
    const width = this.#screen.columns ?? 80;
    const line = this.status();
    this.#clear();
    this.#screen.write(line.length < width ? line : `${line.slice(0, width - 2)}…`);
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) this.#screen.write('\r\u001B[2K');
    this.#shown = false;
  }
}
