import type { Cell, ClauseVerdict, Verdict } from '../../helpers/verdict/model.ts';
import { urgency } from '../advice.ts';
import type { Past } from '../history.ts';
import type { Context, Row } from './context.ts';
import { type Content, type Html, html } from './html.ts';

/** The verdicts as people know them by sight; the word always stands beside it. */
const signs: Record<Verdict, string> = {
  fail: '✗',
  inconclusive: '?',
  'expected-fail': '!',
  skipped: '–',
  pass: '✓',
};

/** Of this many clauses that share their fate, only one is told in full: a lab that died is told once. */
export const CROWD = 4;

/** A step whose command, after the last colon, can be copied. */
export function withCommand(step: string): Content {
  const [, words, line] = /^(.*: )((?:\w+=\S+ )*npx .*)$/.exec(step) ?? [];
  return line === undefined ? step : [words, code(line)];
}

/** A command that can be copied. */
export function code(line: string): Html {
  return html`<span class="command"><code>${line}</code><button type="button" data-copy="${line}" hidden>Copy</button></span>`;
}

/** Orders clauses, the most urgent first. */
export function byUrgency(a: Row, b: Row): number {
  const most = ({ verdicts }: Row) => Math.min(...verdicts.map(urgency));
  return most(a) - most(b);
}

/** What clauses share that were lost for one and the same reason. */
export function fate({ cell, node, reason, message }: ClauseVerdict): string {
  return JSON.stringify([cell, node, reason, message]);
}

/** Why a verdict is what it is: its reason, and what was seen, cut where it is long. */
export function why({ reason, message }: ClauseVerdict): Content {
  const text = message?.trim();
  if (!text) return reason ?? 'no reason was given';
  const lines = text.split('\n');
  const short = reason !== null && !['product', 'judged'].includes(reason) && html`<p><b>${reason}</b></p>`;
  if (lines.length <= 8 && text.length < 1200) return [short, html`<pre>${text}</pre>`];
  return [
    short,
    html`<pre>${lines.slice(0, 4).join('\n').slice(0, 600)}…</pre><details><summary>All ${lines.length} lines</summary><pre>${text}</pre></details>`,
  ];
}

/** Evidence as links; pictures and scripts, which speak for themselves, first. What has the name of an earlier one is numbered. */
export function evidence({ evidence: files }: ClauseVerdict): Content {
  if (files.length === 0) return null;
  const first = ({ contentType, path }: (typeof files)[number]) =>
    contentType === 'image/svg+xml' || path.endsWith('.sh') ? 0 : 1;
  const times = new Map<string, number>();
  const links = files
    .toSorted((a, b) => first(a) - first(b))
    .map(({ name, path }) => {
      const nth = (times.get(name) ?? 0) + 1;
      times.set(name, nth);
      return html`<li><a href="${path}">${nth === 1 ? name : `${name} ${nth}`}</a></li>`;
    });
  return html`<dt>Evidence</dt><dd><ul class="files">${links}</ul></dd>`;
}

/** A verdict's cell, and its name where that must be told. */
export function cellOf({ cell: name }: ClauseVerdict, { verdict }: Context): { cell: Cell; names: Content } {
  const cell = verdict.cells.find((one) => one.name === name) as Cell;
  return { cell, names: verdict.cells.length > 1 && html`cell <b>${name}</b>, ` };
}

/** What earlier runs found about it. */
export function pastOfClause(clause: ClauseVerdict, { past }: Context): Past {
  return past.get(clause) ?? { seen: [] };
}

/** A verdict as a word with its sign. */
export function chip(verdict: Verdict): Html {
  return html`<span class="chip ${verdict}">${sign(verdict)} ${verdict}</span>`;
}

/** The sign of a verdict; a word must stand beside it. */
export function sign(verdict: Verdict): Html {
  return html`<span aria-hidden="true">${signs[verdict]}</span>`;
}

/** The level of a clause. */
export function level({ level }: Pick<Row, 'level'>): Html {
  return html`<span class="level ${level ?? ''}">${level ?? 'unknown'}</span>`;
}

/** What the colours of a chart mean. */
export function legend(verdicts: readonly Verdict[]): Html {
  return html`<span class="legend">${verdicts.map((verdict) => html`<span><i class="${verdict}"></i>${verdict}</span> `)}</span>`;
}
