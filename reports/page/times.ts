import { type ClauseVerdict, VERDICTS } from '../../helpers/verdict/model.ts';
import { duration } from '../summary.ts';
import { distribution, timeline } from './charts.ts';
import type { Context } from './context.ts';
import { type Content, type Html, html } from './html.ts';
import { legend } from './parts.ts';

export function timesSection({ verdict, rows }: Context): Content {
  const judged = verdict.clauses.filter(({ durationMs, startedAt }) => durationMs > 0 && startedAt !== null);
  if (judged.length === 0) return null;
  const several = verdict.cells.length > 1;
  const samples = (msOf: (clause: ClauseVerdict) => number) =>
    judged.flatMap((clause) => {
      const ms = msOf(clause);
      return ms > 0 && clause.verdict !== 'skipped'
        ? [
            {
              group: clause.area.toUpperCase(),
              ms,
              label: `${clause.id}${several ? ` in ${clause.cell}` : ''}`,
              verdict: clause.verdict,
            },
          ]
        : [];
    });
  const charts = [
    {
      title: 'How long clauses took',
      words: 'from a fresh or shared Swarm to the verdict',
      samples: samples(({ durationMs }) => durationMs),
    },
    {
      title: 'How long nodes took to agree',
      words: 'waiting until DNS, IPVS and marks were the same everywhere, per clause that had to wait',
      samples: samples(({ spent }) => spent?.settling ?? 0),
    },
  ].filter((chart) => chart.samples.length > 0);
  const { total, overhead: _, ...spent } = verdict.time;
  const booked = Object.values(spent).reduce((sum, ms) => sum + ms, 0);
  return [
    html`<p>The run took <b>${duration(total)}</b>. Of the time its labs worked, ${Object.entries(spent)
      .toSorted(([, a], [, b]) => b - a)
      .map(([what, ms], index) => [
        index > 0 && ', ',
        html`<b>${Math.round((100 * ms) / Math.max(1, booked))} %</b> ${what}`,
      ])}.</p>
<figure><div class="scroll" tabindex="0" role="region" aria-label="Chart of the run over time">${timeline(verdict, judged, several)}</div><figcaption>Each clause at its time. ${legend(VERDICTS.filter((one) => judged.some(({ verdict }) => verdict === one)))}</figcaption></figure>
<div class="charts">${charts.map(
      (
        chart,
      ) => html`<figure><div class="scroll" tabindex="0" role="region" aria-label="Chart: ${chart.title}">${distribution(chart.title, chart.samples)}</div>
<figcaption><b>${chart.title}</b>: ${chart.words}. A dot is a clause, the line the median of its area. ${legend(VERDICTS.filter((one) => chart.samples.some(({ verdict }) => verdict === one)))}
<details><summary>As a table</summary>${quantiles(chart.samples)}</details></figcaption></figure>`,
    )}</div>
<details><summary>The slowest clauses</summary><ol>${rows
      .map(({ id, title, verdicts }) => ({
        id,
        title,
        ms: Math.max(...verdicts.map(({ durationMs }) => durationMs)),
      }))
      .toSorted((a, b) => b.ms - a.ms)
      .slice(0, 10)
      .map(
        ({ id, title, ms }) => html`<li><a href="#clause-${id}">${id}</a> ${title}: ${duration(ms)}</li>`,
      )}</ol></details>`,
  ];
}

function quantiles(samples: readonly { group: string; ms: number }[]): Html {
  const rows = [...Map.groupBy(samples, ({ group }) => group)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return html`<table><thead><tr><th scope="col">Area</th><th scope="col">Clauses</th><th scope="col">Median</th><th scope="col">9 of 10 below</th><th scope="col">Longest</th></tr></thead>
<tbody>${rows.map(([group, own]) => {
    const times = own.map(({ ms }) => ms).toSorted((a, b) => a - b);
    // Nearest rank: the least time that at least this part of the clauses kept.
    const at = (part: number) => times[Math.max(0, Math.ceil(part * times.length) - 1)] ?? 0;
    return html`<tr><th scope="row">${group}</th><td class="number">${times.length}</td><td class="number">${duration(at(0.5))}</td><td class="number">${duration(at(0.9))}</td><td class="number">${duration(at(1))}</td></tr>`;
  })}</tbody></table>`;
}
