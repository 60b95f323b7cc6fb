import { linesOf } from './text.ts';

/** What a task's container said of itself, see helpers/lab/images/workload.pl. */
export type WorkloadEvent =
  /** It listens. `drained`: it ends, since nothing is open any more or the time for that is over. */
  | { at: number; event: 'start' | 'drained'; open: number }
  /** It got a signal. */
  | { at: number; event: 'signal'; signal: string; action: 'exit' | 'drain' | 'ignore'; open: number };

/** The log of a workload's container, in its order; `at` in epoch ms. @throws {UnknownLine} on what the workload does not say */
export function parseWorkloadLog(text: string): WorkloadEvent[] {
  if (text.trim() === '') return [];
  return linesOf('log of the workload', text).map((line) => {
    let said: Partial<Record<string, unknown>>;
    try {
      said = JSON.parse(line.text);
    } catch {
      throw line.refusal('not JSON');
    }
    const { at, event, open, signal, action } = said;
    if (typeof at !== 'number' || typeof open !== 'number') throw line.refusal();
    if (event === 'start' || event === 'drained') return { at, event, open };
    if (event !== 'signal' || typeof signal !== 'string') throw line.refusal();
    if (action !== 'exit' && action !== 'drain' && action !== 'ignore') throw line.refusal();
    return { at, event, signal, action, open };
  });
}
