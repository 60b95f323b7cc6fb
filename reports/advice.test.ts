import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleCell, exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { type AdvisedClause, advise, command, rerunCommand, worstAdvice } from './advice.ts';

const catalogue = new Map<string, AdvisedClause>([
  ['VIP-001', { level: 'must' }],
  ['VIP-002', { level: 'detail' }],
  ['VIP-003', { level: 'must', soak: true }],
  ['VIP-004', { level: 'must', draft: true }],
]);

const advice = (...clauses: Parameters<typeof exampleClause>[0][]) =>
  advise(exampleVerdict(clauses.map(exampleClause)), exampleCell, catalogue);

test('a promise that failed stands against the upgrade, whatever else is open', () => {
  const { answer, because, todo } = advice(
    { id: 'VIP-001', verdict: 'fail' },
    { id: 'VIP-005', verdict: 'fail', level: 'should' },
    { id: 'VIP-006', verdict: 'inconclusive' },
  );
  assert.equal(answer, 'no');
  assert.equal(because, '2 documented behaviours failed, 1 of level must, and 1 could not be judged.');
  assert.ok(
    todo.some((step) => step.endsWith('KERNEL=debian:forky npx playwright test --grep "VIP-001|VIP-005"')),
  );
  assert.equal(
    advice({ verdict: 'fail' }, { id: 'VIP-002', level: 'detail', verdict: 'fail' }).because,
    '1 documented behaviour failed, of level must, and 1 in details of how it is built.',
  );
  assert.equal(
    advice({ id: 'XYZ-001', level: null, verdict: 'fail' }).answer,
    'no',
    'a clause of unknown level',
  );
});

test('what could not be judged leaves the answer open, even where only details failed', () => {
  const { answer, because } = advice(
    { verdict: 'inconclusive' },
    { id: 'VIP-002', level: 'detail', verdict: 'fail' },
  );
  assert.equal(answer, 'unknown');
  assert.match(because, /^1 of 2 clauses could not be judged/);
  assert.equal(advice().answer, 'unknown');
  assert.equal(advice({ cell: 'another' }).answer, 'unknown');
});

test('a run that could not begin is not to be run again as it was', () => {
  const { run, clauses } = exampleVerdict([
    exampleClause({ verdict: 'inconclusive', reason: 'setup-failed' }),
  ]);
  const asked = {
    ...run,
    exitReason: 'setup-failed' as const,
    message: 'UsageError: CELLS=weekly is not known',
  };
  const { answer, todo } = advise({ run: asked, clauses }, exampleCell, new Map());
  assert.deepEqual([answer, todo], ['unknown', ['Put right what the message says, and run it again.']]);
});

test('details that changed, and defects that did not show, are a warning', () => {
  const { answer, because } = advice(
    {},
    { id: 'VIP-002', level: 'detail', verdict: 'fail' },
    { id: 'VIP-007', verdict: 'fail', reason: 'unexpectedly-conforming' },
  );
  assert.equal(answer, 'care');
  assert.match(because, /1 detail of how it is built changed.*; 1 known defect did not show/);
});

test('a run of a part is no leave to upgrade', () => {
  const { answer, because } = advice({ id: 'VIP-002' });
  assert.equal(answer, 'partly');
  assert.match(because, /1 of 1 must clauses were not in this run/);
});

test('known defects and clauses that do not apply do not stand against it, but are told', () => {
  const { answer, because } = advice(
    {},
    { id: 'VIP-008', verdict: 'expected-fail' },
    { id: 'VIP-009', verdict: 'skipped' },
  );
  assert.equal(answer, 'yes');
  assert.equal(
    because,
    'All 2 clauses that were judged hold, apart from 1 known defect; 1 does not apply here.',
  );
});

test('the worst cell speaks for all', () => {
  const all = [advice({}), advice({ verdict: 'inconclusive' }), advice({ verdict: 'fail' })];
  assert.equal(worstAdvice(all).answer, 'no');
  assert.equal(worstAdvice([]).answer, 'unknown');
});

test('a command names few clauses, and is safe to paste', () => {
  const cell = { ...exampleCell, settings: { NODES: '3m2w', SOAK: "it's; rm" } };
  assert.equal(
    rerunCommand(cell, [{ id: 'B-002' }, { id: 'A-001' }, { id: 'A-001' }], 'npx playwright test'),
    `NODES=3m2w SOAK='it'\\''s; rm' npx playwright test --grep "A-001|B-002"`,
  );
  const many = Array.from({ length: 13 }, (_, index) => ({ id: `A-${100 + index}` }));
  const core = 'npx playwright test --grep @core';
  assert.equal(rerunCommand(cell, many, core), `NODES=3m2w SOAK='it'\\''s; rm' ${core}`);
});

test('a cell of a set is repeated by its settings, not by a name that only the set knows', () => {
  const cell = { settings: { KERNEL: 'debian:bookworm' } };
  for (const one of ["--project 'sid on bookworm'", "'--project=sid on bookworm'", '--project=default'])
    assert.equal(
      command(cell, `npx playwright test ${one} --grep @core`),
      'KERNEL=debian:bookworm npx playwright test --grep @core',
    );
});
