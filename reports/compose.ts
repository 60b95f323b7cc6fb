import type { ClauseData } from '../helpers/catalogue/catalogue.ts';
import { type CellFacts, cellOf } from '../helpers/verdict/channel.ts';
import {
  type Cell,
  type ClauseVerdict,
  type Evidence,
  type ExitReason,
  NO_TIME,
  type Spent,
  unknownCell,
  VERDICT_SCHEMA,
  VERDICTS,
  type VerdictFile,
} from '../helpers/verdict/model.ts';
import { decide, type NotRun, type Ran } from './decide.ts';
import type { Selected } from './selection.ts';

/** What a report reads of a clause. */
export type ReportedClause = Pick<ClauseData, 'area' | 'level' | 'title' | 'statement' | 'sources'> &
  Partial<Pick<ClauseData, 'regressions' | 'observe' | 'expectedFail' | 'soak' | 'draft'>> & {
    /** Sabotages that were shown to turn the clause red. */
    provenBy?: readonly string[];
    /** Sabotages that should and were not. */
    survived?: readonly string[];
  };

/** The clauses by id. */
export type Catalogue = ReadonlyMap<string, ReportedClause>;

/** How one test ended and what it left. */
export interface Outcome {
  ran: Ran;
  startedAt: string;
  durationMs: number;
  worker: number;
  evidence: Evidence[];
  transcript: string | null;
}

/** All a run has come to know. */
export interface Known {
  run: VerdictFile['run'];
  selected: readonly Selected[];
  /** By the runner's id of the test. */
  outcomes: ReadonlyMap<string, Outcome>;
  /** What set-up wrote about the cells, by name. */
  cells: ReadonlyMap<string, CellFacts>;
  /** What each cell was asked to be, by name. */
  settings: ReadonlyMap<string, Cell['settings']>;
  catalogue: Catalogue;
  now: Date;
}

/** The verdict as far as it is known: a clause without a result is inconclusive, and says why it has none. */
export function composeVerdict({
  run,
  selected,
  outcomes,
  cells,
  settings,
  catalogue,
  now,
}: Known): VerdictFile {
  const untold = (name: string) => ({
    ...unknownCell(name, whyUnknown(run)),
    settings: settings.get(name) ?? null,
  });
  const verdicts = selected.map((one) => clauseVerdict(one, outcomes.get(one.test), catalogue, notRun(run)));
  const clauses = [...Map.groupBy(verdicts, ({ cell, id }) => `${cell} ${id}`).values()].map(worst);
  const cellNames = new Set([...cells.keys(), ...selected.map(({ cell }) => cell)]);
  const spent = [...outcomes.values()].map(({ ran }) => ran.judged?.spent ?? {});
  const spentOutside = [...cells.values()].map((facts) => facts.spent ?? {});
  return {
    schema: VERDICT_SCHEMA,
    run,
    cells: [...cellNames].map((name) => cellOf(cells.get(name) ?? untold(name))),
    clauses,
    totals: totalsOf(clauses),
    time: timeOf(sum([...spent, ...spentOutside]), now.getTime() - Date.parse(run.startedAt)),
  };
}

/** The verdict on one selected clause from how its test ended. */
export function clauseVerdict(
  { cell, clause, title }: Selected,
  outcome: Outcome | undefined,
  catalogue: Catalogue,
  without: NotRun,
): ClauseVerdict {
  const facts = catalogue.get(clause);
  return {
    id: clause,
    cell,
    area: areaOf(clause, catalogue),
    level: facts?.level ?? null,
    title: facts?.title ?? title,
    ...decide(outcome?.ran, without),
    startedAt: outcome?.startedAt ?? null,
    durationMs: outcome?.durationMs ?? 0,
    runs: 1,
    worker: outcome?.worker ?? null,
    spent: outcome?.ran.judged?.spent ?? null,
    pace: outcome?.ran.judged?.pace ?? null,
    evidence: outcome?.evidence ?? [],
    measurements: outcome?.ran.judged?.measurements ?? [],
    transcript: outcome?.transcript ?? null,
    provenBy: [...(facts?.provenBy ?? [])],
    survived: [...(facts?.survived ?? [])],
  };
}

/** The area of a clause; of one that the catalogue does not know, by its id. */
export function areaOf(clause: string, catalogue: Catalogue): string {
  return catalogue.get(clause)?.area ?? clause.replace(/-\d+$/, '').toLowerCase();
}

/** Why a clause that has no result has none. */
export function notRun({ exitReason, message }: Pick<VerdictFile['run'], 'exitReason' | 'message'>): NotRun {
  const why: Record<ExitReason, string> = {
    running: 'the run had not finished this clause',
    completed: message ?? 'the runner gave up before this clause',
    interrupted: 'the run was interrupted before this clause',
    'timed-out': 'the time for the whole run was over before this clause',
    'max-failures': 'the run stopped at its limit of failures before this clause',
    'setup-failed': message ?? 'set-up failed before any clause',
  };
  const reason = exitReason === 'running' || exitReason === 'completed' ? 'not-run' : exitReason;
  return { reason, message: why[exitReason] };
}

function whyUnknown({ exitReason, message }: VerdictFile['run']): string {
  return (exitReason === 'setup-failed' ? message : undefined) ?? 'set-up recorded nothing about this cell';
}

/** One verdict for a clause that ran several times: the worst, with the time and evidence of all. */
export function worst(repeats: ClauseVerdict[]): ClauseVerdict {
  const [first] = repeats.toSorted((a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict));
  const spent = repeats.flatMap(({ spent }) => spent ?? []);
  return {
    ...(first as ClauseVerdict),
    durationMs: repeats.reduce((sum, { durationMs }) => sum + durationMs, 0),
    runs: repeats.length,
    spent: spent.length === 0 ? null : sum(spent),
    evidence: repeats.flatMap(({ evidence }) => evidence),
    measurements: repeats.flatMap(({ measurements }) => measurements),
  };
}

/** The number of clauses by verdict. */
export function totalsOf(clauses: ClauseVerdict[]): VerdictFile['totals'] {
  const count = (wanted: string) => clauses.filter(({ verdict }) => verdict === wanted).length;
  return Object.fromEntries(VERDICTS.map((verdict) => [verdict, count(verdict)])) as VerdictFile['totals'];
}

/** Adds up times, by what they were spent on. */
export function sum(times: Partial<Spent>[]): Spent {
  const total = (part: keyof Spent) => times.reduce((sofar, time) => sofar + (time[part] ?? 0), 0);
  return Object.fromEntries(Object.keys(NO_TIME).map((part) => [part, total(part as keyof Spent)])) as Spent;
}

/** The times of a run. @param total its wall clock in ms. */
export function timeOf(spent: Spent, total: number): VerdictFile['time'] {
  const product = spent.swarm + spent.settling + spent.observing;
  return { ...spent, overhead: Math.max(0, total - product), total };
}
