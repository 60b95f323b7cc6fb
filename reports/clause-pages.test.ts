import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { loadSabotages } from '../helpers/sabotage/sabotages.ts';
import { verbatim } from '../helpers/verdict/allure.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { clausePages, PAGES, readRecord, recorded } from './clause-pages.ts';

const catalogue = loadCatalogue();
const clauses = [...catalogue.values()];
const sabotages = loadSabotages(catalogue);

test('the pages are those of the catalogue as it is now', () => {
  const due = clausePages(clauses, sabotages, readRecord());
  const pages = readdirSync(PAGES).filter((file) => file.endsWith('.md'));
  assert.deepEqual(pages.toSorted(), [...due.keys()].toSorted(), 'run `npx node reports/clause-pages.ts`');
  for (const [file, text] of due)
    assert.equal(
      readFileSync(PAGES + file, 'utf8'),
      text,
      `docs/clauses/${file} is stale: run \`npx node reports/clause-pages.ts\``,
    );
});

test('a page tells what is promised, how it is judged, and what was seen where', () => {
  const [clause] = clauses;
  assert.ok(clause);
  const known = {
    engine: '26.1.5',
    kernel: '6.12.1',
    date: '2026-11-01',
    verdicts: { [clause.id]: 'fail' as const },
  };
  const page = clausePages(
    [{ ...clause, expectedFail: [{ since: null, until: '27.0.0', defect: 'it leaks', ref: 'issue 1' }] }],
    sabotages,
    [known],
  ).get(`${clause.area}.md`);
  for (const part of [
    verbatim(clause.statement),
    verbatim(clause.observe),
    verbatim(sabotages.get(clause.id)?.[0]?.fault.description ?? 'none'),
    '- before 27.0.0: it leaks (issue 1)',
    '| 26.1.5 | 6.12.1 | fail | 2026-11-01 |',
  ])
    assert.ok(part && page?.includes(part), `${part} is not on the page`);
});

test('a run adds to the record what it found out, and nothing else', () => {
  const cell = { ...exampleCell, engines: { m1: '26.1.5', w1: '26.1.5' } };
  const clauses = [
    exampleClause({ id: 'VIP-001', verdict: 'fail' }),
    exampleClause({ id: 'VIP-002', verdict: 'inconclusive' }),
    exampleClause({ id: 'VIP-003', verdict: 'skipped' }),
  ];
  const run = exampleVerdict(clauses, { cells: [cell] });
  const before = { 'VIP-001': 'pass', 'VIP-004': 'pass' } as const;
  const entry = { engine: '26.1.5', kernel: '6.12.107', date: '2026-11-01' };
  assert.deepEqual(recorded([{ ...entry, verdicts: before }], run), [
    { ...entry, date: '2026-11-22', verdicts: { 'VIP-001': 'fail', 'VIP-004': 'pass' } },
  ]);
  assert.deepEqual(recorded([], { ...run, cells: [exampleCell] }), [], 'a cell of two engines');
});
