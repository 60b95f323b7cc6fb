/**
 * `ss -H -t -u -l -n -p`: the sockets of one network namespace that wait for connections or datagrams.
 *
 * Format: misc/ss.c of iproute2 (sock_state_print, inet_addr_print, proc_ctx_print), read in 6.15 and compared with its output.
 */

import { exactCount, linesOf } from './text.ts';

/** A socket that waits. */
export interface Listener {
  protocol: 'tcp' | 'udp';
  /** `*` for every address of both families, `0.0.0.0` or `::` for those of one; IPv6 without brackets. */
  address: string;
  port: number;
  /** Names of the processes that hold it, each once; empty for the kernel's own, and for those of other PID namespaces. */
  processes: string[];
}

const ROW = /^(tcp|udp) +(?:LISTEN|UNCONN) +\d+ +\d+ +(\S+):(\d+) +\S+:\* *(?:users:\((.*)\))? *$/;
const USER = /\("([^"]*)",pid=\d+,fd=\d+\)/g;

/**
 * Reads `ss -Htulnp`. A namespace in which nothing waits gives `[]`.
 * @throws {UnknownLine} on any other line, and on users in another form
 */
export function parseListeners(text: string): Listener[] {
  if (text.trim() === '') return [];
  return linesOf('ss', text).map((line) => {
    const columns = ROW.exec(line.text);
    if (!columns) throw line.refusal();
    const [, protocol = '', address = '', port = '', users = ''] = columns;
    if (users.replaceAll(USER, '').replaceAll(',', '') !== '')
      throw line.refusal('users in a form not known');
    return {
      protocol: protocol === 'tcp' ? 'tcp' : 'udp',
      address: address.replace(/^\[(.*)\]$/, '$1'),
      port: exactCount(port, line),
      processes: [...new Set([...users.matchAll(USER)].map(([, name = '']) => name))],
    };
  });
}
