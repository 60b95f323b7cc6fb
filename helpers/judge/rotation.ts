/**
 * Round robin as IPVS does it (`rr` with equal weights): new connections that enter by one node go to the members in
 * a fixed order, again and again. No chance is involved, so the false-alarm probability of these judges is 0,
 * provided that nothing else opened connections through the same table meanwhile.
 *
 * Every node keeps a position of its own: judge the answers of one entry node at a time.
 */

import { type Judgement, list, requireSense } from './judgement.ts';
import { printTally, tally } from './tally.ts';

/**
 * Whether the answers walk through all R members in one order and repeat it: every window of R answers is a
 * permutation, and answer n + R equals answer n. The order and the starting point are free.
 * @param answers who answered, in the order in which the connections were opened
 * @throws {RangeError} on fewer than 2 R answers, which cannot show that the order repeats, or doubled members
 */
export function strictRotation(answers: readonly string[], members: readonly string[]): Judgement {
  const period = members.length;
  requireDistinct(members);
  requireSense(
    answers.length >= 2 * period,
    `${answers.length} answers cannot show a rotation over ${period} members: at least ${2 * period} are needed`,
  );

  const known = new Set(members);
  const firstRound = answers.slice(0, period);
  const broken = answers.findIndex((answer, at) =>
    at < period ? !known.has(answer) || firstRound.indexOf(answer) < at : answer !== answers[at - period],
  );
  if (broken < 0) return { ok: true };

  const before = answers.slice(Math.max(0, broken - period), broken);
  const due = broken < period ? members.filter((member) => !before.includes(member)) : before.slice(0, 1);
  return {
    ok: false,
    expected: `rotation over ${list(members)}`,
    seen: printTally(tally(members, answers)),
    detail: `answer ${broken + 1} of ${answers.length} was ${answers[broken]} after ${list(before)}; due was ${due.join(' or ')}`,
  };
}

/**
 * Whether the members answered equally often, give or take one; for connections that were opened at the same time,
 * when their order is not known.
 * @throws {RangeError} on fewer answers than members, or doubled members
 */
export function evenCounts(answers: readonly string[], members: readonly string[]): Judgement {
  requireDistinct(members);
  requireSense(
    answers.length >= members.length,
    `${answers.length} answers cannot reach each of ${members.length} members`,
  );
  const counts = tally(members, answers);
  const strangers = Object.keys(counts).slice(members.length);
  const spread = Math.max(...Object.values(counts)) - Math.min(...Object.values(counts));
  if (strangers.length === 0 && spread <= 1) return { ok: true };
  return {
    ok: false,
    expected: `${list(members)} equally often, give or take one`,
    seen: printTally(counts),
    detail: strangers.length > 0 ? `unexpected ${list(strangers)}` : `counts differ by ${spread}`,
  };
}

function requireDistinct(members: readonly string[]): void {
  requireSense(
    members.length > 0 && new Set(members).size === members.length,
    `not a set of members: ${list(members)}`,
  );
}
