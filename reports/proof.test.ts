import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import {
  byClause,
  type Noticed,
  type Proven,
  stillDone,
  withBlind,
  withFindings,
} from '../helpers/sabotage/record.ts';
import { loadSabotages } from '../helpers/sabotage/sabotages.ts';
import { blindSummary, PROOF_PAGE, proofPage, proofSummary, readBlind, readProof } from './proof.ts';

const catalogue = loadCatalogue();
const clauses = [...catalogue.values()];
const sabotages = [...loadSabotages(catalogue).values()].flat();

const cell = { engine: '26.1.5', kernel: '6.12.1' };

/** One finding of a sabotage run. */
function proven(facts: Partial<Proven>): Proven {
  return {
    clause: 'VIP-015',
    fault: 'ipvs-scheduler',
    sabotage: 'the scheduler of three is sh',
    outcome: 'killed',
    said: 'tasks of three | in turn\nand more',
    node: 'w2',
    damage: '257 sh',
    durationMs: 8000,
    alsoRed: ['VIP-020'],
    alsoGreen: [],
    ...facts,
  };
}

test('the page is that of the proof on record', () => {
  assert.equal(
    readFileSync(PROOF_PAGE, 'utf8'),
    proofPage(clauses, readProof(), readBlind()),
    'docs/sabotage/README.md is stale: run `npx node reports/proof-page.ts`',
  );
});

test('nothing is on record of a sabotage that is no longer done', () => {
  assert.deepEqual(readProof(), stillDone(readProof(), sabotages), 'run `npx node reports/proof-page.ts`');
  const [one] = sabotages;
  assert.ok(one);
  const kept = proven({ clause: one.clause, sabotage: one.fault.description });
  const proof = withFindings([], cell, '2026-11-24', [proven({ sabotage: 'nobody does this' }), kept]);
  assert.deepEqual(stillDone(proof, sabotages), withFindings([], cell, '2026-11-24', [kept]));
});

test('the page has a row for every clause, a sign for every finding, and what turned red besides', () => {
  const found = [
    proven({}),
    proven({ clause: 'VIP-012', outcome: 'survived', said: 'the clause passed', alsoRed: [] }),
  ];
  const page = proofPage(clauses, withFindings([], cell, '2026-11-24', found), []);
  for (const { id } of clauses) assert.match(page, new RegExp(`^\\| ${id} \\|`, 'm'));
  assert.match(page, /^\| VIP-015 \| ● \|$/m);
  assert.match(page, /^\| VIP-012 \| ○ \|$/m);
  assert.match(page, /^\| VIP-001 \| {2}\|$/m);
  assert.match(
    page,
    /^\| VIP-015 \| the scheduler of three is sh \| killed \| 2026-11-24 \| tasks of three \/ in turn \| VIP-020 \|$/m,
  );
  assert.match(page, /1 killed, 1 survived, 0 unproven, 0 excused/);
});

test('a run ends with one line, and only kills without a survivor are good', () => {
  const last = (some: Proven[]) => {
    const { text, good } = proofSummary(some);
    return [text.at(-1), good];
  };
  assert.deepEqual(last([proven({}), proven({})]), ['2 killed, 0 survived', true]);
  assert.deepEqual(last([proven({}), proven({ outcome: 'unproven' })]), ['1 killed, 1 survived', false]);
  assert.deepEqual(last([proven({}), proven({ outcome: 'excused' })]), ['1 killed, 0 survived', true]);
  assert.deepEqual(last([]), ['0 killed, 0 survived', false], 'nothing was shown');
});

test('a blind run tells whether it was noticed, and how near the first red clause points', () => {
  const damage = [{ sabotage: 'vxlan is dropped on w1', nodes: ['w1'], areas: ['mesh', 'overlay'] }];
  const saw = (
    outcome: Noticed['outcome'],
    node: string | null,
    said = 'x',
    clause = 'MESH-001',
  ): Noticed => ({
    clause,
    outcome,
    said,
    node,
    damage,
  });
  const near = blindSummary({ seed: 7, noticed: [saw('pass', null), saw('fail', 'w1')] });
  assert(near.good);
  assert.match(
    near.text.join('\n'),
    /first red clause is MESH-001 \(mesh\), an area .*\n.*names w1, damaged/,
  );
  assert.equal(near.text.at(-1), '1 noticed, 0 missed');
  assert.match(blindSummary({ seed: 7, noticed: [saw('fail', 'm1')] }).text.join('\n'), /names m1, not w1/);
  const told = saw('fail', null, 'names follow: w1: records of two', 'DNS-002');
  assert.match(
    blindSummary({ seed: 7, noticed: [told] }).text.join('\n'),
    /DNS-002 \(dns\), none of the areas \(mesh, overlay\).*\n.*names w1, damaged/,
  );
  const vague = saw('fail', null, 'm1: no answer\nw1: no answer');
  assert.match(blindSummary({ seed: 7, noticed: [vague] }).text.join('\n'), /m1 and w1, one of them damaged/);
  assert.match(blindSummary({ seed: 7, noticed: [saw('fail', null)] }).text.join('\n'), /names no node/);
  assert.deepEqual(
    [
      blindSummary({ seed: 7, noticed: [saw('inconclusive', 'w1')] }).good,
      blindSummary({ seed: 7, noticed: [] }).good,
    ],
    [false, false],
    'neither a broken observer nor nothing at all is noticing',
  );
});

test('the record keeps the newest of each sabotage on each engine and kernel', () => {
  const first = withFindings([], cell, '2026-11-23', [
    proven({}),
    proven({ clause: 'VIP-012', outcome: 'survived' }),
  ]);
  const second = withFindings(first, cell, '2026-11-24', [proven({ clause: 'VIP-012' })]);
  const other = withFindings(second, { ...cell, kernel: '7.3.4' }, '2026-11-24', [
    proven({ outcome: 'unproven' }),
  ]);
  assert.deepEqual(
    other.map(({ proven: all }) => all.map(({ clause, outcome }) => `${clause} ${outcome}`)),
    [['VIP-015 killed', 'VIP-012 killed'], ['VIP-015 unproven']],
  );
  const { provenBy = [], survived = [] } = byClause(other).get('VIP-015') ?? {};
  assert.deepEqual([provenBy.length, survived.length], [1, 1]);
});

test('a blind run on record has a line of its own, the latest of each seed; one that did nothing has none', () => {
  const facts = { engine: '26.1.5', kernel: '6.12', date: '2026-11-29' };
  const damage = [{ sabotage: 'a | b is dropped', nodes: ['w1'], areas: ['mesh'] }];
  const red = { clause: 'MESH-001', outcome: 'fail', said: 'no answer', node: 'w1', damage } as const;
  const pass = { ...red, clause: 'DNS-001', outcome: 'pass', said: '', node: null } as const;
  const missed = withBlind([], { seed: 9, noticed: [pass], errors: [] }, facts);
  const both = withBlind(missed, { seed: 3, noticed: [pass, red], errors: [] }, facts);
  assert.deepEqual(withBlind(both, { seed: 4, noticed: [{ ...pass, damage: [] }], errors: [] }, facts), both);
  const again = withBlind(both, { seed: 9, noticed: [red], errors: [] }, facts);
  assert.deepEqual(
    [both, again].map((record) => record.map((one) => `${one.seed} ${one.judged} ${one.red?.clause}`)),
    [
      ['3 2 MESH-001', '9 1 undefined'],
      ['3 2 MESH-001', '9 1 MESH-001'],
    ],
  );
  const page = proofPage(clauses, [], both);
  assert.match(page, /1 of 2 were noticed\./);
  assert.match(
    page,
    /^\| 3 \| .*a \/ b is dropped.* \| MESH-001 \| .*It names w1, damaged\. \| 2 \| 2026-11-29 \|$/m,
  );
});
