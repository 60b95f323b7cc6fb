import { linkToDefect } from '../../helpers/catalogue/links.ts';
import type { Cell, ClauseVerdict, Verdict } from '../../helpers/verdict/model.ts';
import { UNEXPECTEDLY_CONFORMING } from '../../helpers/verdict/model.ts';
import { count, rerunCommand } from '../advice.ts';
import { rememberedCell } from '../history.ts';
import type { Context, Row } from './context.ts';
import { type Content, type Html, html } from './html.ts';
import { byUrgency, CROWD, cellOf, code, evidence, fate, level, pastOfClause, sign, why } from './parts.ts';
import { sinceWhen, versionsOf } from './words.ts';

export function redSection(context: Context): Content {
  const { verdict, rows } = context;
  const red = (wanted: Verdict) => verdict.clauses.filter((clause) => clause.verdict === wanted);
  const failed = rows.filter(({ verdicts }) => verdicts.some(({ verdict }) => verdict === 'fail'));
  const sorted = failed.toSorted(byUrgency);
  const known = rows.filter(({ verdicts }) => verdicts.some(({ verdict }) => verdict === 'expected-fail'));
  const fates = [...Map.groupBy(red('inconclusive'), fate).values()];
  if (failed.length + fates.length + known.length === 0)
    return html`<p>Every clause that was judged passed.</p>`;
  return [
    sorted.map((row) => redCard(row, 'fail', context)),
    fates.map((clauses) => openCard(clauses, context)),
    known.length > 0 &&
      html`<details class="known"><summary><h3>${count(known.length, 'known defect')} of this version, seen again</h3></summary>
<p>They fail as documented, and do not count against the run. When one stops failing, the run says so.</p>
<ul>${known.map((row) => knownDefect(row, context))}</ul></details>`,
  ];
}

function redCard(row: Row, wanted: Verdict, context: Context): Html {
  const own = row.verdicts.filter(({ verdict }) => verdict === wanted);
  return html`<article class="card ${wanted}" id="${row.id}">
<h3>${sign(wanted)} ${row.id} ${row.title} ${level(row)}</h3>
${row.facts && html`<p class="promise"><b>Promised:</b> ${row.facts.statement}</p>`}
${own.map((clause) => whatWasSeen(clause, context))}
</article>`;
}

function whatWasSeen(clause: ClauseVerdict, context: Context): Html {
  const { cell, names } = cellOf(clause, context);
  return html`<dl>
<dt>Where</dt><dd>${names}${clause.node === null ? '' : html`node <b>${clause.node}</b>, `}${versionsOf(rememberedCell(cell))}</dd>
<dt>Why</dt><dd>${why(clause)}</dd>
<dt>Since when</dt><dd>${sinceWhen(clause.verdict, pastOfClause(clause, context), cell, context.verdict.run)}</dd>
<dt>What to do</dt><dd>${whatToDo(clause, cell, context)}</dd>
${evidence(clause)}
</dl>`;
}

function whatToDo(clause: ClauseVerdict, cell: Cell, { catalogue, verdict }: Context): Content {
  const again = code(rerunCommand(cell, [clause], verdict.run.command));
  const caught = catalogue.get(clause.id)?.regressions ?? [];
  const gone = clause.reason === UNEXPECTEDLY_CONFORMING;
  return [
    html`${gone ? 'The known defect seems mended: judge it again, and if it passes again, take it out of the catalogue. ' : 'Judge it again alone: '}${again}`,
    caught.length > 0 &&
      html`<p>Users met failures like it: ${caught.map(({ id, title, links }, index) => [index > 0 && '; ', html`<a href="${links[0]}">${id}</a> ${title}`])}.</p>`,
  ];
}

/** Clauses that could not be judged for one and the same reason. */
function openCard(clauses: readonly ClauseVerdict[], context: Context): Content {
  const [first] = clauses;
  if (first === undefined) return null;
  if (clauses.length < CROWD)
    return clauses.map((clause) => {
      const row = context.rows.find(({ id }) => id === clause.id);
      return row && redCard({ ...row, verdicts: [clause] }, 'inconclusive', context);
    });
  const { cell, names } = cellOf(first, context);
  return html`<article class="card inconclusive">
<h3>${sign('inconclusive')} ${count(clauses.length, 'clause')} could not be judged</h3>
<dl>
<dt>Where</dt><dd>${names}${first.node === null ? '' : html`node <b>${first.node}</b>, `}${versionsOf(rememberedCell(cell))}</dd>
<dt>Why</dt><dd>${why(first)}</dd>
<dt>What to do</dt><dd>Judge them again: ${code(rerunCommand(cell, clauses, context.verdict.run.command))}</dd>
<dt>Which</dt><dd class="ids">${clauses
    .map(({ id }) => id)
    .toSorted()
    .map((id) => html`<a href="#clause-${id}">${id}</a> `)}</dd>
</dl></article>`;
}

function knownDefect(row: Row, context: Context): Html {
  const own = row.verdicts.filter(({ verdict }) => verdict === 'expected-fail');
  const cited = row.facts?.expectedFail?.find(({ defect }) =>
    own.some(({ reason }) => reason?.includes(defect)),
  );
  const link = cited && linkToDefect(cited.ref);
  return html`<li><a href="#clause-${row.id}">${row.id}</a> ${row.title} ${level(row)}<br>${own[0]?.reason}
${link && html` <a href="${link}">told here</a>`}
${context.verdict.cells.length > 1 && html`<br>in ${own.map(({ cell }) => cell).join(', ')}`}</li>`;
}
