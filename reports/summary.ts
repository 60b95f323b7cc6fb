import { type Cell, type ClauseVerdict, VERDICTS, type VerdictFile } from '../helpers/verdict/model.ts';

/** Most lines a summary takes, so that it fits a terminal. */
export const SUMMARY_LINES = 25;

/** Where a reader finds more; what was not made is left out. */
export interface Places {
  page?: string | undefined;
  allure?: string | undefined;
  verdict?: string | undefined;
}

/**
 * The run in at most 25 lines of at most `width` characters: the outcome, what broke outside the clauses, each cell,
 * every clause that did not pass with node and reason (worst first, as many as fit), and where to read on.
 */
export function summarise(verdict: VerdictFile, places: Places, width = 120): string[] {
  const { run, cells, clauses } = verdict;
  // An error's class is for programs; its message says the same to people.
  const message = (run.message ?? '').replace(/^\w*Error: /, '');
  const head = [
    headline(verdict),
    ...atMost(
      5,
      message
        .split('\n')
        .filter(Boolean)
        .flatMap((line) => wrap(line, width)),
      'lines of this message',
    ),
    ...atMost(
      6,
      cells.filter(({ error }) => error === undefined || !message.includes(error)).map(cellLine),
      'cells',
    ),
  ];
  const tail = Object.entries({
    report: places.page,
    allure: places.allure,
    verdict: places.verdict,
  }).flatMap(([what, path]) => (path === undefined ? [] : [`${what.padEnd(8)} ${path}`]));
  const open = clauses.filter((clause) => clause.verdict !== 'pass').sort(byVerdict);
  const lines = [...Map.groupBy(open, sameFate).values()].flatMap((clauses) => {
    const why = whyLine(clauses[0] as ClauseVerdict, run.message, cells.length > 1);
    return clauses.length < CROWD ? clauses.map(({ id }) => why(id)) : [why(crowd(clauses))];
  });
  const room = SUMMARY_LINES - head.length - tail.length;
  return [...head, ...atMost(room, lines, 'that did not pass'), ...tail].map((line) => cut(line, width));
}

/** From this number on, clauses that share verdict, reason and words share a line: a dead lab is told once. */
const CROWD = 5;

function sameFate({ verdict, cell, node, reason, message }: ClauseVerdict): string {
  return JSON.stringify([verdict, cell, node, reason, message]);
}

function crowd(clauses: ClauseVerdict[]): string {
  return `${clauses.length} clauses, ${clauses[0]?.id} to ${clauses.at(-1)?.id}`;
}

function whyLine(
  { verdict, cell, node, reason, message }: ClauseVerdict,
  told: string | undefined,
  manyCells: boolean,
) {
  const where = [...(manyCells ? [cell] : []), ...(node === null ? [] : [node])].join(' ');
  const why = [reason, message === told ? null : message].filter((part) => part !== null).join(': ');
  return (who: string) => `  ${verdict.padEnd(13)} ${who}${where && ` on ${where}`}: ${why}`;
}

function headline({ run, totals, clauses, time }: VerdictFile): string {
  const counts = VERDICTS.filter((verdict) => totals[verdict] > 0).map(
    (verdict) => `${totals[verdict]} ${verdict}`,
  );
  const completed = run.exitReason === 'completed';
  // Nothing is open where nothing was asked for: of more shards than spec files some are empty.
  if (completed && clauses.length === 0)
    return `NOTHING JUDGED: no clause was selected, in ${duration(time.total)}`;
  const outcome = clauses.length === 0 ? 'no clause was judged' : counts.reverse().join(', ');
  const end = completed ? '' : ` [${run.exitReason}]`;
  const open = totals.inconclusive > 0 || !completed;
  const word = totals.fail > 0 ? 'NOT CONFORMING' : open ? 'INCONCLUSIVE' : 'CONFORMING';
  return `${word}: ${outcome} in ${duration(time.total)}${end}`;
}

function cellLine({ name, kernel, engines, accelerator, rules, error }: Cell): string {
  if (error !== undefined && kernel === null) return `cell ${name}: ${error}`;
  const versions = [...new Set(Object.values(engines ?? {}))].join(' and ') || 'unknown';
  const where = accelerator === null ? '' : `, ${accelerator}`;
  const drift = rules?.changedLines
    ? `; ${rules.changedLines} lines of its rules differ from ${rules.document}`
    : '';
  return `cell ${name}: kernel ${kernel ?? 'unknown'}, engine ${versions}${where}${drift}${error === undefined ? '' : `; ${error}`}`;
}

function byVerdict(a: ClauseVerdict, b: ClauseVerdict): number {
  return VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict);
}

/** Whole time in words a person reads at a glance. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function atMost(count: number, lines: string[], what: string): string[] {
  if (lines.length <= count) return lines;
  return [...lines.slice(0, count - 1), `… and ${lines.length - count + 1} more ${what}`];
}

/** A line as several of at most `width` characters, broken between words. */
function wrap(line: string, width: number): string[] {
  return (
    line.match(new RegExp(`.{1,${width}}(?:\\s+|$)|\\S{${width}}`, 'g'))?.map((part) => part.trimEnd()) ?? []
  );
}

function cut(line: string, width: number): string {
  const single = line.replaceAll(/\s*\n\s*/g, ' ');
  return single.length <= width ? single : `${single.slice(0, width - 1)}…`;
}
