import { linkTo } from '../../helpers/catalogue/links.ts';
import { areaHeading } from '../../helpers/verdict/allure.ts';
import { VERDICTS } from '../../helpers/verdict/model.ts';
import { count, rerunCommand } from '../advice.ts';
import { type Past, rememberedCell } from '../history.ts';
import { duration } from '../summary.ts';
import type { Context, Row } from './context.ts';
import { type Content, type Html, html } from './html.ts';
import { cellOf, chip, code, evidence, level, pastOfClause, why } from './parts.ts';
import { sinceWhen, when } from './words.ts';

export function matrixSection(context: Context): Content {
  const { rows, verdict } = context;
  if (rows.length === 0) return html`<p>No clause was judged.</p>`;
  const areas = Map.groupBy(rows, ({ area }) => area);
  const proven = rows.filter(({ provenBy }) => provenBy.length > 0).length;
  const several = verdict.cells.length > 1;
  return [
    filters(context, [...areas.keys()]),
    html`<p id="shown" role="status">${count(rows.length, 'clause')}.</p>
<p>${proven} of ${count(rows.length, 'clause')} are marked <b class="proven">proven</b>: a fault was put in and turned them red, so that their pass means something. Open a clause for what it promises and what was seen.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of clauses"><table class="matrix${several ? ' several' : ''}">
<thead><tr><th scope="col">Clause</th><th scope="col" class="wide">Level</th>${verdict.cells.map((cell) => html`<th scope="col">${several ? [html`<b>${cell.name}</b>`, html`<small>${cell.kernel ?? 'kernel unknown'}<br>${rememberedCell(cell).engines.join(' and ') || 'engine unknown'}</small>`] : 'Verdict'}</th>`)}${!several && html`<th scope="col" class="wide">Earlier runs</th><th scope="col" class="wide">Time</th>`}</tr></thead>
${[...areas].map(
  ([
    area,
    own,
  ]) => html`<tbody data-area="${area}"><tr class="area"><th scope="rowgroup" colspan="${verdict.cells.length + (several ? 2 : 4)}">${areaHeading(area)}</th></tr>
${own.map((row) => matrixRow(row, context))}</tbody>`,
)}
</table></div>`,
  ];
}

function filters({ verdict, rows }: Context, areas: readonly string[]): Html {
  const group = (name: string, boxes: Content) =>
    html`<div class="group" role="group" aria-label="${name}"><b>${name}</b><div>${boxes}</div></div>`;
  const box = (group: string, value: string, label: Content, number: number) =>
    html`<label><input type="checkbox" name="${group}" value="${value}"> ${label} <small>${number}</small></label>`;
  const levels = ['must', 'should', 'detail'] as const;
  return html`<form id="filters" hidden>
<label class="group find"><b>Find</b><input type="search" name="find" placeholder="id or words" autocomplete="off"></label>
${group(
  'Verdict',
  VERDICTS.map((one) => verdict.totals[one] > 0 && box('verdict', one, one, verdict.totals[one])),
)}
${group(
  'Level',
  levels.map((one) => box('level', one, one, rows.filter((row) => row.level === one).length)),
)}
${group(
  'Area',
  areas.map((area) =>
    box(
      'area',
      area,
      html`<abbr title="${areaHeading(area)}">${area.toUpperCase()}</abbr>`,
      rows.filter((row) => row.area === area).length,
    ),
  ),
)}
<button type="reset">Show all</button>
</form>`;
}

function matrixRow(row: Row, context: Context): Html {
  const { id, title, verdicts, provenBy } = row;
  const { cells } = context.verdict;
  const found = cells.map((cell) => verdicts.find((one) => one.cell === cell.name));
  const several = cells.length > 1;
  return html`<tr id="clause-${id}" data-level="${row.level}" data-verdict="${[...new Set(verdicts.map(({ verdict }) => verdict))].join(' ')}">
<th scope="row"><details><summary><b>${id}</b> ${title}${provenBy.length > 0 && html` <b class="proven">proven</b>`}</summary>${clauseDetails(row, context)}</details></th>
<td class="wide">${level(row)}</td>${found.map((one) => html`<td>${one ? chip(one.verdict) : html`<span class="none">not selected</span>`}${several && one && html`<br>${trend(pastOfClause(one, context))}`}</td>`)}
${!several && html`<td class="wide">${verdicts.map((one) => trend(pastOfClause(one, context)))}</td><td class="wide number">${verdicts.map(({ durationMs }) => durationMs > 0 && duration(durationMs))}</td>`}</tr>\n`;
}

/** Most earlier verdicts that a row shows. */
const TREND = 10;

function trend({ seen }: Past): Content {
  if (seen.length === 0) return null;
  const last = seen.slice(-TREND);
  return html`<span class="trend" role="img" aria-label="Earlier runs, oldest first: ${last.map(({ verdict }) => verdict).join(', ')}">${last.map(({ verdict, run }) => html`<i class="${verdict}" title="${when(run.startedAt)}: ${verdict}"></i>`)}</span>`;
}

function clauseDetails(row: Row, context: Context): Html {
  const { facts, provenBy, verdicts } = row;
  return html`<div class="more">
${facts && html`<p>${facts.statement}</p>`}
<p class="narrow">${level(row)}</p>
${verdicts.map((clause) => {
  const { cell, names } = cellOf(clause, context);
  const pace =
    clause.pace === null
      ? ''
      : `, on a lab ${clause.pace.toFixed(1)} times as slow as the quiet one that bounds are for`;
  return html`<dl><dt>${names}${chip(clause.verdict)}</dt><dd>${clause.verdict !== 'pass' && why(clause)}
${clause.node !== null && html`<p>On node <b>${clause.node}</b>.</p>`}
<p>${sinceWhen(clause.verdict, pastOfClause(clause, context), cell, context.verdict.run)} ${clause.durationMs > 0 && `Took ${duration(clause.durationMs)}${pace}.`}</p></dd>
${evidence(clause)}<dt>Again</dt><dd>${code(rerunCommand(cell, [clause], context.verdict.run.command))}</dd></dl>`;
})}
${
  facts &&
  html`<dl>${facts.observe && html`<dt>How it is judged</dt><dd>${facts.observe}</dd>`}
<dt>Sources</dt><dd><ul>${facts.sources.map((source) => {
    const link = linkTo(source);
    return html`<li>${source.name}: ${link ? html`<a href="${link}">${source.ref}</a>` : source.ref}</li>`;
  })}</ul></dd>
<dt>Proven by</dt><dd>${provenBy.length > 0 ? html`<ul>${provenBy.map((fault) => html`<li>${fault}</li>`)}</ul>` : 'no fault yet'}</dd></dl>`
}
</div>`;
}
