import {
  type Cell,
  type ClauseVerdict,
  NO_TIME,
  VERDICT_SCHEMA,
  VERDICTS,
  type VerdictFile,
} from '../model.ts';

/** A cell for tests. */
export const exampleCell: Cell = {
  name: 'vm',
  kernel: '6.12.107',
  engines: { m1: '26.1.5', w1: '26.1.5', w2: '28.5.2' },
  nodes: [
    { name: 'm1', role: 'manager', address: '10.20.0.11' },
    { name: 'w1', role: 'worker', address: '10.20.0.12' },
    { name: 'w2', role: 'worker', address: '10.20.0.13' },
  ],
  qemu: '10.0.13',
  accelerator: 'tcg',
  images: null,
  settings: { KERNEL: 'debian:forky' },
};

/** A verdict on a clause for tests. */
export function exampleClause(facts: Partial<ClauseVerdict>): ClauseVerdict {
  const known = { id: 'VIP-001', cell: 'vm', area: 'vip', level: 'must', title: 'A promise' } as const;
  const seen = {
    verdict: 'pass',
    reason: null,
    message: null,
    node: null,
    startedAt: '2026-11-22T10:00:00.000Z',
    durationMs: 1500,
    worker: 0,
    spent: null,
    pace: 1,
  } as const;
  return {
    ...known,
    ...seen,
    evidence: [],
    measurements: [],
    transcript: null,
    provenBy: [],
    survived: [],
    ...facts,
  };
}

/** A verdict file for tests. */
export function exampleVerdict(clauses: ClauseVerdict[], facts: Partial<VerdictFile> = {}): VerdictFile {
  const startedAt = '2026-11-22T10:00:00.000Z';
  const run = {
    id: 'r1',
    startedAt,
    finishedAt: startedAt,
    command: 'npx playwright test',
    suite: '0123456789ab',
    exitReason: 'completed',
  } as const;
  const count = (wanted: string) => clauses.filter(({ verdict }) => verdict === wanted).length;
  const totals = Object.fromEntries(
    VERDICTS.map((verdict) => [verdict, count(verdict)]),
  ) as VerdictFile['totals'];
  const time = { ...NO_TIME, overhead: 0, total: 161_000 };
  return { schema: VERDICT_SCHEMA, run, cells: [exampleCell], clauses, totals, time, ...facts };
}
