/**
 * `ip -j route`: the main routing table of one network namespace.
 *
 * Format: print_route in iproute2's ip/iproute.c, seen in 6.15.
 */

import { readList } from './json.ts';

/** One route. */
export interface Route {
  /** `default`, or a prefix; a single address stands without its length. */
  to: string;
  /** The router, if it leads to one. */
  via?: string;
  link?: string;
}

/** Reads `ip -j route`. @throws {Error} quoting the text or the entry that is none. */
export function parseRoutes(text: string): Route[] {
  return readList('ip -j route', text, (entry, refusal) => {
    const { dst, gateway, dev } = entry;
    if (
      typeof dst !== 'string' ||
      (gateway !== undefined && typeof gateway !== 'string') ||
      (dev !== undefined && typeof dev !== 'string')
    )
      throw refusal();
    return { to: dst, ...(gateway && { via: gateway }), ...(dev && { link: dev }) };
  });
}
