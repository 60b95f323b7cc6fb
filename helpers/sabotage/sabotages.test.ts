import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadCatalogue } from '../catalogue/catalogue.ts';
import { FAULTS, readied } from '../fault/library.ts';
import { choose, drawBlind, nameOf } from './choose.ts';
import { proofSchema } from './record.ts';
import { loadSabotages, type Sabotage } from './sabotages.ts';
import { verdictOn } from './verdict.ts';

const catalogue = loadCatalogue();
const sabotages = loadSabotages(catalogue);

/** Clauses that no sabotage can be shown for, each with the reason. */
const WITHOUT: Record<string, string> = {
  'REG-001':
    'takes a quarter of an hour by nature; VIP-024 judges the same by the same means and is sabotaged',
  'REG-013': 'takes hours by nature; REG-004 judges the same by the same means and is sabotaged',
};

test('every clause has a sabotage, or says here why not', () => {
  const without = [...catalogue.keys()].filter((id) => !sabotages.has(id));
  assert.deepEqual(without, Object.keys(WITHOUT));
});

test('what must be said when a clause turns red is no more than one clause could say', () => {
  // What any failure would say proves nothing.
  const anything = [
    'expected',
    'saw',
    'not within 10 s',
    'Error: expect(received).toBe(expected)',
    'w1',
    'nothing',
  ];
  const vague = [...sabotages.values()]
    .flat()
    .filter(({ red }) => anything.some((text) => red.test(text)))
    .map(nameOf);
  assert.deepEqual(vague, []);
});

test('no two sabotages of a clause are the same, and every fault is used or can be drawn', () => {
  for (const own of sabotages.values())
    assert.equal(new Set(own.map(nameOf)).size, own.length, own[0]?.clause);
  const used = new Set([...sabotages.values()].flat().map(({ fault }) => fault.id));
  const idle = [...FAULTS.values()]
    .filter(({ id, somewhere }) => !used.has(id) && !somewhere)
    .map(({ id }) => id);
  // Of the kernel and of whole nodes; how well they are noticed, blind runs tell.
  assert.deepEqual(idle, ['link-down', 'node-lost', 'clock-jump', 'service-gone']);
});

test('the proof on record is of sabotages that there are', () => {
  const file = new URL('../../docs/sabotage/proof.json', import.meta.url);
  const known = new Set([...sabotages.values()].flat().map(nameOf));
  const recorded = proofSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).flatMap(({ proven }) => proven);
  const stale = recorded
    .map(({ clause, sabotage }) => `${clause}: ${sabotage}`)
    .filter((name) => !known.has(name));
  assert.deepEqual(stale, [], 'take them out of docs/sabotage/proof.json');
});

const WRONG: [what: string, text: string, said: RegExp][] = [
  [
    'a fault nobody knows',
    'VIP-015: [{ fault: magic, red: some reason }]',
    /vip.yaml: VIP-015: there is no fault magic; there are/,
  ],
  [
    'a parameter a fault lacks',
    'VIP-015: [{ fault: ipvs-weight, service: two, in: ingress, red: some reason }]',
    /fault ipvs-weight.*to/s,
  ],
  [
    'a parameter a fault does not take',
    'VIP-015: [{ fault: clock-jump, hours: 1, days: 2, red: some reason }]',
    /days/,
  ],
  [
    'a place that is none',
    'VIP-015: [{ fault: mtu, in: garden, link: eth0, to: 9, red: some reason }]',
    /must be host, ingress/,
  ],
  [
    'a clause of another area',
    'DNS-001: [{ fault: clock-jump, hours: 1, red: some reason }]',
    /DNS-001 is no clause of this area/,
  ],
  ['no reason', 'VIP-015: [{ fault: clock-jump, hours: 1 }]', /red/],
  [
    'a pattern that is none',
    'VIP-015: [{ fault: clock-jump, hours: 1, red: "a (broken one" }]',
    /VIP-015: .*regular expression/,
  ],
];
for (const [what, text, said] of WRONG)
  test(`refused in the data: ${what}`, () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sabotages-'));
    try {
      writeFileSync(path.join(folder, 'vip.yaml'), text);
      assert.throws(() => loadSabotages(catalogue, folder), { name: 'UsageError', message: said });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

const red = { red: /servers of three/s, at: undefined };
const fail = {
  outcome: 'fail',
  reason: 'product',
  message: 'servers of three: expected 3, saw 2',
  node: 'w1',
} as const;
const OUTCOMES: [string, Parameters<typeof verdictOn>, string][] = [
  ['a fail that says what was expected, on the damaged node', [red, fail, ['w1']], 'killed'],
  ['the same without a node', [red, { ...fail, node: undefined }, ['w1']], 'killed'],
  ['a fail on another node', [red, fail, ['w2']], 'survived'],
  ['a fail on another node, where it may be any', [{ ...red, at: 'any' }, fail, ['w2']], 'killed'],
  ['a fail on the node where the damage shows', [{ ...red, at: 'w1' }, fail, ['w2']], 'killed'],
  ['a fail of damage to the Swarm as a whole', [red, fail, []], 'killed'],
  ['a fail for another reason', [red, { ...fail, message: 'the client does not run' }, ['w1']], 'survived'],
  ['a pass', [red, { outcome: 'pass', reason: 'conforms' }, ['w1']], 'survived'],
  [
    'a lost shell, though it says the same',
    [red, { ...fail, outcome: 'inconclusive', reason: 'observer' }, ['w1']],
    'survived',
  ],
  ['a time-out', [red, { outcome: 'inconclusive', reason: 'timed-out' }, ['w1']], 'survived'],
  ['a skip', [red, { outcome: 'inconclusive', reason: 'excused' }, ['w1']], 'excused'],
];
for (const [what, judged, outcome] of OUTCOMES)
  test(`${outcome}: ${what}`, () => assert.equal(verdictOn(...judged).outcome, outcome));

const all = { clauses: [], areas: [], sample: undefined, seed: 1 };
const names = (some: readonly Sabotage[]) => some.map(nameOf);

test('a sample is drawn again by the same seed, touches every area before any twice, and holds no draft', () => {
  const areas = new Set(choose(sabotages, catalogue, all).map(({ clause }) => catalogue.get(clause)?.area));
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 60 }), (seed, sample) => {
      const drawn = choose(sabotages, catalogue, { ...all, seed, sample });
      assert.deepEqual(names(choose(sabotages, catalogue, { ...all, seed, sample })), names(drawn));
      assert.equal(drawn.length, sample);
      const touched = new Set(drawn.map(({ clause }) => catalogue.get(clause)?.area));
      assert.equal(touched.size, Math.min(sample, areas.size));
      assert(drawn.every(({ clause }) => !catalogue.get(clause)?.draft && !catalogue.get(clause)?.soak));
    }),
    { numRuns: 30 },
  );
});

test('a quick sample holds what took no longer than half of all did, and of an area without such the quickest of each start', () => {
  const every = choose(sabotages, catalogue, all);
  // Some were never done, the others took as long as their place in the list says; those of one area all took long.
  const took = (one: Sabotage) => {
    const place = every.indexOf(one);
    if (one.clause.startsWith('NODE-')) return 1000 + place;
    return place % 3 === 0 ? undefined : place;
  };
  // Two starts for each area, by the clause's number; NODE and REG have others than the rest.
  const start = ({ clause }: Sabotage) => {
    const odd = Number(clause.split('-')[1]) % 2 === 1;
    return /^(?:NODE|REG)-/.test(clause) ? (odd ? 'spread' : 'governed') : odd ? 'odd' : 'even';
  };
  const quick = { took, start, made: new Set<string>() };
  const drawn = choose(sabotages, catalogue, { ...all, sample: 46, quick });
  assert.equal(drawn.length, 46);
  const few = choose(sabotages, catalogue, { ...all, sample: 20, quick });
  const areas = Map.groupBy(few, ({ clause }) => clause.split('-')[0]);
  for (const area of ['DNS', 'ERR', 'VIP']) assert.equal(new Set(areas.get(area)?.map(start)).size, 1, area);
  assert.equal(new Set(['DNS', 'ERR', 'VIP'].flatMap((area) => areas.get(area)?.map(start) ?? [])).size, 1);
  const times = every.flatMap((one) => took(one) ?? []).toSorted((a, b) => a - b);
  const slow = drawn.filter((one) => (took(one) ?? 1e9) > (times[Math.floor(times.length / 2)] ?? 0));
  const nodes = every.filter(({ clause }) => clause.startsWith('NODE-'));
  const quickest = ['spread', 'governed'].flatMap((one) => nodes.find((node) => start(node) === one) ?? []);
  const ofNodes = slow.filter(({ clause }) => clause.startsWith('NODE-'));
  assert.deepEqual(names(ofNodes).toSorted(), names(quickest).toSorted());
  const alike = Map.groupBy(slow, (one) => `${one.clause.split('-')[0]} ${start(one)}`);
  assert([...alike.values()].every((own) => own.length === 1));
  // What is not enough is no choice.
  assert.equal(
    choose(sabotages, catalogue, { ...all, sample: every.length - 1, quick }).length,
    every.length - 1,
  );
});

test('a quick sample begins with what is there, else with what most areas begin with', () => {
  const areaOf = ({ clause }: Sabotage) => clause.split('-')[0] ?? '';
  const start = (one: Sabotage) => (Number(one.clause.split('-')[1]) % 2 === 1 ? 'common' : areaOf(one));
  const two = { ...all, areas: ['dns', 'err'], sample: 2 };
  const starts = (...made: string[]) =>
    choose(sabotages, catalogue, { ...two, quick: { took: () => 7, start, made: new Set(made) } }).map(start);
  assert.deepEqual(
    [starts(), starts('DNS', 'ERR')],
    [
      ['common', 'common'],
      ['DNS', 'ERR'],
    ],
  );
});

test('a quick sample leaves out what never killed, except where an area has nothing else', () => {
  const took = ({ clause }: Sabotage) =>
    /^(?:ENC|REG)-/.test(clause) && clause !== 'REG-025' ? undefined : 7;
  const quick = { took, start: ({ clause }: Sabotage) => clause, made: new Set<string>() };
  const drawn = choose(sabotages, catalogue, { ...all, sample: 20, quick });
  const ofArea = (area: string) => drawn.filter(({ clause }) => clause.startsWith(area));
  assert.deepEqual([...new Set(ofArea('REG-').map(({ clause }) => clause))], ['REG-025']);
  assert(ofArea('ENC-').length > 0);
});

test('clauses and areas are chosen by name, and one that is not there is told', () => {
  const chosen = choose(sabotages, catalogue, { ...all, clauses: ['VIP-012'] });
  assert(chosen.length >= 3 && chosen.every(({ clause }) => clause === 'VIP-012'));
  assert(
    choose(sabotages, catalogue, { ...all, areas: ['enc'] }).every(({ clause }) => clause.startsWith('ENC-')),
  );
  assert.throws(() => choose(sabotages, catalogue, { ...all, clauses: ['VIP-999'] }), /VIP-999 is no clause/);
  assert.throws(
    () => choose(sabotages, catalogue, { ...all, clauses: ['REG-013'] }),
    /REG-013 has no sabotage yet/,
  );
  assert.throws(
    () => choose(sabotages, catalogue, { ...all, areas: ['sea'] }),
    /sea is no area; there are dns/,
  );
});

test('blind faults are one or two, on members, the same for the same seed, and ready to be done', () => {
  const drawn = new Set<string>();
  for (let seed = 0; seed < 200; seed += 1) {
    const blind = drawBlind(['m1', 'w1', 'w2'], seed);
    assert.deepEqual(drawBlind(['m1', 'w1', 'w2'], seed), blind);
    assert(blind.length === 1 || blind.length === 2);
    for (const one of blind) drawn.add(`${one.fault} ${readied(one).description}`);
  }
  assert(drawn.size > 20, [...drawn].join('\n'));
});
