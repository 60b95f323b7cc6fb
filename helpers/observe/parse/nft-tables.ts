/**
 * `nft list tables`: the tables of one network namespace, those that iptables made among them.
 *
 * Format: table_print_declaration in nftables' src/rule.c, seen in 1.1.
 */

import { linesOf } from './text.ts';

/** A table by family and name. */
export interface NftTable {
  family: string;
  name: string;
}

/**
 * Reads `nft list tables`; the empty text is a namespace without any.
 * @throws {UnknownLine} on anything but `table FAMILY NAME`
 */
export function parseNftTables(text: string): NftTable[] {
  if (text === '') return [];
  return linesOf('nft list tables', text).map((line) => {
    const [, family, name] = /^table (\w+) (\S+)$/.exec(line.text) ?? [];
    if (!family || !name) throw line.refusal();
    return { family, name };
  });
}
