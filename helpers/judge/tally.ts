/**
 * How often each member answered, in the order of `members`: one that never answered counts 0, and an answer that is
 * no member is counted after them.
 */
export function tally(members: readonly string[], answers: readonly string[]): Record<string, number> {
  const counts = new Map(members.map((member) => [member, 0]));
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** `a 3, b 2`: a tally for people. */
export function printTally(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([member, count]) => `${member} ${count}`)
    .join(', ');
}
