import type { Cell, Verdict, VerdictFile } from '../../helpers/verdict/model.ts';
import type { Past } from '../history.ts';
import { type RememberedCell, type RememberedRun, rememberedCell } from '../history.ts';

/** Kernel and engine of a cell in a few words. */
export function versionsOf({ kernel, engines }: Pick<RememberedCell, 'kernel' | 'engines'>): string {
  const engine = engines.length === 0 ? 'engine unknown' : `engine ${engines.join(' and ')}`;
  return `kernel ${kernel ?? 'unknown'}, ${engine}`;
}

/** A point in time as people write it, in UTC. */
export function when(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}

/** What differs between the kernel and engine of an earlier run's cell and this one. */
export function difference(earlier: RememberedRun, cell: Cell): string {
  const then = earlier.cells.find(({ name }) => name === cell.name);
  const now = rememberedCell(cell);
  if (then === undefined || now.kernel === null) return 'what it ran on is not known';
  const parts = [
    ...(then.kernel === now.kernel ? [] : [`kernel ${then.kernel ?? 'unknown'} then, ${now.kernel} now`]),
    ...(then.engines.join() === now.engines.join()
      ? []
      : [`engine ${then.engines.join(' and ')} then, ${now.engines.join(' and ')} now`]),
  ];
  return parts.length > 0 ? parts.join('; ') : 'same kernel and engine as now';
}

const states: Record<Verdict, string> = {
  fail: 'It fails',
  inconclusive: 'It could not be judged',
  'expected-fail': 'It shows its known defect',
  skipped: 'It is skipped',
  pass: 'It passes',
};

/** Since when a clause is as it is, from what earlier runs found. */
export function sinceWhen(
  verdict: Verdict,
  { seen, since, before }: Past,
  cell: Cell,
  run: VerdictFile['run'],
): string {
  if (seen.length === 0) return 'No earlier run that is remembered judged it here.';
  const from =
    since === undefined ? `this run, ${when(run.startedAt)}` : `the run of ${when(since.startedAt)}`;
  const state = states[verdict];
  if (before === undefined) return `${state} in every run that is remembered, since ${from}.`;
  const was = `before that it was ${before.verdict}, last on ${when(before.run.startedAt)}`;
  return `${state} since ${from}; ${was} (${difference(before.run, cell)}).`;
}
