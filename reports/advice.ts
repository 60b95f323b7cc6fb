import type { ClauseData } from '../helpers/catalogue/catalogue.ts';
import {
  type Cell,
  type ClauseVerdict,
  UNEXPECTEDLY_CONFORMING,
  VERDICTS,
  type VerdictFile,
} from '../helpers/verdict/model.ts';

/** Whether to upgrade, worst first. */
export const ANSWERS = ['no', 'unknown', 'care', 'partly', 'yes'] as const;

/** One of the answers. */
export type Answer = (typeof ANSWERS)[number];

/** What a verdict means for whoever wants to upgrade to its kernel and engine. */
export interface Advice {
  answer: Answer;
  /** The answer in a few words. */
  headline: string;
  /** Its grounds, in one sentence. */
  because: string;
  /** What to do next, in order. */
  todo: string[];
}

/** What advice needs to know of a clause. */
export type AdvisedClause = Pick<ClauseData, 'level'> & Partial<Pick<ClauseData, 'soak' | 'draft'>>;

const headlines: Record<Answer, string> = {
  no: 'Do not upgrade',
  unknown: 'No answer yet',
  care: 'Look before you upgrade',
  partly: 'Nothing failed, but only part was judged',
  yes: 'Nothing stands against the upgrade',
};

/**
 * Levels decide: a promise users can see (must, should) that fails stands against the upgrade; a detail of how it is
 * built that changed is a warning. A clause of unknown level counts as a promise. (The exit status is stricter: a
 * program is told of every failure.)
 */
export function isPromise({ level }: Pick<ClauseVerdict, 'level'>): boolean {
  return level !== 'detail';
}

/** Orders clauses that did not pass, the most urgent first: promises before details, defects that did not show last. */
export function urgency({
  level,
  verdict,
  reason,
}: Pick<ClauseVerdict, 'level' | 'verdict' | 'reason'>): number {
  const mended = verdict === 'fail' && reason === UNEXPECTEDLY_CONFORMING ? 4 : 0;
  return VERDICTS.indexOf(verdict) * 8 + mended + ['must', null, 'should', 'detail'].indexOf(level);
}

/**
 * What the verdict on one cell means for an upgrade to it.
 *
 * @param catalogue all clauses there are, to tell whether what is promised was judged at all.
 */
export function advise(
  { run, clauses }: Pick<VerdictFile, 'run' | 'clauses'>,
  cell: Cell,
  catalogue: ReadonlyMap<string, AdvisedClause>,
): Advice {
  const own = clauses.filter((clause) => clause.cell === cell.name);
  const of = (verdict: string) => own.filter((clause) => clause.verdict === verdict);
  const [failed, open, known, skipped] = [of('fail'), of('inconclusive'), of('expected-fail'), of('skipped')];
  const mended = failed.filter(({ reason }) => reason === UNEXPECTEDLY_CONFORMING);
  const changed = failed.filter(({ reason }) => reason !== UNEXPECTEDLY_CONFORMING);
  const broken = changed.filter(isPromise);
  const due = [...catalogue].filter(([, clause]) => clause.level === 'must' && !clause.draft && !clause.soak);
  const selected = new Set(own.map(({ id }) => id));
  const left = due.filter(([id]) => !selected.has(id)).length;
  const judged = own.length - open.length - skipped.length;

  if (broken.length > 0)
    return {
      ...head('no'),
      because: `${count(broken.length, 'documented behaviour')} failed${levelsOf(broken)}${plus(changed.length - broken.length, 'in details of how it is built')}${plus(open.length, 'could not be judged')}.`,
      todo: [
        'Stay on the kernel and engine you have.',
        'Open each failed clause: it says on which node, what was expected and what was seen, with the evidence.',
        `Judge them again alone, to be sure: ${rerunCommand(cell, failed, run.command)}`,
        'If they fail again, tell the maintainers, with clause, versions and evidence.',
        ...(open.length > 0 ? [`Judge what is open again: ${rerunCommand(cell, open, run.command)}`] : []),
      ],
    };
  // What was asked for cannot be had, or the machine lacks something: doing the same again would end the same.
  if (run.exitReason === 'setup-failed' && run.message?.startsWith('UsageError: '))
    return {
      ...head('unknown'),
      because: 'No clause was judged: the run could not begin.',
      todo: ['Put right what the message says, and run it again.'],
    };
  if (open.length > 0 || own.length === 0)
    return {
      ...head('unknown'),
      because:
        own.length === 0
          ? 'No clause was judged.'
          : `${open.length} of ${count(own.length, 'clause')} could not be judged: the lab or an observer broke, which says nothing about the product${plus(changed.length, 'failed in details of how it is built')}.`,
      todo: [
        own.length === 0
          ? `Run it again: ${command(cell, run.command)}`
          : `Judge what is open again: ${rerunCommand(cell, open, run.command)}`,
        'If it recurs, ask what this machine lacks: npx swarmproof doctor',
      ],
    };
  if (failed.length > 0)
    return {
      ...head('care'),
      because: [
        'Every promise that was judged holds',
        ...(changed.length > 0
          ? [`${count(changed.length, 'detail')} of how it is built changed, on which tools may rely`]
          : []),
        ...(mended.length > 0
          ? [`${count(mended.length, 'known defect')} did not show, which the catalogue does not know yet`]
          : []),
      ]
        .join('; ')
        .concat('.'),
      todo: [
        ...(changed.length > 0
          ? [
              'Open the failed details and ask whether anything of yours relies on them, such as firewall rules or monitoring.',
            ]
          : []),
        `Judge them again alone, to be sure: ${rerunCommand(cell, failed, run.command)}`,
      ],
    };
  if (left > 0)
    return {
      ...head('partly'),
      because: `${count(judged, 'clause')} judged, none failed${knownIn(known)}; ${left} of ${due.length} must clauses were not in this run.`,
      todo: [`Judge all before you decide: ${command(cell, 'npx playwright test')}`],
    };
  return {
    ...head('yes'),
    because: `All ${count(judged, 'clause')} that were judged hold${knownIn(known)}${skipped.length > 0 ? `; ${skipped.length} ${skipped.length === 1 ? 'does' : 'do'} not apply here` : ''}.`,
    todo:
      known.length === 0
        ? ['Upgrade, and keep this page as the record.']
        : [
            'Read the known defects and make sure none concerns you.',
            'Upgrade, and keep this page as the record.',
          ],
  };
}

function head(answer: Answer): Pick<Advice, 'answer' | 'headline'> {
  return { answer, headline: headlines[answer] };
}

function levelsOf(clauses: readonly ClauseVerdict[]): string {
  const must = clauses.filter(({ level }) => level === 'must').length;
  const which = must < clauses.length ? `${must} ` : must > 1 ? 'all ' : '';
  return must > 0 ? `, ${which}of level must` : '';
}

function plus(number: number, what: string): string {
  return number > 0 ? `, and ${number} ${what}` : '';
}

function knownIn(known: readonly ClauseVerdict[]): string {
  return known.length > 0 ? `, apart from ${count(known.length, 'known defect')}` : '';
}

/** A number with its noun: `1 clause`, `2 clauses`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** More clauses than this are not named one by one in a command. */
const NAMED = 12;

/**
 * The command that judges these clauses again, in a cell like this one.
 *
 * @param whole the command of the run they were in, which judges them too: for when they are many.
 */
export function rerunCommand(
  cell: Cell,
  clauses: readonly Pick<ClauseVerdict, 'id'>[],
  whole: string,
): string {
  const ids = [...new Set(clauses.map(({ id }) => id))].toSorted();
  if (ids.length === 0 || ids.length > NAMED) return command(cell, whole);
  return command(cell, `npx playwright test --grep "${ids.join('|')}"`);
}

/** A command with the settings of a cell before it; they make it the only cell, so that none is chosen by name. */
export function command({ settings }: Pick<Cell, 'settings'>, words: string): string {
  if (settings === null) return words;
  const given = Object.entries(settings).map(([name, value]) => `${name}=${shellWord(value)}`);
  return [...given, words.replaceAll(/ (?:'--project=[^']*'|--project[= ](?:'[^']*'|\S+))/g, '')].join(' ');
}

/** A word as a shell takes it. */
export function shellWord(text: string): string {
  return /^[\w.:/+@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The advice on the whole: that on the worst cell. */
export function worstAdvice(advices: readonly Advice[]): Advice {
  const [worst] = advices.toSorted((a, b) => ANSWERS.indexOf(a.answer) - ANSWERS.indexOf(b.answer));
  return worst ?? { ...head('unknown'), because: 'No cell was judged.', todo: ['Run it again.'] };
}
