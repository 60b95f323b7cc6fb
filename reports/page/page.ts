import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { advise, worstAdvice } from '../advice.ts';
import { pastOf } from '../history.ts';
import { answer } from './answer.ts';
import { changesSection } from './changes.ts';
import { type Context, type PageFacts, rowsOf } from './context.ts';
import { type Content, Html, html } from './html.ts';
import { matrixSection } from './matrix.ts';
import { measuredSection } from './measured.ts';
import { redSection } from './red.ts';
import { runSection } from './run.ts';
import { timesSection } from './times.ts';
import { when } from './words.ts';

/**
 * The conformance page: one file that needs nothing else to be read, from a disk or a server, without network. It
 * begins with the answer and leads from there to each clause, its evidence, and how to repeat the run.
 */
export function conformancePage(page: PageFacts): string {
  const { verdict, catalogue, history, files } = page;
  const { run, cells, clauses } = verdict;
  const rows = rowsOf(clauses, catalogue);
  const advices = cells.map((cell) => ({ cell, advice: advise(verdict, cell, catalogue) }));
  const worst = worstAdvice(advices.map(({ advice }) => advice));
  const earlier = history.filter(({ id }) => id !== run.id);
  const past = new Map(clauses.map((clause) => [clause, pastOf(clause, earlier, run)]));
  const context: Context = { ...page, rows, past, earlier };
  const sections: [id: string, title: string, body: Content][] = [
    ['red', 'What did not pass', redSection(context)],
    ['changes', 'What changed', changesSection(context)],
    ['clauses', 'All clauses', matrixSection(context)],
    ['times', 'Times', timesSection(context)],
    ['measured', 'Measured', measuredSection(context)],
    ['run', 'This run, and how to repeat it', runSection(context)],
  ];
  const shown = sections.filter(([, , body]) => body !== null);
  const style = asset('page.css');
  const script = asset('page.js');
  // Nothing is loaded, and nothing but this script runs, whatever a message holds.
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>\n${html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="color-scheme" content="light dark">
<title>${worst.headline}: swarmproof</title>
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#clauses">Skip to all clauses</a>
<header>
<p class="brand">swarmproof: Docker Swarm service networking, ${when(run.startedAt)}</p>
${answer(worst, advices, context)}
<nav aria-label="Parts of this page"><ul>${shown.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li>`)}
${Object.entries(files).map(([name, path]) => html`<li><a href="${path}">${name}</a></li>`)}</ul></nav>
</header>
<main>
${shown.map(([id, title, body]) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>${body}</section>`)}
</main>
<script>${new Html(script)}</script>
</body>
</html>`}\n`;
}

function asset(name: string): string {
  return readFileSync(join(import.meta.dirname, name), 'utf8');
}
