import { type Cell, type ClauseVerdict, VERDICTS, type VerdictFile } from '../../helpers/verdict/model.ts';
import { type Advice, ANSWERS, type Answer, count } from '../advice.ts';
import { rememberedCell } from '../history.ts';
import type { Context } from './context.ts';
import { type Content, type Html, html } from './html.ts';
import { byUrgency, CROWD, fate, level, sign, withCommand } from './parts.ts';
import { versionsOf } from './words.ts';

export function answer(worst: Advice, advices: { cell: Cell; advice: Advice }[], context: Context): Html {
  const { run, totals } = context.verdict;
  const several = advices.length > 1;
  const sorted = advices.toSorted(
    (a, b) => ANSWERS.indexOf(a.advice.answer) - ANSWERS.indexOf(b.advice.answer),
  );
  const headline = several ? headlineOf(sorted.map(({ advice }) => advice)) : worst.headline;
  const [only] = advices;
  return html`<div class="answer ${worst.answer}">
<h1>${headline}</h1>
${
  !several &&
  html`<p class="because">${worst.because}</p>
<p class="versions">${only && versionsOf(rememberedCell(only.cell))}</p>`
}
${unusualEnd(run)}
<ul class="counts">${VERDICTS.map(
    (verdict) =>
      (totals[verdict] > 0 || verdict === 'fail' || verdict === 'inconclusive') &&
      html`<li><a class="${verdict}" href="#verdict=${verdict}"><b>${totals[verdict]}</b> ${verdict}</a></li>`,
  ).toReversed()}</ul>
${glance(context)}
${
  several
    ? html`<ul class="cells">${sorted.map(cellAnswer)}</ul>`
    : html`<h2>What to do</h2><ol class="todo">${worst.todo.map((step) => html`<li>${withCommand(step)}</li>`)}</ol>`
}
</div>`;
}

/** The answer for several cells, worst first: how many can be upgraded to; where none can, what is to be said of the worst. */
function headlineOf(advices: readonly Advice[]): string {
  const [worst] = advices as [Advice];
  const having = (answer: Answer) => advices.filter((one) => one.answer === answer).length;
  if (having('yes') > 0) return `${having('yes')} of ${advices.length} cells can be upgraded to`;
  if (having(worst.answer) === advices.length) return worst.headline;
  const [first = '', ...rest] = worst.headline;
  return `${having(worst.answer)} of ${advices.length} cells: ${first.toLowerCase()}${rest.join('')}`;
}

/** Most failed clauses that the answer names. */
const GLANCED = 8;
/** Most reasons for having judged nothing that it names. */
const GLANCED_FATES = 3;

/** Which clauses failed, where and since when: one line each. */
function glance({ rows, verdict, past }: Context): Content {
  const failed = rows.flatMap((row) => {
    const own = row.verdicts.filter(({ verdict }) => verdict === 'fail');
    return own.length > 0 ? [{ row, own }] : [];
  });
  const open = verdict.clauses.filter((clause) => clause.verdict === 'inconclusive');
  const fates = [...Map.groupBy(open, fate).values()].toSorted((a, b) => b.length - a.length);
  const lines = failed
    .toSorted((a, b) => byUrgency(a.row, b.row))
    .slice(0, GLANCED)
    .map(({ row, own }) => {
      const nodes = [...new Set(own.flatMap(({ node }) => node ?? []))];
      const where = [
        ...(verdict.cells.length > 1 ? own.map(({ cell }) => cell) : []),
        ...(nodes.length > 0 ? [`on ${nodes.join(', ')}`] : []),
      ].join(', ');
      const since = own
        .map((clause) => past.get(clause))
        .flatMap((one) => (one?.seen.length ? [one.since?.startedAt ?? verdict.run.startedAt] : []));
      const first = since.toSorted()[0];
      return html`<li>${sign('fail')} <a href="#${row.id}">${row.id}</a> ${row.title} ${level(row)} <small>${[where, first && (first === verdict.run.startedAt ? 'new in this run' : `since ${first.slice(0, 10)}`)].filter(Boolean).join(', ')}</small></li>`;
    });
  const more = failed.length - lines.length;
  const unjudged = fates.slice(0, GLANCED_FATES).map((clauses) => {
    const [{ id, reason, message }] = clauses as [ClauseVerdict];
    const words = (message ?? reason ?? '').split('\n')[0] ?? '';
    return html`<li>${sign('inconclusive')} <a href="#${clauses.length < CROWD ? id : 'red'}">${clauses.length === 1 ? id : count(clauses.length, 'clause')}</a> could not be judged: ${words.length > 160 ? `${words.slice(0, 159)}…` : words}</li>`;
  });
  if (lines.length + unjudged.length === 0) return null;
  return html`<ul class="glance">${lines}${more > 0 && html`<li><a href="#red">and ${more} more that failed</a></li>`}${unjudged}</ul>`;
}

function cellAnswer({ cell, advice }: { cell: Cell; advice: Advice }): Html {
  return html`<li class="${advice.answer}"><h2>${cell.name}: ${advice.headline}</h2>
<p class="versions">${versionsOf(rememberedCell(cell))}</p>
<p>${advice.because}</p>
<details><summary>What to do</summary><ol class="todo">${advice.todo.map((step) => html`<li>${withCommand(step)}</li>`)}</ol></details></li>`;
}

function unusualEnd({ exitReason, message }: VerdictFile['run']): Content {
  if (exitReason === 'completed' && message === undefined) return null;
  return html`<div class="end" role="note"><p>${exitReason === 'completed' ? 'Outside the clauses:' : html`The run did not complete: <b>${exitReason}</b>.`}</p>
${message && html`<pre>${message}</pre>`}</div>`;
}
