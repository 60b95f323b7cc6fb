import { createHash } from 'node:crypto';
import { Graph, layout } from '@dagrejs/dagre';
import { brokenHops, type Hop, inWords, type Leg, momentOf, type Walk } from './model.ts';

/** How a drawing names what stops packets: a clause that passed expected it, so there it is no defect. */
export interface DrawOptions {
  /** Whether the clause passed. */
  expected?: boolean;
}

/** Where something lies in a drawing (px). */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A walk with a place for everything. */
export interface Layout {
  width: number;
  height: number;
  /** By hop id. */
  hops: Map<string, Box>;
  /** Nodes and the namespaces in them, outer ones first. */
  frames: (Box & { title: string; inner: boolean })[];
  legs: { leg: Leg; points: { x: number; y: number }[] }[];
}

/*
 * Sizes in px. Nothing measures text here, and readers have fonts of their own: widths are those of wide ones (DejaVu), so that
 * text stays within its box.
 */
const FONT = { title: 13, fact: 11, monoWidth: 0.61, sansWidth: 0.62, boldWidth: 0.7 };
const LINE = 16;
const PAD = 10;
/** Between hops one below the other; half of it is above the first hop of a frame. */
const ROOM = 24;
/** By how much a frame begins higher than it would have to, for its title. */
const FRAME_TITLE = { inner: 4, outer: 8 };
const MARGIN = 16;
/** Longer values are cut; the whole is in the box's tooltip. */
const LONGEST_VALUE = 44;
const WRAP = 46;
const HEADER_WRAP = 88;

/** Lays a walk out from top to bottom; hops of one namespace, and namespaces of one node, lie in a frame. */
export function arrange(walk: Pick<Walk, 'hops' | 'legs' | 'nodes'>): Layout {
  const graph = new Graph({ compound: true });
  graph.setGraph({ rankdir: 'TB', ranksep: ROOM, nodesep: 24, edgesep: 12, marginx: 0, marginy: 0 });
  graph.setDefaultEdgeLabel(() => ({}));
  const frames = new Map<string, { title: string; inner: boolean }>();
  for (const hop of walk.hops) {
    graph.setNode(`hop ${hop.id}`, sizeOf(hop));
    if (hop.node === null) continue;
    const outer = `node ${hop.node}`;
    const inner = `${outer} ${hop.namespace}`;
    if (!frames.has(outer)) {
      frames.set(outer, { title: [hop.node, walk.nodes[hop.node]].join(' '), inner: false });
      graph.setNode(outer, {});
    }
    if (!frames.has(inner)) {
      frames.set(inner, { title: hop.namespace ?? '', inner: true });
      graph.setNode(inner, {});
      graph.setParent(inner, outer);
    }
    graph.setParent(`hop ${hop.id}`, inner);
  }
  for (const { from, to } of walk.legs) graph.setEdge(`hop ${from}`, `hop ${to}`);
  layout(graph);
  const boxOf = (id: string): Box => {
    const { x, y, width, height } = graph.node(id) as Box;
    return { x: x - width / 2, y: y - height / 2, width, height };
  };
  // Where legs lead a node's frame around others, the layout may leave a part of what belongs to it outside.
  const within = (id: string): string[] =>
    (graph.children(id) ?? []).flatMap((child: string) => [child, ...within(child)]);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    hops: new Map(walk.hops.map(({ id }) => [id, boxOf(`hop ${id}`)])),
    frames: [...frames]
      .map(([id, frame]) => {
        const { y, height: h, ...place } = around([id, ...within(id)].map(boxOf));
        const title = frame.inner ? FRAME_TITLE.inner : FRAME_TITLE.outer;
        return { ...place, y: y - title, height: h + title, ...frame };
      })
      .toSorted((a, b) => Number(a.inner) - Number(b.inner)),
    legs: walk.legs.map((leg) => ({
      leg,
      points: graph.edge(`hop ${leg.from}`, `hop ${leg.to}`).points ?? [],
    })),
  };
}

/** The smallest box around others. */
function around(boxes: Box[]): Box {
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  return {
    x,
    y,
    width: Math.max(...boxes.map((box) => box.x + box.width)) - x,
    height: Math.max(...boxes.map((box) => box.y + box.height)) - y,
  };
}

/** Room that a hop's text needs. */
function sizeOf(hop: Hop): { width: number; height: number } {
  const label = labelWidth(hop);
  const widths = [
    hop.title.length * FONT.title * FONT.boldWidth + 24,
    ...hop.facts.map(({ value }) => label + cut(value).length * FONT.fact * FONT.monoWidth),
    ...remarks(hop, false).map((text) => text.length * FONT.fact * FONT.boldWidth),
  ];
  const lines = 1 + hop.facts.length + remarks(hop, false).length;
  return { width: Math.ceil(Math.max(120, ...widths)) + 2 * PAD, height: lines * LINE + PAD + 2 };
}

function labelWidth({ facts }: Hop): number {
  return Math.max(0, ...facts.map(({ label }) => label.length)) * FONT.fact * FONT.sansWidth + 8;
}

/** What a hop's state gives to say, in lines. */
function remarks({ state, why = '' }: Hop, expected: boolean): string[] {
  if (state === 'unseen') return ['not looked at'];
  if (state === 'unreached') return ['not reached'];
  return state === 'broken' ? wrapped(`${expected ? 'Ends here' : 'BROKEN'}: ${why}`, WRAP) : [];
}

/** Draws a walk as SVG that stands for itself: light or dark as the reader has it, and as text for those who cannot see it. */
export function draw(walk: Walk, { expected = false }: DrawOptions = {}): string {
  const plan = arrange(walk);
  const titleLines = wrapped(walk.title, HEADER_WRAP);
  const trouble = brokenHops(walk).map(
    ({ title, node, why }) =>
      `${expected ? 'Ends at' : 'Broken'}: ${title}${node ? ` on ${node}` : ''}: ${why}`,
  );
  const header: [text: string, kind: string][] = [
    ...titleLines.map((text): [string, string] => [text, 'head']),
    ...wrapped(walk.result, HEADER_WRAP).map((text): [string, string] => [text, 'line']),
    ...trouble
      .flatMap((text) => wrapped(text, HEADER_WRAP))
      .map((text): [string, string] => [text, 'trouble']),
  ];
  const headerWidth = Math.max(
    ...header.map(
      ([text, kind]) => text.length * (kind === 'head' ? 15 * FONT.boldWidth : 12 * FONT.sansWidth),
    ),
  );
  const top = MARGIN + header.length * 20 + 16;
  const width = Math.ceil(Math.max(plan.width, headerWidth) + 2 * MARGIN);
  const height = Math.ceil(top + plan.height + 2 * MARGIN + 16);
  // In the middle below its title.
  const left = MARGIN + Math.max(0, (width - 2 * MARGIN - plan.width) / 2);
  const key = `walk-${createHash('sha256').update(JSON.stringify(walk)).digest('hex').slice(0, 8)}`;
  const byId = new Map(walk.hops.map((hop) => [hop.id, hop]));
  const stopped = (leg: Leg) => byId.get(leg.to)?.state === 'unreached';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="packet-walk${expected ? ' as-expected' : ''}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${key}-title ${key}-desc">`,
    `<title id="${key}-title">${escaped(walk.title)}</title>`,
    `<desc id="${key}-desc">${escaped(inWords(walk))}</desc>`,
    `<style>${STYLE}</style>`,
    `<defs><marker id="${key}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>`,
    `<rect class="paper" width="${width}" height="${height}" rx="8"/>`,
    ...header.map(
      ([text, kind], i) =>
        `<text class="${kind}" x="${MARGIN}" y="${MARGIN + 14 + i * 20}">${escaped(text)}</text>`,
    ),
    `<g transform="translate(${round(left)} ${top})">`,
    ...plan.frames.map(
      ({ x, y, width: w, height: h, inner }) =>
        `<rect class="${inner ? 'namespace' : 'node'}" x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" rx="6"/>`,
    ),
    ...plan.legs.map(
      ({ leg, points }) =>
        `<path class="leg${stopped(leg) ? ' stopped' : ''}" d="${points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('')}"${stopped(leg) ? '' : ` marker-end="url(#${key}-tip)"`}/>`,
    ),
    // After the legs, which may pass below a title.
    ...plan.frames.map(
      ({ x, y, title, inner }) =>
        `<text class="${inner ? 'namespace-name' : 'node-name'}" x="${round(x + 8)}" y="${round(y + 13)}">${escaped(title)}</text>`,
    ),
    ...walk.hops.map((hop) => box(hop, plan.hops.get(hop.id), expected)),
    '</g>',
    `<text class="line" x="${MARGIN}" y="${height - MARGIN + 4}">${escaped(`Nodes as seen at ${momentOf(walk.seenAt)}.`)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function box(hop: Hop, place: Box | undefined, expected: boolean): string {
  if (!place) throw new RangeError(`hop ${hop.id} has no place`);
  const { x, y, width, height } = place;
  const label = labelWidth(hop);
  const line = (i: number) => round(y + PAD + 9 + i * LINE);
  const facts = hop.facts.map(
    ({ label: what, value }, i) =>
      `<text class="label" x="${round(x + PAD)}" y="${line(i + 1)}">${escaped(what)}</text><text class="value" x="${round(x + PAD + label)}" y="${line(i + 1)}">${escaped(cut(value))}</text>`,
  );
  const said = remarks(hop, expected).map(
    (text, i) =>
      `<text class="remark" x="${round(x + PAD)}" y="${line(hop.facts.length + 1 + i)}">${escaped(text)}</text>`,
  );
  const mark =
    hop.state === 'broken'
      ? `<path class="cross" d="M${round(x + width - 19)} ${round(y + 8)}l9 9m0-9l-9 9"/>`
      : '';
  const whole = [
    hop.title,
    ...hop.facts.map(({ label: what, value }) => `${what}: ${value}`),
    ...(hop.why ? [hop.why] : []),
  ];
  return `<g class="hop ${hop.state}"><title>${escaped(whole.join('\n'))}</title><rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="4"/><text class="name" x="${round(x + PAD)}" y="${line(0)}">${escaped(hop.title)}</text>${facts.join('')}${said.join('')}${mark}</g>`;
}

/** Light unless the reader has it dark. Every selector begins at the root, for drawings that are put into a page. */
const STYLE = `
.packet-walk{--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#8c959f;--node:#f6f8fa;--edge:#d1d9e0;--space:#fff;--hop:#fff;--bad:#cf222e;--bad-paper:#ffebe9;font:11px system-ui,-apple-system,"Segoe UI",sans-serif}
.packet-walk.as-expected{--bad:#9a6700;--bad-paper:#fff8c5}
@media (prefers-color-scheme:dark){.packet-walk{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#768390;--node:#151b23;--edge:#3d444d;--space:#0d1117;--hop:#1c2230;--bad:#ff7b72;--bad-paper:#3c1618}.packet-walk.as-expected{--bad:#e3b341;--bad-paper:#332704}}
.packet-walk .paper{fill:var(--paper)}
.packet-walk text{fill:var(--ink)}
.packet-walk .head{font-size:15px;font-weight:700}
.packet-walk .line{font-size:12px;fill:var(--soft)}
.packet-walk .trouble{font-size:12px;font-weight:600;fill:var(--bad)}
.packet-walk .node{fill:var(--node);stroke:var(--edge);stroke-width:1.5}
.packet-walk .node-name,.packet-walk .namespace-name{stroke-width:4;paint-order:stroke}
.packet-walk .node-name{font-size:13px;font-weight:700;stroke:var(--node)}
.packet-walk .namespace{fill:var(--space);stroke:var(--edge)}
.packet-walk .namespace-name{font-size:11px;fill:var(--soft);stroke:var(--space)}
.packet-walk .leg{fill:none;stroke:var(--line);stroke-width:1.5}
.packet-walk .leg.stopped{stroke:var(--bad);stroke-dasharray:3 4}
.packet-walk .tip{fill:var(--line)}
.packet-walk .hop rect{fill:var(--hop);stroke:var(--line)}
.packet-walk .hop .name{font-size:13px;font-weight:700}
.packet-walk .hop .label{fill:var(--soft)}
.packet-walk .hop .value{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.packet-walk .hop .remark{fill:var(--soft);font-style:italic}
.packet-walk .hop.unseen rect{stroke-dasharray:5 3}
.packet-walk .hop.unreached rect{stroke-dasharray:2 3}
.packet-walk .hop.unreached text{fill:var(--soft)}
.packet-walk .hop.broken rect{fill:var(--bad-paper);stroke:var(--bad);stroke-width:2.5}
.packet-walk .hop.broken .name,.packet-walk .hop.broken .remark{fill:var(--bad);font-style:normal;font-weight:700}
.packet-walk .cross{stroke:var(--bad);stroke-width:2.5;stroke-linecap:round}
`;

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

function cut(text: string): string {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE - 1)}…` : text;
}

/** Lines of at most so many characters; a longer word is broken. */
function wrapped(text: string, length: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text
    .split(/\s+/)
    .flatMap((one) => one.match(new RegExp(`.{1,${length}}`, 'gu')) ?? [])) {
    if (line !== '' && line.length + 1 + word.length > length) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}

/** Text as it may stand in XML: characters that XML 1.0 does not have (2.2, Char) are replaced. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}')
    .replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one] ?? one);
}
