import type { Cell, ClauseVerdict } from '../../helpers/verdict/model.ts';
import { count } from '../advice.ts';
import type { History, Past } from '../history.ts';
import { RARE, verdictsOverRuns } from './charts.ts';
import type { Context } from './context.ts';
import { type Content, type Html, html } from './html.ts';
import { cellOf, chip, legend, pastOfClause } from './parts.ts';
import { difference, when } from './words.ts';

/** Most runs that the chart of past runs shows. */
const CHARTED_RUNS = 30;

/** Kinds of change, the most urgent first. */
const kinds = ['broke', 'not judged now', 'changed', 'mended', 'new here'] as const;

function kindOf({ verdict }: ClauseVerdict, { last }: Past): (typeof kinds)[number] | undefined {
  if (last === undefined) return 'new here';
  if (last.verdict === verdict) return undefined;
  if (verdict === 'fail') return 'broke';
  if (verdict === 'inconclusive') return 'not judged now';
  return last.verdict === 'fail' ? 'mended' : 'changed';
}

export function changesSection(context: Context): Content {
  const { verdict, earlier } = context;
  const before = earlier.at(-1);
  if (before === undefined)
    return html`<p>No earlier run is remembered, so nothing can be compared yet. Runs are remembered in the folder that the setting <code>HISTORY</code> names; CI must keep it from run to run.</p>`;
  const changed = verdict.clauses.flatMap((clause) => {
    const past = pastOfClause(clause, context);
    const kind = kindOf(clause, past);
    return kind === undefined ? [] : [{ clause, past, kind }];
  });
  const of = (kind: (typeof kinds)[number]) => changed.filter((one) => one.kind === kind);
  const rows = kinds.filter((kind) => kind !== 'new here').flatMap(of);
  const added = of('new here');
  const compared = verdict.clauses.length - added.length;
  return [
    html`<p>Compared with what ${count(earlier.length, 'earlier run')} found, the newest on ${when(before.startedAt)}:
${rows.length === 0 ? html`<b>none of ${count(compared, 'clause')} changed</b>` : kinds.filter((kind) => kind !== 'new here' && of(kind).length > 0).map((kind, index) => [index > 0 && ', ', html`<b>${of(kind).length} ${kind}</b>`])}${added.length > 0 && `; ${count(added.length, 'clause')} judged for the first time`}.</p>
<ul class="plain">${verdict.cells.map((cell) => html`<li>${verdict.cells.length > 1 && html`<b>${cell.name}</b>: `}${differs(cell, earlier)}</li>`)}</ul>`,
    rows.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label="Clauses that changed"><table>
<thead><tr><th scope="col">Change</th><th scope="col">Clause</th>${verdict.cells.length > 1 && html`<th scope="col">Cell</th>`}<th scope="col">Before</th><th scope="col">Now</th><th scope="col" class="wide">What differs</th></tr></thead>
<tbody>${rows.map(
        ({ clause, past, kind }) =>
          html`<tr><td>${kind}</td><th scope="row"><a href="#clause-${clause.id}">${clause.id}</a> ${clause.title}</th>${verdict.cells.length > 1 && html`<td>${clause.cell}</td>`}<td>${past.last && chip(past.last.verdict)} <small>${past.last?.run.startedAt.slice(0, 10)}</small></td><td>${chip(clause.verdict)}</td><td class="wide">${past.last && difference(past.last.run, cellOf(clause, context).cell)}</td></tr>`,
      )}</tbody></table></div>`,
    earlier.length > 0 && runsChart(context),
  ];
}

/** What of a cell differs from the newest earlier run that had it. */
function differs(cell: Cell, earlier: History): Content {
  const run = earlier.findLast(({ cells }) => cells.some(({ name }) => name === cell.name));
  return run === undefined
    ? 'No earlier run had this cell.'
    : `On ${when(run.startedAt)}: ${difference(run, cell)}.`;
}

function runsChart({ earlier, verdict }: Context): Html {
  const now: History[number] = {
    id: verdict.run.id,
    startedAt: verdict.run.startedAt,
    totalMs: verdict.time.total,
    cells: [],
    clauses: Object.fromEntries(
      verdict.cells.map(({ name }) => [
        name,
        Object.fromEntries(
          verdict.clauses
            .filter(({ cell, verdict }) => cell === name && verdict !== 'inconclusive')
            .map((clause) => [clause.id, clause]),
        ),
      ]),
    ),
  };
  const runs = [...earlier, now].slice(-CHARTED_RUNS);
  return html`<figure><div class="scroll" tabindex="0" role="region" aria-label="Chart of runs">${verdictsOverRuns(runs)}</div><figcaption>What did not pass in the last ${count(runs.length, 'run')}, this one last; what could not be judged is not remembered. ${legend(RARE)}</figcaption></figure>`;
}
