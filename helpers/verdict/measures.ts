/** What the suite measures beside judging: numbers to be compared between runs, none of which decides a verdict by itself. */

/** One kind of measurement. */
interface Measure {
  /** `ms`; `share`: of all requests, from 0 to 1; `ratio`: to the same without what is measured, taken in the same minute. */
  unit: 'ms' | 'share' | 'ratio';
  /** Which change is for the better. */
  better: 'lower' | 'higher';
  meaning: string;
}

const convergence = (event: string): Measure => ({
  unit: 'ms',
  better: 'lower',
  meaning: `From ${event} until every node told the same again.`,
});
const failures = (event: string): Measure => ({
  unit: 'share',
  better: 'lower',
  meaning: `Requests that failed among those sent during ${event}.`,
});
const latency = (way: string, direct: string): Measure => ({
  unit: 'ratio',
  better: 'lower',
  meaning: `Median time of a request ${way}, to that of ${direct}.`,
});
const throughput = (way: string, direct: string): Measure => ({
  unit: 'ratio',
  better: 'higher',
  meaning: `Median rate of a large answer ${way}, to that of ${direct}.`,
});

const A_TASK = "one to a task's own address";

/** Every measurement by name. A name never changes its meaning: a later run is compared by it. */
export const MEASURES = {
  'convergence-scale-up': convergence('raising the number of tasks'),
  'convergence-scale-down': convergence('lowering the number of tasks'),
  'convergence-update': convergence('the begin of a rolling update'),
  'convergence-task-death': convergence('the death of a task'),
  'convergence-node-loss': convergence('the loss of a node'),
  'convergence-leader-loss': convergence('the loss of the leader'),
  'failed-scale': failures('raising and lowering the number of tasks'),
  'failed-update': failures('a rolling update'),
  'failed-node-loss': failures('the loss of a node'),
  'failed-leader-loss': failures('the loss of the leader'),
  'latency-vip': latency('to a virtual IP', A_TASK),
  'latency-dnsrr': latency('to a name of several addresses, its resolution included', A_TASK),
  'latency-mesh': latency(
    'through the routing mesh, entering where no task runs',
    'one to a port in host mode',
  ),
  'throughput-vip': throughput('through a virtual IP', A_TASK),
  'throughput-mesh': throughput(
    'through the routing mesh, entering where no task runs',
    'one from a port in host mode',
  ),
  'throughput-encrypted': throughput('over an encrypted overlay', 'the same over a plain one'),
  'dns-latency': {
    unit: 'ms',
    better: 'lower',
    meaning: "Median time of an answer of the engine's own DNS.",
  },
  'dns-latency-p95': {
    unit: 'ms',
    better: 'lower',
    meaning: "95 of 100 answers of the engine's own DNS took no longer.",
  },
} as const satisfies Record<string, Measure>;

/** A value as people read it: `12.3 ms`, `4.1 s`, `1.4 %`, `1.25`. */
export function valueInWords(value: number, unit: Measure['unit']): string {
  if (unit === 'share') return `${(value * 100).toFixed(1)} %`;
  if (unit === 'ratio') return value.toFixed(2);
  return value < 1000 ? `${value.toFixed(1)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** Name of a measurement. */
export type MeasureName = keyof typeof MEASURES;
