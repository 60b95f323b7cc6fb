/**
 * `ip -j neigh`: the hardware addresses behind IP addresses, in one network namespace.
 *
 * Format: print_neigh in iproute2's ip/ipneigh.c, seen in 6.15.
 */

import { isIP } from 'node:net';
import { readList } from './json.ts';

/** One neighbour. */
export interface Neighbour {
  address: string;
  link: string;
  /** Absent while it is being looked for, and when it was not found. */
  mac?: string;
  /** `PERMANENT` was put there; `REACHABLE`, `STALE`, `FAILED`, ... were found out. */
  states: string[];
}

/** Reads `ip -j neigh`. @throws {Error} quoting the text or the entry that is none. */
export function parseNeighbours(text: string): Neighbour[] {
  return readList('ip -j neigh', text, (entry, refusal) => {
    const { dst, dev, lladdr, state } = entry;
    if (
      typeof dst !== 'string' ||
      !isIP(dst) ||
      typeof dev !== 'string' ||
      (lladdr !== undefined && typeof lladdr !== 'string') ||
      !Array.isArray(state) ||
      !state.every((one) => typeof one === 'string')
    )
      throw refusal();
    return { address: dst, link: dev, ...(lladdr && { mac: lladdr }), states: state };
  });
}
