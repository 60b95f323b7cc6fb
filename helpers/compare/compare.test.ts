import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Cell, type ClauseVerdict, holds, VERDICTS, type VerdictFile } from '../verdict/model.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../verdict/testing/example.ts';
import { type CellComparison, compare } from './compare.ts';

const spent = (ms: number) => ({ lab: 9000, swarm: 30_000, settling: ms, observing: 0, judging: 0 });

function cellOf(a: VerdictFile, b: VerdictFile): CellComparison {
  const [cell] = compare(a, b).cells;
  assert.ok(cell);
  return cell;
}

/** Two runs of one clause that ended like this. */
function flip(from: Partial<ClauseVerdict>, to: Partial<ClauseVerdict>) {
  return compare(exampleVerdict([exampleClause(from)]), exampleVerdict([exampleClause(to)]));
}

const conformingAgain = { verdict: 'fail', reason: 'unexpectedly-conforming' } as const;
const FLIPS: [Partial<ClauseVerdict>, Partial<ClauseVerdict>, kind: string, outcome: string][] = [
  [{ verdict: 'pass' }, { verdict: 'fail' }, 'worse', 'worse'],
  [{ verdict: 'pass' }, { verdict: 'expected-fail' }, 'worse', 'worse'],
  [conformingAgain, { verdict: 'fail' }, 'worse', 'worse'],
  [{ verdict: 'fail' }, { verdict: 'pass' }, 'better', 'not-worse'],
  [{ verdict: 'expected-fail' }, conformingAgain, 'better', 'not-worse'],
  [{ verdict: 'pass' }, { verdict: 'inconclusive' }, 'open', 'open'],
  [{ verdict: 'pass' }, { verdict: 'skipped' }, 'open', 'open'],
  [{ verdict: 'inconclusive' }, { verdict: 'fail' }, 'open', 'open'],
  [{ verdict: 'fail' }, { verdict: 'inconclusive' }, 'other', 'not-worse'],
  [{ verdict: 'inconclusive' }, { verdict: 'pass' }, 'other', 'not-worse'],
  [{ verdict: 'expected-fail' }, { verdict: 'fail' }, 'other', 'not-worse'],
];
for (const [from, to, kind, outcome] of FLIPS) {
  const words = (one: Partial<ClauseVerdict>) => `${one.verdict}${one.reason ? ` (${one.reason})` : ''}`;
  test(`${words(from)} → ${words(to)} is ${kind}, and B is ${outcome}`, () => {
    const comparison = flip(from, to);
    assert.equal(comparison.outcome, outcome);
    const cell = comparison.cells[0] as CellComparison;
    for (const other of ['worse', 'better', 'open', 'other'] as const)
      assert.equal(cell[other].length, other === kind ? 1 : 0, other);
    assert.equal(cell.same, 0);
  });
}

const clauses = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.constantFrom(...VERDICTS)), {
    selector: ([number]) => number,
    maxLength: 20,
  })
  .map((list) =>
    list.map(([number, verdict]) => exampleClause({ id: `VIP-${String(number).padStart(3, '0')}`, verdict })),
  );

test('every clause is told exactly once, a run is never worse than itself, and B is worse only by what held in A', () => {
  fc.assert(
    fc.property(clauses, clauses, (before, after) => {
      const [a, b] = [exampleVerdict(before), exampleVerdict(after)];
      assert.equal(compare(a, a).outcome, 'not-worse');
      const cell = cellOf(a, b);
      const told = [...cell.worse, ...cell.better, ...cell.open, ...cell.other].map(({ id }) => id);
      const ids = new Set([...before, ...after].map(({ id }) => id));
      assert.equal(told.length + cell.same + cell.onlyIn.a.length + cell.onlyIn.b.length, ids.size);
      assert.equal(new Set(told).size, told.length);
      const mirrored = cellOf(b, a);
      const names = (list: { id: string }[]) => list.map(({ id }) => id).sort();
      assert.deepEqual(names(mirrored.better), names(cell.worse));
      for (const { id } of cell.worse)
        assert.ok(before.some((clause) => clause.id === id && holds(clause) === true));
    }),
  );
});

test('the weightiest comes first: verdict, then level', () => {
  const ids = [
    ['VIP-001', 'detail', 'fail'],
    ['VIP-002', 'must', 'expected-fail'],
    ['VIP-003', 'should', 'fail'],
    ['VIP-004', 'must', 'fail'],
  ] as const;
  const before = ids.map(([id, level]) => exampleClause({ id, level }));
  const after = ids.map(([id, level, verdict]) => exampleClause({ id, level, verdict }));
  const cell = cellOf(exampleVerdict(before), exampleVerdict(after));
  assert.deepEqual(
    cell.worse.map(({ id }) => id),
    ['VIP-004', 'VIP-003', 'VIP-001', 'VIP-002'],
  );
});

test('cells are matched by name, and the only ones of two runs whatever their names', () => {
  const named = (name: string): Cell => ({ ...exampleCell, name });
  const run = (...names: string[]) =>
    exampleVerdict(
      names.map((cell) => exampleClause({ cell })),
      { cells: names.map(named) },
    );
  assert.deepEqual(compare(run('old'), run('new')).cells[0]?.cell, { a: 'old', b: 'new' });
  const several = compare(run('x', 'y'), run('y', 'z'));
  assert.deepEqual(
    several.cells.map(({ cell }) => cell),
    [{ a: 'y', b: 'y' }],
  );
  assert.deepEqual(several.onlyIn, { a: ['x'], b: ['z'] });
});

test('every fact that differs is told by section and name, also one of a section that is new', () => {
  const image = (docker: string) => ({
    node: { hash: docker, packages: { 'docker.io': docker, jq: '1.7' } },
  });
  const a = { ...exampleCell, images: image('26'), sysctls: { m1: { 'net.ipv4.vs.conntrack': 0 } } };
  const b = {
    ...exampleCell,
    kernel: '6.16.3',
    nodes: exampleCell.nodes?.slice(1) ?? null,
    accelerator: null,
    images: image('28'),
    sysctls: { m1: { 'net.ipv4.vs.conntrack': 1 } },
  };
  const [one, other] = [a, b].map((cell) => exampleVerdict([exampleClause({})], { cells: [cell] }));
  const facts = cellOf(one as VerdictFile, other as VerdictFile).facts;
  assert.deepEqual(
    facts.map(({ section, name, a, b }) => [section, name, a, b]),
    [
      ['kernel', '', '6.12.107', '6.16.3'],
      ['nodes', 'm1.name', 'm1', null],
      ['nodes', 'm1.role', 'manager', null],
      ['nodes', 'm1.address', '10.20.0.11', null],
      ['accelerator', '', 'tcg', null],
      ['images', 'node.hash', '26', '28'],
      ['images', 'node.packages.docker.io', '26', '28'],
      ['sysctls', 'm1.net.ipv4.vs.conntrack', '0', '1'],
    ],
  );
});

/** A run of twelve clauses that hold, each of which took so long. */
function timed(time: (index: number) => Partial<ClauseVerdict>): VerdictFile {
  const list = Array.from({ length: 12 }, (_, index) =>
    exampleClause({ id: `VIP-${String(index + 1).padStart(3, '0')}`, ...time(index) }),
  );
  return exampleVerdict(list);
}

test('times are compared without what the lab took, and per judgement', () => {
  const a = timed((index) => ({ durationMs: 50_000, spent: spent(1000 * (index + 1)) }));
  const thrice = timed((index) => ({ durationMs: 90_000, runs: 3, spent: spent(3 * 1500 * (index + 1)) }));
  const { basis, all, standOut } = cellOf(a, thrice).time;
  assert.equal(basis, 'spent');
  assert.equal(all?.factor.toFixed(3), '1.500');
  assert.deepEqual(standOut, []);
});

test('a file without what time was spent on is compared by durations; a clause that broke is not compared', () => {
  const a = timed(() => ({ durationMs: 1000 }));
  const b = timed((index) => ({
    durationMs: index === 3 ? 600_000 : 2000 + index,
    spent: spent(9),
    verdict: index === 3 ? 'fail' : 'pass',
  }));
  const { basis, all, standOut } = cellOf(a, b).time;
  assert.equal(basis, 'duration');
  assert.equal(all?.count, 11);
  assert.ok(all && all.low >= 2 && all.high < 2.02);
  assert.deepEqual(standOut, []);
});

test('a clause far slower than the others is named; few clauses allow no interval', () => {
  const a = timed((index) => ({ spent: spent(1000 + index) }));
  const b = timed((index) => ({ spent: spent(index === 5 ? 40_000 : 1010 + 2 * index) }));
  assert.deepEqual(cellOf(a, b).time.standOut, [{ id: 'VIP-006', aMs: 1005, bMs: 40_000 }]);
  const few = exampleVerdict([exampleClause({ spent: spent(1) })]);
  assert.equal(cellOf(few, few).time.all, null);
});

test('what a clause measured in several judgements is told once, by the middle one', () => {
  const measured = (...values: number[]) => ({
    measurements: values.map((value) => ({ name: 'latency-vip', value, unit: 'ratio' as const, samples: 5 })),
  });
  const cell = cellOf(
    exampleVerdict([exampleClause(measured(9, 1, 2))]),
    exampleVerdict([exampleClause(measured(4))]),
  );
  const { id: clause } = exampleClause({});
  assert.deepEqual(cell.measured, [
    { clause, name: 'latency-vip', unit: 'ratio', a: 2, b: 4, samples: { a: 15, b: 5 } },
  ]);
});
