import { MEASURES, valueInWords } from '../../helpers/verdict/measures.ts';
import type { Measurement } from '../../helpers/verdict/model.ts';
import { count } from '../advice.ts';
import type { Context } from './context.ts';
import { type Content, type Html, html } from './html.ts';

/** What clauses measured beside judging, a row for each measurement and a column for each cell. */
export function measuredSection({ verdict: { cells, clauses } }: Context): Content {
  const measured = clauses.flatMap(({ id, cell, measurements }) =>
    measurements.map((measurement) => ({ id, cell, ...measurement })),
  );
  if (measured.length === 0) return null;
  const several = cells.length > 1;
  // In the order in which the suite lists them, and what it does not know, as of another version, after that.
  const names = [...new Set([...Object.keys(MEASURES), ...measured.map(({ name }) => name)])];
  const rows = names.flatMap((name) => {
    const own = measured.filter((one) => one.name === name);
    return [...Map.groupBy(own, ({ id }) => id)].map(([id, values]) => ({ name, id, values }));
  });
  return [
    html`<p>Numbers that clauses took beside judging. They decide no verdict: <code>npx swarmproof diff</code> sets them beside those of another run. A ratio is to the same without what is measured, taken in the same minute, so it means the same on a slow machine; times do not.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of measurements"><table>
<thead><tr><th scope="col">Measured</th><th scope="col">By</th>${cells.map(({ name }) => html`<th scope="col">${several ? name : 'Value'}</th>`)}</tr></thead>
<tbody>${rows.map(
      ({ name, id, values }) =>
        html`<tr><th scope="row">${meaningOf(name)}</th><td class="whole"><a href="#clause-${id}">${id}</a></td>${cells.map((cell) => html`<td class="number whole">${values.filter((one) => one.cell === cell.name).map(valueCell)}</td>`)}</tr>`,
    )}</tbody></table></div>`,
  ];
}

function meaningOf(name: string): string {
  return Object.hasOwn(MEASURES, name) ? MEASURES[name as keyof typeof MEASURES].meaning : name;
}

function valueCell({ value, unit, samples }: Measurement): Html {
  const rests = samples > 1 && html` <small>of ${count(samples, 'sample')}</small>`;
  return html`<div>${valueInWords(value, unit)}${rests}</div>`;
}
