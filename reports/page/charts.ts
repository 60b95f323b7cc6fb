import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { ClauseVerdict, Verdict, VerdictFile } from '../../helpers/verdict/model.ts';
import type { History } from '../history.ts';
import { duration } from '../summary.ts';
import { Html } from './html.ts';

/** Plot wants a document to make elements in. */
const { document } = parseHTML('<!doctype html><html><body></body></html>');

/** Colours are the page's own, so that they follow light and dark. */
const colour = (verdict: Verdict) => `var(--${verdict})`;

/** Width of a chart that stands beside another (px at its natural size). */
const HALF = 460;
const FULL = 960;

interface Sample {
  group: string;
  ms: number;
  label: string;
  verdict: Verdict;
}

function svg(label: string, options: Plot.PlotOptions): Html {
  const plot = Plot.plot({
    ...options,
    document: document as never,
    style: { fontSize: '12px', background: 'none', overflow: 'visible' },
    ariaLabel: label,
  });
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  plot.setAttribute('role', 'img');
  // Plot names its groups, which are no elements that can have a name.
  for (const group of plot.querySelectorAll('g[aria-label]')) group.removeAttribute('aria-label');
  // Its height follows from the width that the page gives it.
  plot.removeAttribute('height');
  return new Html(plot.outerHTML);
}

/** Times as a reader says them: ms below a second, then s, then min. */
const tick = (seconds: number) =>
  seconds < 1 ? `${seconds * 1000} ms` : seconds < 60 ? `${seconds} s` : `${seconds / 60} min`;

/** Steps that people count time in (s). */
const STEPS = [0.001, 0.01, 0.1, 1, 3, 10, 30, 60, 180, 600, 1800, 3600];

/** Every sample as a dot in the row of its group, with the median as a line: a distribution, on a logarithmic axis. */
export function distribution(label: string, samples: readonly Sample[]): Html {
  const groups = [...new Set(samples.map(({ group }) => group))].toSorted();
  const data = samples.map((sample) => ({ ...sample, s: Math.max(sample.ms, 1) / 1000 }));
  const low = Math.min(...data.map(({ s }) => s));
  const high = Math.max(...data.map(({ s }) => s));
  const domain = [STEPS.findLast((step) => step <= low) ?? low, STEPS.find((step) => step >= high) ?? high];
  return svg(label, {
    width: HALF,
    height: 30 * groups.length + 50,
    marginLeft: 76,
    marginRight: 20,
    x: {
      type: 'log',
      domain,
      ticks: STEPS.filter((s) => s >= (domain[0] ?? 0) && s <= (domain[1] ?? 0)),
      tickFormat: tick,
      label: null,
      grid: true,
    },
    fy: { domain: groups, label: null, axis: 'left', padding: 0.15 },
    marks: [
      Plot.frame({ stroke: 'var(--line)', anchor: 'bottom' }),
      Plot.dot(
        data,
        Plot.dodgeY('middle', {
          x: 's',
          fy: 'group',
          r: 2.5,
          fill: ({ verdict }: Sample) => colour(verdict),
          title: ({ label, ms }: Sample) => `${label}: ${duration(ms)}`,
          padding: 0.5,
        } as Plot.DotOptions),
      ),
      Plot.tickX(
        data,
        Plot.groupZ(
          { x: 'median' },
          { x: 's', fy: 'group', z: 'group', stroke: 'currentColor', strokeWidth: 2 },
        ),
      ),
    ],
    color: { type: 'identity' },
  });
}

/** Ours: a letter of the charts' font is not wider, on average (px). */
const LETTER = 7.5;

/** The clauses of a run as bars over its wall clock, one row for each lab. */
export function timeline(
  { run, time }: Pick<VerdictFile, 'run' | 'time'>,
  clauses: readonly ClauseVerdict[],
  several: boolean,
): Html {
  const start = Date.parse(run.startedAt);
  const bars = clauses
    .filter(({ startedAt }) => startedAt !== null)
    .map(({ id, cell, worker, startedAt, durationMs, verdict, title }) => {
      const from = (Date.parse(String(startedAt)) - start) / 60_000;
      return {
        lab: several ? `${cell} ${(worker ?? 0) + 1}` : `lab ${(worker ?? 0) + 1}`,
        from,
        to: from + durationMs / 60_000,
        verdict,
        title: `${id} ${title}: ${verdict}, ${duration(durationMs)}`,
      };
    });
  const labs = [...new Set(bars.map(({ lab }) => lab))];
  // Parts that were merged may have run one after another.
  const end = Math.max(time.total / 60_000, ...bars.map(({ to }) => to));
  const longest = Math.max(...labs.map(({ length }) => length));
  return svg('Clauses over the time of the run', {
    width: FULL,
    height: 34 * labs.length + 60,
    marginLeft: Math.max(76, 16 + LETTER * longest),
    marginBottom: 40,
    x: { label: 'minutes since the start', domain: [0, end], grid: true },
    y: { label: null, type: 'band', padding: 0.25 },
    color: { type: 'identity' },
    marks: [
      Plot.barX(bars, {
        y: 'lab',
        x1: 'from',
        x2: 'to',
        fill: ({ verdict }: { verdict: Verdict }) => colour(verdict),
        title: 'title',
        insetLeft: 0.4,
        insetRight: 0.4,
      }),
      Plot.ruleX([0]),
    ],
  });
}

/** Verdicts whose number is worth a chart: the many that passed would only hide them. */
export const RARE = ['fail', 'expected-fail', 'skipped'] as const;

/** How many clauses had which of the rare verdicts, run by run, the oldest first. */
export function verdictsOverRuns(runs: History): Html {
  const bars = runs.flatMap((run, index) => {
    const verdicts = Object.values(run.clauses).flatMap((own) => Object.values(own));
    const counts = Map.groupBy(verdicts, ({ verdict }) => verdict);
    return RARE.map((verdict) => ({
      run: index,
      verdict,
      number: counts.get(verdict)?.length ?? 0,
      title: `${run.startedAt.slice(0, 16).replace('T', ' ')}: ${counts.get(verdict)?.length ?? 0} ${verdict}`,
    }));
  });
  const most = Math.max(
    1,
    ...bars.map(({ run }) =>
      bars.filter((bar) => bar.run === run).reduce((sum, { number }) => sum + number, 0),
    ),
  );
  const day = (index: number) => runs[index]?.startedAt.slice(5, 10) ?? '';
  const every = Math.ceil(runs.length / 8);
  return svg('Verdicts, run by run', {
    width: HALF,
    height: 200,
    marginLeft: 44,
    x: {
      type: 'band',
      label: null,
      ticks: runs.map((_, index) => index).filter((index) => index % every === 0),
      tickFormat: day,
      padding: 0.2,
    },
    y: { label: 'clauses', grid: true, domain: [0, most], ticks: Math.min(most, 6), tickFormat: 'd' },
    color: { type: 'identity' },
    marks: [
      Plot.barY(bars, {
        x: 'run',
        y: 'number',
        fill: ({ verdict }: { verdict: Verdict }) => colour(verdict),
        title: 'title',
        order: [...RARE] as never,
        z: 'verdict',
      }),
      Plot.ruleY([0]),
    ],
  });
}
