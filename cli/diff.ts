import path from 'node:path';
import { styleText } from 'node:util';
import {
  type CellComparison,
  type Comparison,
  compare,
  type FactChange,
  type Flip,
  type MeasureChange,
  type TimeComparison,
} from '../helpers/compare/compare.ts';
import { UsageError } from '../helpers/errors.ts';
import { valueInWords } from '../helpers/verdict/measures.ts';
import { holds } from '../helpers/verdict/model.ts';
import { readVerdict } from '../helpers/verdict/read.ts';
import { command } from '../reports/advice.ts';
import { columns, count } from './words.ts';

/** Exit statuses of `diff`; 2 is wrong use, as everywhere. */
const STATUS = { 'not-worse': 0, worse: 1, open: 3 } as const satisfies Record<Comparison['outcome'], number>;

/** How clauses changed, as it matters to the reader. */
const KINDS = ['worse', 'open', 'better', 'other'] as const;
type Kind = (typeof KINDS)[number];

/** So many of a kind are read at a glance; `--json` has all. */
const MOST_FLIPS = 8;
const MOST_IDS = 3;
const MOST_FACTS = 4;
const MOST_STAND_OUTS = 3;
const MOST_MEASURES = 6;

/**
 * `diff`: compares the verdicts of two runs and prints what changed.
 *
 * @param a verdict file, or folder that holds one, of the run that B is compared with.
 * @returns 0 when B is not worse, 1 when it is, 3 when one run left open what the other knew.
 * @throws UsageError when one of them cannot be read, or when they have no clause in common.
 */
export function diff(a: string, b: string, { json = false }: { json?: boolean } = {}): number {
  const comparison = compare(readVerdict(a), readVerdict(b));
  requireCommon(comparison, a, b);
  if (json) console.log(JSON.stringify(comparison, null, 2));
  else for (const line of wordsOf(comparison, b, process.stdout.columns || 120)) console.log(line);
  return STATUS[comparison.outcome];
}

function requireCommon({ cells, onlyIn }: Comparison, a: string, b: string): void {
  if (cells.length === 0) {
    const [inA, inB] = [onlyIn.a, onlyIn.b].map((names) => names.join(', ') || 'none');
    throw new UsageError(
      `${a} and ${b} have no cell in common: A has ${inA}, B has ${inB}. Cells are matched by name.`,
    );
  }
  if (cells.every((cell) => clausesIn(cell) === 0))
    throw new UsageError(
      `${a} and ${b} have no clause in common, so there is nothing to compare: judge the same clauses in both.`,
    );
}

/** A line of the text: what it is about, and what there is to say. */
type Line = readonly [about: string, text: string];

/** The comparison for a terminal of this width. @param b where the later run lies, for naming its evidence. */
function wordsOf(comparison: Comparison, b: string, width: number): string[] {
  const { cells, onlyIn } = comparison;
  const folder = path.extname(b) === '.json' ? path.dirname(b) : b;
  const lines = [
    ...endOf('A', comparison.a),
    ...endOf('B', comparison.b),
    ...cells.flatMap((cell) => [...cellName(cell, cells.length > 1), ...cellLines(cell)]),
    ...only('cell', 'A', onlyIn.a),
    ...only('cell', 'B', onlyIn.b),
  ].map((line) => cut(laidOut(line), width));
  // A command is there to be copied: it stays whole.
  return [cut(headline(comparison), width), ...lines, ...next(comparison, folder).map(laidOut)].map(paint);
}

function laidOut([about, text]: Line): string {
  return `  ${about.padEnd(8)}${text}`;
}

const OUTCOMES = { worse: 'WORSE', open: 'CANNOT TELL', 'not-worse': 'NOT WORSE' } as const;

function headline({ outcome, cells }: Comparison): string {
  const number = (kind: Kind) => cells.reduce((sum, cell) => sum + cell[kind].length, 0);
  const said: Record<Kind, string> = {
    worse: `${count(number('worse'), 'clause')} held in A and no longer in B`,
    open: `${number('open')} left open by one of the runs`,
    better: `${number('better')} of A's failures gone`,
    other: `${number('other')} changed otherwise`,
  };
  const same = cells.reduce((sum, cell) => sum + cell.same, 0);
  const counts = KINDS.filter((kind) => number(kind) > 0).map((kind) => said[kind]);
  return `${OUTCOMES[outcome]}: ${[...counts, `${same} as before`].join(', ')}`;
}

function endOf(which: string, { exitReason }: Comparison['a']): Line[] {
  if (exitReason === 'completed') return [];
  const end = exitReason === 'running' ? 'has not finished, or was killed' : `ended early: ${exitReason}`;
  return [['note', `run ${which} ${end}`]];
}

function cellName({ cell: { a, b } }: CellComparison, always: boolean): Line[] {
  if (a !== b) return [['cell', `${a} of A against ${b} of B`]];
  return always ? [['cell', a]] : [];
}

function cellLines(cell: CellComparison): Line[] {
  return [
    ...KINDS.flatMap((kind) => flipLines(kind, cell[kind])),
    ...only('clause', 'A', cell.onlyIn.a),
    ...only('clause', 'B', cell.onlyIn.b),
    ...factLines(cell.facts),
    ...timeLines(cell),
    ...measureLines(cell.measured),
  ];
}

/** One line a clause; clauses that share their fate, as after a dead lab, share a line. */
function flipLines(kind: Kind, flips: Flip[]): Line[] {
  const groups = [...Map.groupBy(flips, (flip) => `${flip.from} ${flip.to} ${why(flip)}`).values()];
  const rows = groups.map((alike) => {
    const [{ level, from, to }] = alike as [Flip];
    return [crowd(alike.map((flip) => flip.id)), level ?? '', `${from} → ${to}`, why(alike[0] as Flip)];
  });
  const shown = columns(rows.slice(0, MOST_FLIPS)).map((text): Line => [kind, text]);
  const rest = groups.slice(MOST_FLIPS).flat().length;
  return rest > 0 ? [...shown, [kind, `… and ${rest} more (--json)`]] : shown;
}

function crowd(ids: string[]): string {
  const rest = ids.length - MOST_IDS;
  return [...ids.slice(0, MOST_IDS), ...(rest > 0 ? [`and ${rest} more`] : [])].join(' ');
}

/** Where it broke and why; of one that holds there is nothing to tell. */
function why({ to, node, reason, message }: Flip): string {
  if (to === 'pass') return '';
  const where = node === null ? '' : `on ${node}: `;
  return `${where}${message ?? reason ?? ''}`.replaceAll(/\s*\n\s*/g, ' ');
}

function only(what: string, where: string, names: readonly string[]): Line[] {
  if (names.length === 0) return [];
  const more = names.length > MOST_FLIPS ? ' …' : '';
  const shown = names.slice(0, MOST_FLIPS).join(' ');
  return [['note', `${count(names.length, what)} only in ${where}: ${shown}${more}`]];
}

function factLines(facts: FactChange[]): Line[] {
  if (facts.length === 0) return [['facts', 'kernel, engines and all else that is recorded are the same']];
  const sections = [...Map.groupBy(facts, ({ section }) => section)];
  return columns(sections.map(([section, changes]) => [section, changesOf(changes)])).map(
    (text, index): Line => [index === 0 ? 'facts' : '', text],
  );
}

/** The changes of one section, those that are alike told once: `m1, w1, w2: 26.1.5 → 28.5.2`. */
function changesOf(changes: FactChange[]): string {
  // The hash of an image says nothing when its packages tell what changed.
  const explained = ({ name }: FactChange) =>
    name.endsWith('.hash') &&
    changes.some((other) => other.name.startsWith(name.replace(/hash$/, 'packages.')));
  const told = changes.filter((change) => !explained(change));
  const groups = [...Map.groupBy(told, ({ a, b }) => `${short(a)} → ${short(b)}`)].map(([change, alike]) => {
    const names = alike.map(({ name }) => name.replace('.packages.', ' ')).filter(Boolean);
    const more = names.length > MOST_FACTS ? ' …' : '';
    const shown = names.slice(0, MOST_FACTS).join(', ');
    return `${shown}${more}${shown && ': '}${change}`;
  });
  const rest = groups.length - MOST_FACTS;
  return [...groups.slice(0, MOST_FACTS), ...(rest > 0 ? [`${rest} more (--json)`] : [])].join('; ');
}

/** A value as it fits into a line: of a document, its size. */
function short(value: string | null): string {
  if (value === null) return 'none';
  const lines = value.trimEnd().split('\n').length;
  if (lines > 1) return `${lines} lines`;
  return value.length > 60 ? `${value.slice(0, 59)}…` : value;
}

function timeLines({ time, facts }: CellComparison): Line[] {
  const { all, standOut, confidence } = time;
  if (all === null) return [['time', 'too few clauses hold in both for saying how long they take']];
  const word = all.low > 1 ? 'slower' : all.high < 1 ? 'faster' : 'no shift seen';
  const interval = `${Math.round(confidence * 100)} % interval ${all.low.toFixed(2)} to ${all.high.toFixed(2)}`;
  const looks = standOut
    .slice(0, MOST_STAND_OUTS)
    .map(({ id, aMs, bMs }) => `${id} ${seconds(aMs)} → ${seconds(bMs)}`);
  return [
    ['time', `${word}: ×${all.factor.toFixed(2)}, ${interval}, ${all.count} clauses${caution(time, facts)}`],
    ...(looks.length > 0 ? [['', `far above the others, seen once: ${looks.join(', ')}`] as const] : []),
  ];
}

/** What was measured, the largest changes first: numbers to look at, each seen once, that decide nothing. */
function measureLines(measured: MeasureChange[]): Line[] {
  const rows = measured.slice(0, MOST_MEASURES).map(({ clause, name, unit, a, b }) => {
    const factor = a > 0 && b > 0 ? `×${(b / a).toFixed(2)}` : '';
    return [name, `${valueInWords(a, unit)} → ${valueInWords(b, unit)}`, factor, clause];
  });
  const rest = measured.length - rows.length;
  const more: Line[] = rest > 0 ? [['', `… and ${rest} that changed less (--json)`]] : [];
  return [...columns(rows).map((text, index): Line => [index === 0 ? 'measure' : '', text]), ...more];
}

/** What else than the product may explain a shift. */
function caution({ basis, pace: { a, b } }: TimeComparison, facts: FactChange[]): string {
  const other = ['accelerator', 'qemu'].filter((section) => facts.some((fact) => fact.section === section));
  const notes = [
    ...(a !== null && b !== null ? [`lab pace ${a.toFixed(1)} → ${b.toFixed(1)}`] : []),
    ...other.map((section) => `another ${section}`),
    ...(basis === 'duration' ? ['restores included'] : []),
  ];
  return notes.length > 0 ? `; ${notes.join(', ')}` : '';
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What to read and what to run when something got worse, or was left open. */
function next({ cells }: Comparison, folder: string): Line[] {
  const cell = cells.find(({ worse }) => worse.length > 0);
  const flip = cell?.worse[0];
  if (!cell || !flip) return cells.flatMap(judgeAgain);
  const [file] = flip.evidence;
  const change = (section: string) => cell.facts.find((fact) => fact.section === section);
  const [kernel, engine] = [change('kernel'), change('engines')];
  return [
    ...(file ? [['next', `read ${path.join(folder, path.dirname(file))}/`] as const] : []),
    ...(kernel && engine
      ? [['next', 'kernel and engine both changed: run B with one of them as in A'] as const]
      : []),
    ...(kernel && !engine ? [bisection(flip, '--kernels', kernel)] : []),
    ...(engine && !kernel ? [bisection(flip, '--engines', engine)] : []),
  ];
}

/** What judges again what each of the runs left open, in a cell like its own. */
function judgeAgain({ open, settings }: CellComparison): Line[] {
  const { a = [], b = [] } = Object.groupBy(open, ({ to }) =>
    holds({ verdict: to, reason: null }) === undefined ? 'b' : 'a',
  );
  return (
    [
      ['A', a, settings.a],
      ['B', b, settings.b],
    ] as const
  ).flatMap(([run, flips, given]): Line[] => {
    if (flips.length === 0) return [];
    const words = `npx playwright test --grep '${flips.map(({ id }) => id).join('|')}'`;
    return [['next', `judge again what ${run} left open: ${command({ settings: given }, words)}`]];
  });
}

function bisection({ id }: Flip, option: string, { a, b }: FactChange): Line {
  return ['next', `since when: npx swarmproof bisect --clause ${id} ${option} <${a} to ${b}>`];
}

function clausesIn(cell: CellComparison): number {
  return KINDS.reduce((sum, kind) => sum + cell[kind].length, cell.same);
}

const COLOURS: Record<string, Parameters<typeof styleText>[0]> = {
  WORSE: 'red',
  worse: 'red',
  'CANNOT TELL': 'magenta',
  open: 'magenta',
  'NOT WORSE': 'green',
  better: 'green',
};

function paint(line: string): string {
  return line.replace(/^(?: {2}\w+|[A-Z ]+(?=:))/, (word) => {
    const colour = COLOURS[word.trim()];
    return colour ? styleText(colour, word) : word;
  });
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}
