/** Exact comparison by member, never by size: two wrong members are not two right ones. */

import { type Judgement, list, requireSense } from './judgement.ts';

/**
 * Whether exactly the expected members were seen, each once, in any order.
 * @param expected a set: its order does not matter. It may be empty, when nothing is to be seen.
 * @throws {RangeError} when `expected` has a member twice
 */
export function sameMembers(expected: readonly string[], seen: readonly string[]): Judgement {
  const detail = difference(expected, seen);
  if (detail === '') return { ok: true };
  return { ok: false, expected: list(expected), seen: list(inOrder(expected, seen)), detail };
}

/**
 * Whether every node shows exactly the expected members, each once. For maps (VIP to mark, say) give `pairs`.
 * @param seenByNode what each node showed; the nodes that differ are named, each with its difference
 * @throws {RangeError} when no node was observed, or `expected` has a member twice
 */
export function sameOnEveryNode(
  expected: readonly string[],
  seenByNode: Readonly<Record<string, readonly string[]>>,
): Judgement {
  const nodes = Object.entries(seenByNode);
  requireSense(nodes.length > 0, 'no node was observed');
  const deviants = nodes.flatMap(([node, seen]) => {
    const detail = difference(expected, seen);
    return detail === '' ? [] : [{ node, seen: inOrder(expected, seen), detail }];
  });
  if (deviants.length === 0) return { ok: true };
  return {
    ok: false,
    expected: `${list(expected)} on each of ${list(nodes.map(([node]) => node))}`,
    seen: deviants.map(({ node, seen }) => `${node}: ${list(seen)}`).join('; '),
    detail: deviants.map(({ node, detail }) => `${node}: ${detail}`).join('; '),
  };
}

/** The entries of a map as members, `key=value`, so that maps can be compared as sets. */
export function pairs(map: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(map).map(([key, value]) => `${key}=${value}`);
}

/** In the order in which they were expected, then the others: engines list in any order, and what is the same should read the same. */
function inOrder(expected: readonly string[], seen: readonly string[]): string[] {
  const rank = (member: string) => (expected.includes(member) ? expected.indexOf(member) : expected.length);
  return seen.toSorted((one, other) => rank(one) - rank(other) || one.localeCompare(other));
}

/** In words, or '' when there is none. */
function difference(expected: readonly string[], seen: readonly string[]): string {
  requireSense(
    new Set(expected).size === expected.length,
    `expected members not distinct: ${list(expected)}`,
  );
  const parts = {
    missing: expected.filter((member) => !seen.includes(member)),
    unexpected: seen.filter((member) => !expected.includes(member)),
    duplicated: seen.filter((member, at) => seen.indexOf(member) < at),
  };
  return Object.entries(parts)
    .flatMap(([what, members]) => (members.length > 0 ? [`${what} ${list([...new Set(members)])}`] : []))
    .join('; ');
}
