import ipaddr from 'ipaddr.js';

/**
 * The blocks of an IPv4 address pool, in order: what networks get that ask for no subnet of their own.
 *
 * @param pool as in `10.0.0.0/8`.
 * @param mask length of a block's prefix.
 * @throws RangeError when blocks of that length do not fit into the pool.
 */
export function* blocksOf(pool: string, mask: number): Generator<string, void> {
  const [base, length] = ipaddr.IPv4.parseCIDR(pool);
  if (mask < length || mask > 32) throw new RangeError(`blocks of ${mask} bits in ${pool}`);
  const start = base.toByteArray().reduce((sum, byte) => sum * 256 + byte, 0);
  for (let i = 0; i < 2 ** (mask - length); i++) yield `${dotted(start + i * 2 ** (32 - mask))}/${mask}`;
}

/** Whether two IPv4 blocks have an address in common. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [ipaddr.IPv4.parseCIDR(one), ipaddr.IPv4.parseCIDR(other)];
  return a[1] <= b[1] ? b[0].match(a) : a[0].match(b);
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.');
}
