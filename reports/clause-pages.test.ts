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
    verdicts: { [clause.id]: { verdict: 'fail' as const, date: '2026-11-01' } },
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

test('the list of areas says what was judged where, oldest engine and kernel first', () => {
  const seen = (verdict: 'pass' | 'fail' | 'expected-fail', date: string) => ({ verdict, date });
  const page = clausePages(clauses, sabotages, [
    { engine: '26.1.5', kernel: '6.12.1', verdicts: { 'VIP-001': seen('pass', '2026-11-02') } },
    {
      engine: '20.10.24',
      kernel: '6.1.9',
      verdicts: {
        'VIP-001': seen('pass', '2026-11-03'),
        'VIP-002': seen('fail', '2026-11-01'),
        'VIP-003': seen('expected-fail', '2026-11-01'),
      },
    },
  ]).get('README.md');
  const rows = page?.split('\n').filter((line) => /^\| \d/.test(line));
  assert.deepEqual(rows, [
    '| 20.10.24 | 6.1.9 | 1 | 1 | VIP-002 | 2026-11-01 to 2026-11-03 |',
    '| 26.1.5 | 6.12.1 | 1 | 0 | none | 2026-11-02 |',
  ]);
});

test('a run adds to the record what it found out, and nothing else', () => {
  const cell = { ...exampleCell, engines: { m1: '26.1.5', w1: '26.1.5' } };
  const clauses = [
    exampleClause({ id: 'VIP-001', verdict: 'fail' }),
    exampleClause({ id: 'VIP-002', verdict: 'inconclusive' }),
    exampleClause({ id: 'VIP-003', verdict: 'skipped' }),
  ];
  const run = exampleVerdict(clauses, { cells: [cell] });
  const held = { verdict: 'pass', date: '2026-11-01' } as const;
  const entry = { engine: '26.1.5', kernel: '6.12.107' };
  assert.deepEqual(recorded([{ ...entry, verdicts: { 'VIP-001': held, 'VIP-004': held } }], run), [
    { ...entry, verdicts: { 'VIP-001': { verdict: 'fail', date: '2026-11-22' }, 'VIP-004': held } },
  ]);
  const mixed = { engine: '26.1.5, 28.5.2', kernel: '6.12.107' };
  assert.deepEqual(recorded([], { ...run, cells: [exampleCell] }), [
    { ...mixed, verdicts: { 'VIP-001': { verdict: 'fail', date: '2026-11-22' } } },
  ]);
  assert.deepEqual(
    recorded([], { ...run, clauses: clauses.slice(1) }),
    [],
    'a cell of which nothing is known',
  );
});
