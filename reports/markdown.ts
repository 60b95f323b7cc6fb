import { verbatim } from '../helpers/verdict/allure.ts';
import { type ClauseVerdict, VERDICTS, type VerdictFile } from '../helpers/verdict/model.ts';
import { type Advice, ANSWERS, count, urgency } from './advice.ts';
import { type History, pastOf, rememberedCell } from './history.ts';
import { versionsOf } from './page/words.ts';
import { duration } from './summary.ts';

/** Most clauses that the summary names; a job page is no place for more. */
const NAMED = 20;

/** Longest telling of what was seen (characters). */
const TOLD = 200;

const marks: Record<Advice['answer'], string> = {
  no: '❌',
  unknown: '❔',
  care: '⚠️',
  partly: 'ℹ️',
  yes: '✅',
};

/** The run as a short Markdown text for the page of a CI job: the answer for each cell, and what did not pass. */
export function markdownSummary(
  { run, cells, clauses, totals, time }: VerdictFile,
  advices: ReadonlyMap<string, Advice>,
  history: History,
): string {
  const counts = VERDICTS.filter((verdict) => totals[verdict] > 0)
    .toReversed()
    .map((verdict) => `${totals[verdict]} ${verdict}`);
  const answers = cells
    .map((cell) => ({ cell, advice: advices.get(cell.name) as Advice }))
    .toSorted((a, b) => ANSWERS.indexOf(a.advice.answer) - ANSWERS.indexOf(b.advice.answer));
  const end = run.exitReason === 'completed' ? '' : ` The run did not complete: ${run.exitReason}.`;
  const red = clauses
    .filter(({ verdict }) => verdict === 'fail' || verdict === 'inconclusive')
    .toSorted((a, b) => urgency(a) - urgency(b));
  const groups = [...Map.groupBy(red, fate).values()];
  const rows = groups.slice(0, NAMED).map((group) => redRow(group, cells.length > 1, history, run));
  const left = groups.slice(NAMED).flat().length;
  return [
    '## swarmproof',
    '',
    ...answers.map(
      ({ cell, advice }) =>
        `${marks[advice.answer]} **${advice.headline}** (${cells.length > 1 ? `${verbatim(cell.name)}: ` : ''}${verbatim(versionsOf(rememberedCell(cell)))}). ${verbatim(advice.because)}\n`,
    ),
    `${counts.join(', ') || 'No clause was judged'} in ${duration(time.total)}.${end}`,
    ...(run.message === undefined ? [] : ['', fenced(run.message)]),
    ...(rows.length === 0
      ? []
      : [
          '',
          '| verdict | clause | level | where | since | seen |',
          '| --- | --- | --- | --- | --- | --- |',
          ...rows,
        ]),
    ...(left > 0 ? ['', `and ${count(left, 'clause')} more, told in the report.`] : []),
    '',
  ].join('\n');
}

function fate({ id, verdict, cell, node, reason, message }: ClauseVerdict): string {
  return JSON.stringify(verdict === 'inconclusive' ? [verdict, cell, node, reason, message] : [id, cell]);
}

function redRow(
  group: readonly ClauseVerdict[],
  several: boolean,
  history: History,
  run: VerdictFile['run'],
): string {
  const [clause] = group as [ClauseVerdict];
  const { verdict, id, title, level, cell, node, reason, message } = clause;
  const { seen, since } = pastOf(clause, history, run);
  const what = group.length > 1 ? count(group.length, 'clause') : `${id} ${title}`;
  const where = [...(several ? [cell] : []), ...(node === null ? [] : [node])].join(' ');
  const from = verdict !== 'fail' || seen.length === 0 ? '' : (since?.startedAt.slice(0, 10) ?? 'this run');
  const told = (message ?? reason ?? '').split('\n')[0] ?? '';
  const cells = [
    verdict,
    what,
    group.length > 1 ? '' : (level ?? ''),
    where,
    from,
    told.length > TOLD ? `${told.slice(0, TOLD - 1)}…` : told,
  ];
  return `| ${cells.map((text) => verbatim(text).replaceAll('|', '\\|')).join(' | ')} |`;
}

/** Text as it is, whatever fences it holds itself. */
function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
