/**
 * `sysctl NAME`: the kernel's settings below a name, as seen in one network namespace.
 *
 * Format: ReadSetting in procps-ng's src/sysctl.c, seen in 4.0.4.
 */

import { linesOf } from './text.ts';

/**
 * Values by name, as in `net.ipv4.vs.conntrack`.
 * @throws {UnknownLine} on anything but `name = value` (so on values of several lines, too), and on a name that comes twice
 */
export function parseSysctls(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of linesOf('sysctl', text)) {
    const [, name, value] = /^([a-z][\w./-]*) =(?: (.*))?$/.exec(line.text) ?? [];
    if (name === undefined) throw line.refusal();
    if (name in values) throw line.refusal(`${name} comes twice`);
    values[name] = value ?? '';
  }
  return values;
}
