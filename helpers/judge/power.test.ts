import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evenCounts, strictRotation } from './rotation.ts';
import { draw, seeded } from './testing/draws.ts';
import { missProbability, permutationHistogram, shareWithin, trialsForShare, uniform } from './uniform.ts';

/*
 * How sure the judges are as clauses use them, both ways: how often they are red on a fair engine, and how often on one with a
 * named fault. The numbers of samples and the false-alarm probability are those of the clauses.
 */

/** OURS.falseAlarm of fixtures/bounds.ts. */
const ALPHA = 4e-7;
const ORDERS = permutationHistogram([['a', 'b', 'c']]);
const MEMBERS = ['a', 'b', 'c'];

/** How often a judge is red in so many runs, each of draws of its own. */
function rate(runs: number, seed: number, red: (random: () => number) => boolean): number {
  const random = seeded(seed);
  return Array.from({ length: runs }, () => red(random)).filter(Boolean).length / runs;
}

/** Six orders of three records, of which one comes in place of a fair draw so often. */
const stuck = (part: number) => Object.keys(ORDERS).map((_, i) => (1 - part) / 6 + (i === 0 ? part : 0));

test('DNS-003, 1,600 answers: a fair order is never red in 20,000 runs, one in a hundred at alpha 1 %', () => {
  const fair = (alpha: number) =>
    rate(20_000, 3, (random) => !uniform(draw(random, stuck(0), 1600), alpha).ok);
  assert.equal(fair(ALPHA), 0);
  const atOne = fair(0.01);
  // 5 standard deviations of the measured rate.
  assert.ok(Math.abs(atOne - 0.01) < 0.0035, `measured ${atOne}`);
});

test('DNS-003, 1,600 answers: an order that is stuck for 10 % of them is found', () => {
  const found = rate(2000, 5, (random) => !uniform(draw(random, stuck(0.1), 1600), ALPHA).ok);
  assert.ok(found > 0.98, `10 %: ${found}`);
});

test('DNS-003, 40 answers of two records: a fair order misses none, and one that never comes is always found', () => {
  assert.ok(missProbability(2, 40).any < 2e-12);
});

test('DNS-004: a client that always takes the same task is found, as is one with 90 % of a share; 5 points are not looked for', () => {
  const bounds = { low: 0.2, high: 0.8 };
  const trials = trialsForShare(2, bounds, ALPHA);
  const red = (first: number) =>
    rate(
      2000,
      6,
      (random) => !shareWithin(draw(random, [first, 1 - first], trials), bounds.low, bounds.high).ok,
    );
  assert.equal(red(1), 1);
  assert.ok(red(0.9) > 0.98, `90 %: ${red(0.9)}`);
  assert.equal(red(0.5), 0);
  assert.ok(red(0.55) < 0.001, `55 %: ${red(0.55)}`);
});

/** Round robin over three, in which a connection goes to the first member out of turn so often: a skew of so many points. */
function turns(random: () => number, count: number, skew: number): string[] {
  let turn = Math.floor(random() * 3);
  return Array.from({ length: count }, () => {
    if (random() < skew) return 'a';
    turn += 1;
    return MEMBERS[turn % 3] ?? '';
  });
}

test('balance: a true rotation is never red, and a skew of 5 points is found as surely as there are connections', () => {
  const rotates = (count: number, skew: number) =>
    rate(4000, 7, (random) => !strictRotation(turns(random, count, skew), MEMBERS).ok);
  for (const count of [6, 12, 20, 120]) assert.equal(rotates(count, 0), 0);
  // VIP-015 opens 20 connections, MESH-002 12 at each of three nodes, SCALE-003 120.
  const [twenty, many] = [rotates(20, 0.05), rotates(120, 0.05)];
  // Each connection out of turn but on time by chance is none: 1 - (1 - 0.05)^20 is 64 % at most.
  assert.ok(twenty > 0.5 && twenty < 0.66, `20 connections: ${twenty}`);
  assert.ok(many > 0.98, `120 connections: ${many}`);
});

test('balance of many at once: counts differ by one at most, and a skew of 5 points in 2,000 is always found', () => {
  const uneven = (count: number, skew: number) =>
    rate(500, 8, (random) => !evenCounts(turns(random, count, skew), MEMBERS).ok);
  assert.equal(uneven(2000, 0), 0);
  assert.equal(uneven(2000, 0.05), 1);
});
