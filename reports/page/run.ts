import type { Cell } from '../../helpers/verdict/model.ts';
import { command, count } from '../advice.ts';
import { rememberedCell } from '../history.ts';
import { duration } from '../summary.ts';
import type { Context } from './context.ts';
import { type Html, html } from './html.ts';
import { code } from './parts.ts';
import { when } from './words.ts';

export function runSection({ verdict }: Context): Html {
  const { run, cells, time } = verdict;
  const several = cells.length > 1;
  return html`<h3>Repeat it</h3>
<ol class="todo">${run.suite !== null && html`<li>Take the same suite: ${code(`git checkout ${run.suite.replace('-dirty', '')}`)}${run.suite.endsWith('-dirty') && ' (its files had been changed since that commit)'}</li>`}
${cells.map((cell) => html`<li>${several && html`<b>${cell.name}</b>: `}${cell.settings === null && 'With the settings of this run, which are not known: '}${code(command(cell, run.command))}</li>`)}</ol>
<p>A Debian suite named there brings the packages it has on that day; which ones this run had is told below. Random walks begin with <code>SEED</code>.</p>
<h3>Facts</h3>
<dl class="facts"><dt>Run</dt><dd>${run.id}</dd><dt>Began</dt><dd>${when(run.startedAt)}</dd><dt>Ended</dt><dd>${run.finishedAt === null ? 'it did not' : when(run.finishedAt)}, ${run.exitReason}</dd><dt>Took</dt><dd>${duration(time.total)}</dd><dt>Suite</dt><dd>${run.suite ?? 'not under version control'}</dd></dl>
${cells.map(cellFacts)}`;
}

function cellFacts(cell: Cell): Html {
  const { name, kernel, engines, nodes, qemu, accelerator, images, settings, error } = cell;
  return html`<section class="cell" aria-label="Cell ${name}"><h3>Cell ${name}</h3>
${error !== undefined && html`<p class="end">${error}</p>`}
<dl class="facts"><dt>Kernel</dt><dd>${kernel ?? 'unknown'}</dd>
<dt>Engine</dt><dd>${rememberedCell({ ...cell, engines }).engines.join(' and ') || 'unknown'}</dd>
<dt>Nodes</dt><dd>${nodes?.length ? html`<ul class="plain">${nodes.map((node) => html`<li><b>${node.name}</b> ${node.role}, ${node.address}${engines?.[node.name] && `, engine ${engines[node.name]}`}</li>`)}</ul>` : 'unknown'}</dd>
<dt>Virtual machine</dt><dd>${qemu === null ? 'none, or unknown' : `QEMU ${qemu}, ${accelerator ?? 'unknown'}`}</dd>
<dt>Settings</dt><dd>${settings === null ? 'unknown' : Object.entries(settings).length === 0 ? 'all defaults' : Object.entries(settings).map(([key, value]) => html`<code>${key}=${value}</code> `)}</dd>
${images && html`<dt>Images</dt><dd>${Object.entries(images).map(([image, { hash, packages }]) => html`<details><summary>${image} <code>${hash}</code>, ${count(Object.keys(packages).length, 'package')}</summary><p class="packages">${Object.entries(packages).map(([one, version]) => html`<span>${one} ${version}</span> `)}</p></details>`)}</dd>`}
</dl></section>`;
}
