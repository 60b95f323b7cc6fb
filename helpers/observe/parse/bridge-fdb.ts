/**
 * `bridge -j fdb`: where frames to a hardware address go, in one network namespace.
 *
 * Format: print_fdb in iproute2's bridge/fdb.c, seen in 6.15.
 */

import { isIP } from 'node:net';
import { readList } from './json.ts';

/** One entry. */
export interface ForwardingEntry {
  mac: string;
  /** The interface that knows it, and the bridge it belongs to where the entry is the bridge's. */
  link: string;
  master?: string;
  /** Of a VXLAN interface: the address of the node that has this hardware address behind it. */
  node?: string;
  /** `permanent` was put there, others were learned. */
  state: string;
}

/** Reads `bridge -j fdb`. @throws {Error} quoting the text or the entry that is none. */
export function parseForwarding(text: string): ForwardingEntry[] {
  return readList('bridge -j fdb', text, (entry, refusal) => {
    const { mac, ifname, master, dst, state } = entry;
    if (
      typeof mac !== 'string' ||
      typeof ifname !== 'string' ||
      (master !== undefined && typeof master !== 'string') ||
      (dst !== undefined && (typeof dst !== 'string' || !isIP(dst))) ||
      typeof state !== 'string'
    )
      throw refusal();
    return {
      mac,
      link: ifname,
      ...(master && { master }),
      ...(dst && { node: dst }),
      state: state || 'learned',
    };
  });
}
