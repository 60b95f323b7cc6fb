import { loadCatalogue } from '../../helpers/catalogue/catalogue.ts';
import { type Cell, type ClauseVerdict, unknownCell, type VerdictFile } from '../../helpers/verdict/model.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../../helpers/verdict/testing/example.ts';
import type { History } from '../history.ts';
import { rememberedCell } from '../history.ts';

/** Runs of all clauses for the pages' own tests: as large as real ones, and made up. */
export interface ExampleRun {
  verdict: VerdictFile;
  history: History;
}

const start = Date.parse('2026-11-22T10:00:00.000Z');
const minutes = 60_000;

const measurements: Record<string, ClauseVerdict['measurements']> = {
  'DNS-003': [
    { name: 'dns-latency', value: 4.29, unit: 'ms', samples: 40 },
    { name: 'dns-latency-p95', value: 7.76, unit: 'ms', samples: 40 },
  ],
  'LIFE-001': [{ name: 'convergence-task-death', value: 20_671, unit: 'ms', samples: 1 }],
  'NODE-003': [{ name: 'failed-node-loss', value: 0.0143, unit: 'share', samples: 279 }],
  'VIP-018': [{ name: 'latency-vip', value: 1.326, unit: 'ratio', samples: 15 }],
};

/** Every clause of the catalogue, passed, with times spread from a second to two minutes. */
function allPassed(cell: string): ClauseVerdict[] {
  const worked = [0, 0];
  return [...loadCatalogue().values()].map(({ id, area, level, title }, index) => {
    const worker = index % 2;
    // Numbers that go round without a pattern that the eye sees.
    const durationMs = Math.round(1000 * 120 ** (((index * 37) % 101) / 100));
    const startedAt = new Date(start + 10_000 + (worked[worker] ?? 0)).toISOString();
    worked[worker] = (worked[worker] ?? 0) + durationMs;
    const settling = index % 3 === 0 ? 0 : durationMs / 2;
    const spent = { lab: 500, swarm: 300, settling, observing: durationMs / 4, judging: 10 };
    const evidence = [
      { name: 'answers', contentType: 'application/json', path: `evidence/${cell}/${id}/answers.json` },
      { name: 'log of m1', contentType: 'text/plain', path: `evidence/${cell}/${id}/log-of-m1.txt` },
    ];
    const seen = { reason: 'conforms', startedAt, durationMs, worker, spent, pace: 1.2, evidence };
    return exampleClause({ id, cell, area, level, title, measurements: measurements[id] ?? [], ...seen });
  });
}

function changed(clauses: ClauseVerdict[], id: string, facts: Partial<ClauseVerdict>): ClauseVerdict[] {
  return clauses.map((clause) => (clause.id === id ? { ...clause, ...facts } : clause));
}

function run(clauses: ClauseVerdict[], cells: Cell[], facts: Partial<VerdictFile['run']> = {}): VerdictFile {
  const file = exampleVerdict(clauses, { cells });
  const time = {
    lab: 50_000,
    swarm: 30_000,
    settling: 500_000,
    observing: 300_000,
    judging: 2000,
    overhead: 0,
  };
  return {
    ...file,
    run: { ...file.run, finishedAt: new Date(start + 30 * minutes).toISOString(), ...facts },
    time: { ...time, total: 30 * minutes },
  };
}

/** Runs on the days before, with what they found; the newest last. */
function days(...found: { clauses: ClauseVerdict[]; cell: Cell }[]): History {
  return found.map(({ clauses, cell }, index) => ({
    id: `earlier-${index}`,
    startedAt: new Date(start - (found.length - index) * 24 * 60 * minutes).toISOString(),
    totalMs: 29 * minutes,
    cells: [rememberedCell(cell)],
    clauses: {
      [cell.name]: Object.fromEntries(
        clauses.map(({ id, verdict, durationMs }) => [id, { verdict, durationMs }]),
      ),
    },
  }));
}

const newKernel: Cell = {
  ...exampleCell,
  kernel: '7.3.4',
  engines: { m1: '28.5.2', w1: '28.5.2', w2: '28.5.2' },
};
const oldKernel: Cell = { ...newKernel, kernel: '6.12.107' };

/** A clean run, one with failures, one whose lab died, one that never began, and one of several cells. */
export function exampleRuns(): Record<'clean' | 'failures' | 'died' | 'never' | 'matrix', ExampleRun> {
  const passed = allPassed('vm');
  const mesh = changed(passed, 'MESH-002', {
    verdict: 'fail',
    reason: 'product',
    node: 'm1',
    message: 'tasks that answer in turn: expected 4 of 8 from each, saw 8 from vote.1\nvote.2 never answered',
  });
  const failing = [
    [
      'VIP-015',
      {
        verdict: 'fail',
        reason: 'product',
        node: 'w1',
        message: 'expected 10.0.1.5, saw <b>nothing</b><script>document.title="seen"</script>',
        provenBy: ['weight zero on one destination'],
      },
    ],
    [
      'VIP-010',
      { verdict: 'fail', reason: 'product', node: 'w2', message: 'MARK rules: expected one, saw none' },
    ],
    [
      'DNS-003',
      { verdict: 'inconclusive', reason: 'observer', node: 'w2', message: 'the shell on w2 ended' },
    ],
    [
      'DNS-020',
      {
        verdict: 'expected-fail',
        reason: 'aliases of a vip service do not change in a rolling update (moby/moby#52236)',
      },
    ],
    ['VIP-023', { verdict: 'skipped', reason: 'needs another kernel' }],
  ] as const;
  const red = failing
    .reduce((clauses, [id, facts]) => changed(clauses, id, facts as Partial<ClauseVerdict>), mesh)
    .map((clause) =>
      clause.id === 'VIP-015'
        ? {
            ...clause,
            evidence: [
              ...clause.evidence,
              {
                name: 'path of the packet',
                contentType: 'image/svg+xml',
                path: 'evidence/vm/VIP-015/walk.svg',
              },
            ],
          }
        : clause,
    );
  const death =
    'the virtual machine ended (exit code 1); its console ends:\n[ 213.4] Kernel panic - not syncing: out of memory\n'.concat(
      '[ 213.5]  trace\n'.repeat(9),
    );
  const died = passed.map((clause, index) =>
    index < 40 ? clause : { ...clause, verdict: 'inconclusive' as const, reason: 'lab', message: death },
  );
  const boot = 'the guest did not boot within 120 s';
  const lost = passed.map(({ id, area, level, title }) =>
    exampleClause({
      id,
      area,
      level,
      title,
      verdict: 'inconclusive',
      reason: 'setup-failed',
      message: boot,
      startedAt: null,
      worker: null,
      durationMs: 0,
      pace: null,
    }),
  );
  const cells = ['trixie', 'forky', 'mixed'].map((name, index) => ({
    ...(index === 1 ? newKernel : oldKernel),
    name,
  }));
  const several = cells.flatMap(({ name }) =>
    (name === 'forky' ? red : passed).map((clause) => ({ ...clause, cell: name })),
  );
  return {
    clean: { verdict: run(passed, [exampleCell]), history: [] },
    failures: {
      verdict: run(red, [newKernel]),
      history: days(
        { clauses: passed, cell: oldKernel },
        { clauses: passed, cell: oldKernel },
        { clauses: mesh, cell: newKernel },
      ),
    },
    died: { verdict: run(died, [exampleCell]), history: days({ clauses: passed, cell: exampleCell }) },
    never: {
      verdict: run(lost, [{ ...unknownCell('vm', boot), settings: { KERNEL: 'debian:sid' } }], {
        exitReason: 'setup-failed',
        message: boot,
      }),
      history: [],
    },
    matrix: { verdict: run(several, cells), history: [] },
  };
}
