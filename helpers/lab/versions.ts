/**
 * Compares two Debian versions as dpkg does (deb-version(7)): parts of digits by their number, all others character by character, where
 * `~` sorts before the end of a part, and letters before all else.
 *
 * @returns below zero when `a` is the older one.
 */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [split(a), split(b)];
  return (
    one.epoch - other.epoch ||
    compareParts(one.upstream, other.upstream) ||
    compareParts(one.revision, other.revision)
  );
}

/** The upstream part of a Debian version: 6.12.90 of 6.12.90-2~bpo12+1. */
export function upstreamVersion(version: string): string {
  return split(version).upstream;
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/** Words and numbers in turn, a word first. */
function compareParts(a: string, b: string): number {
  const [one, other] = [a.match(/\D+|\d+/g) ?? [], b.match(/\D+|\d+/g) ?? []].map((parts) =>
    /^\d/.test(parts[0] ?? '') ? ['', ...parts] : [...parts],
  ) as [string[], string[]];
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const order =
      i % 2 === 0
        ? compareWords(one[i] ?? '', other[i] ?? '')
        : Math.sign(Number(one[i] ?? 0) - Number(other[i] ?? 0));
    if (order !== 0) return order;
  }
  return 0;
}

function compareWords(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = weight(a[i]) - weight(b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function weight(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === '~') return -1;
  const code = character.charCodeAt(0);
  return /[a-zA-Z]/.test(character) ? code : code + 256;
}
