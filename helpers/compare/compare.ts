import type { Cell, ClauseVerdict, Measurement, Verdict, VerdictFile } from '../verdict/model.ts';
import { holds, VERDICTS } from '../verdict/model.ts';
import { commonShift, farAbove, type Shift } from './shift.ts';

/** The value of `schema` in what `swarmproof diff --json` prints. */
export const COMPARISON_SCHEMA = 'swarmproof/diff/1';

const CONFIDENCE = 0.95;

/** A clause whose verdict is not the same in both runs. */
export interface Flip {
  id: string;
  title: string;
  level: ClauseVerdict['level'];
  from: Verdict;
  to: Verdict;
  /** Grounds of the later verdict. */
  reason: string | null;
  message: string | null;
  node: string | null;
  /** Files of the later run that show it, relative to the folder of its verdict.json. */
  evidence: string[];
}

/** A fact about a cell that is not the same in both runs; null where one of them does not have it. */
export interface FactChange {
  /** The part of a cell it belongs to: kernel, engines, images and whatever else verdict files come to hold. */
  section: string;
  /** Where in that part, as in `node.packages.docker.io`; empty when the part is one fact. */
  name: string;
  a: string | null;
  b: string | null;
}

/** A clause that took much longer, measured by what all others did. */
export interface StandOut {
  id: string;
  aMs: number;
  bMs: number;
}

/** How much longer clauses take that hold in both runs. */
export interface TimeComparison {
  /** What was compared: time spent, without what the lab and deploying took, or whole durations where a file is too old to tell. */
  basis: 'spent' | 'duration';
  confidence: number;
  /**
   * Over all clauses; null when there are too few for an interval. It says how sure the factor between these two runs is; a busier
   * or slower machine explains it as well as a slower product.
   */
  all: Shift | null;
  /** Clauses to look at; nothing is claimed of them. */
  standOut: StandOut[];
  /** How many times slower than the lab of reference each lab was, as the middle of its clauses has it; null where not known. */
  pace: { a: number | null; b: number | null };
}

/** A number that the same clause measured in both runs. Each is seen once: how far it varies between equal runs is not known here. */
export interface MeasureChange {
  clause: string;
  /** A name of `MEASURES`, or one that this version of the suite does not know. */
  name: string;
  unit: Measurement['unit'];
  a: number;
  b: number;
  /** How many requests or events each rests on. */
  samples: { a: number; b: number };
}

/** One cell in both runs. */
export interface CellComparison {
  cell: { a: string; b: string };
  /** With which each was judged, for judging again; null where a file does not tell. */
  settings: { a: Cell['settings']; b: Cell['settings'] };
  /** Held in A and does not in B. */
  worse: Flip[];
  /** The other way round. */
  better: Flip[];
  /** One of the runs found nothing out, so that B may be worse. */
  open: Flip[];
  /** Other verdicts, and B is not worse by them. */
  other: Flip[];
  /** Clauses with the same verdict. */
  same: number;
  onlyIn: { a: string[]; b: string[] };
  facts: FactChange[];
  time: TimeComparison;
  /** What was measured beside judging, what changed by the largest factor first. */
  measured: MeasureChange[];
}

/** Two runs beside each other. */
export interface Comparison {
  schema: typeof COMPARISON_SCHEMA;
  /** Worse: something that held does not hold. Open: nothing of that kind is known, but one run left open what the other knew. */
  outcome: 'worse' | 'open' | 'not-worse';
  a: VerdictFile['run'];
  b: VerdictFile['run'];
  cells: CellComparison[];
  /** Cells that only one of the runs has. */
  onlyIn: { a: string[]; b: string[] };
}

/**
 * Compares two runs cell by cell. Cells are the same when they have the same name; two runs of one cell each are compared
 * whatever its name. A comparison without cells has nothing in common to compare.
 */
export function compare(a: VerdictFile, b: VerdictFile): Comparison {
  const pairs = pairsOf(a.cells, b.cells);
  const cells = pairs.map(([one, other]) => compareCell([a, one], [b, other]));
  const has = (kind: 'worse' | 'open') => cells.some((cell) => cell[kind].length > 0);
  return {
    schema: COMPARISON_SCHEMA,
    outcome: has('worse') ? 'worse' : has('open') ? 'open' : 'not-worse',
    a: a.run,
    b: b.run,
    cells,
    onlyIn: {
      a: a.cells.filter((cell) => !pairs.some(([one]) => one === cell)).map(({ name }) => name),
      b: b.cells.filter((cell) => !pairs.some(([, other]) => other === cell)).map(({ name }) => name),
    },
  };
}

function pairsOf(a: Cell[], b: Cell[]): [Cell, Cell][] {
  const [one, other] = [a[0], b[0]];
  if (one && other && a.length === 1 && b.length === 1) return [[one, other]];
  return a.flatMap((cell) => {
    const same = b.find(({ name }) => name === cell.name);
    return same ? [[cell, same] as [Cell, Cell]] : [];
  });
}

/** A clause in both runs. */
interface Pair {
  a: ClauseVerdict;
  b: ClauseVerdict;
}

function compareCell([a, cellA]: [VerdictFile, Cell], [b, cellB]: [VerdictFile, Cell]): CellComparison {
  const inA = new Map(a.clauses.filter(({ cell }) => cell === cellA.name).map((one) => [one.id, one]));
  const inB = new Map(b.clauses.filter(({ cell }) => cell === cellB.name).map((one) => [one.id, one]));
  const pairs = [...inA.values()].flatMap((one) => {
    const other = inB.get(one.id);
    return other ? [{ a: one, b: other }] : [];
  });
  const kinds = Map.groupBy(pairs, kindOf);
  const flips = (kind: Kind) => (kinds.get(kind) ?? []).sort(byWeight).map(flipOf);
  return {
    cell: { a: cellA.name, b: cellB.name },
    settings: { a: cellA.settings, b: cellB.settings },
    worse: flips('worse'),
    better: flips('better'),
    open: flips('open'),
    other: flips('other'),
    same: kinds.get('same')?.length ?? 0,
    onlyIn: {
      a: [...inA.keys()].filter((id) => !inB.has(id)),
      b: [...inB.keys()].filter((id) => !inA.has(id)),
    },
    facts: changedFacts(cellA, cellB),
    time: compareTimes(pairs),
    measured: pairs.flatMap(measuredIn).sort((one, other) => size(other) - size(one)),
  };
}

function measuredIn({ a, b }: Pair): MeasureChange[] {
  const [before, after] = [numbersOf(a), numbersOf(b)];
  return [...before].flatMap(([key, { name, unit, value, samples }]) => {
    const later = after.get(key);
    if (!later) return [];
    return [
      { clause: a.id, name, unit, a: value, b: later.value, samples: { a: samples, b: later.samples } },
    ];
  });
}

/** What a clause measured, each once: where it was judged several times, the middle one. */
function numbersOf({ measurements }: ClauseVerdict): Map<string, Measurement> {
  const groups = Map.groupBy(measurements, ({ name, unit }) => `${name} in ${unit}`);
  return new Map(
    [...groups].map(([key, all]) => {
      const [one] = all as [Measurement];
      const samples = all.reduce((sum, own) => sum + own.samples, 0);
      return [key, { ...one, samples, value: middle(all.map(({ value }) => value)) ?? one.value }];
    }),
  );
}

/** How large a change is, in either direction; from nothing to something is the largest. */
function size({ a, b }: MeasureChange): number {
  return a === b ? 0 : Math.abs(Math.log(b / a));
}

type Kind = 'worse' | 'better' | 'open' | 'other' | 'same';

/** Only what was seen to hold can get worse, and what was not found out may hide that. */
function kindOf({ a, b }: Pair): Kind {
  const [before, after] = [holds(a), holds(b)];
  if (before === true && after === false) return 'worse';
  if (before === false && after === true) return 'better';
  if (before === true && after === undefined) return 'open';
  if (before === undefined && after === false) return 'open';
  return a.verdict === b.verdict ? 'same' : 'other';
}

const LEVELS: readonly ClauseVerdict['level'][] = ['must', 'should', 'detail', null];

function byWeight(one: Pair, other: Pair): number {
  const rank = ({ b }: Pair) => [VERDICTS.indexOf(b.verdict), LEVELS.indexOf(b.level)] as const;
  const [[verdict, level], [otherVerdict, otherLevel]] = [rank(one), rank(other)];
  return verdict - otherVerdict || level - otherLevel || one.b.id.localeCompare(other.b.id);
}

function flipOf({ a, b: { id, title, level, verdict, reason, message, node, evidence } }: Pair): Flip {
  const files = evidence.map(({ path }) => path);
  return { id, title, level, from: a.verdict, to: verdict, reason, message, node, evidence: files };
}

/** Every fact that differs, in the order in which verdict files have them. A section that is new in verdict files needs nothing here. */
function changedFacts(a: Cell, b: Cell): FactChange[] {
  const [factsA, factsB] = [factsOf(a), factsOf(b)];
  return [...new Set([...factsA.keys(), ...factsB.keys()])].flatMap((path) => {
    const [one, other] = [factsA.get(path) ?? null, factsB.get(path) ?? null];
    const [section = '', ...name] = path.split(SEPARATOR);
    return one === other ? [] : [{ section, name: name.join('.'), a: one, b: other }];
  });
}

/** Between the parts of a path; package names hold dots. */
const SEPARATOR = '\0';

function factsOf({ name: _, ...facts }: Cell): Map<string, string> {
  return new Map(Object.entries(facts).flatMap(([section, value]) => leaves(section, value)));
}

function leaves(path: string, value: unknown): [string, string][] {
  if (value === null || value === undefined) return [];
  if (typeof value !== 'object') return [[path, String(value)]];
  const entries = Array.isArray(value)
    ? value.map((item, index) => [nameIn(item) ?? String(index), item] as const)
    : Object.entries(value);
  return entries.flatMap(([key, item]) => leaves(`${path}${SEPARATOR}${key}`, item));
}

/** Items of a list are known by their names, where they have one: a node added is not a change of all that follow. */
function nameIn(item: unknown): string | undefined {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined;
  return typeof name === 'string' ? name : undefined;
}

function compareTimes(pairs: Pair[]): TimeComparison {
  const held = pairs.filter(({ a, b }) => holds(a) && holds(b));
  const basis = held.every(({ a, b }) => a.spent && b.spent) ? 'spent' : 'duration';
  const time = (one: ClauseVerdict) => (basis === 'spent' ? ownTime(one) : one.durationMs) / (one.runs ?? 1);
  const timed = held
    .map(({ a, b }) => ({ id: a.id, aMs: time(a), bMs: time(b) }))
    .filter(({ aMs, bMs }) => aMs > 0 && bMs > 0);
  const ratio = ({ aMs, bMs }: StandOut) => bMs / aMs;
  return {
    basis,
    confidence: CONFIDENCE,
    all: commonShift(timed.map(ratio), CONFIDENCE) ?? null,
    standOut: farAbove(timed, ratio).map(({ id, aMs, bMs }) => ({ id, aMs, bMs })),
    pace: { a: middle(pairs.map(({ a }) => a.pace)), b: middle(pairs.map(({ b }) => b.pace)) },
  };
}

/**
 * What a clause took of its own: restoring the lab, and deploying a stack that no checkpoint holds yet, are left out. Not
 * divided by the lab's pace: that is one short sample, and a clause waits more than it computes. In two equal runs of the same
 * machine the quotient showed a shift of half that the times themselves did not.
 */
function ownTime({ spent }: ClauseVerdict): number {
  return spent ? spent.settling + spent.observing + spent.judging : 0;
}

function middle(values: (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
