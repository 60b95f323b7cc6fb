import type { Generation } from '../catalogue/catalogue.ts';
import { Inconclusive } from '../errors.ts';
import type { Node } from './node.ts';

/**
 * What an engine makes of the kernel's settings for IPVS in its balancers, by name as sysctl has it. Of those that this
 * generation leaves to the kernel there is nothing to say.
 */
export function balancerSettings({
  connReuseMode,
  expireQuiescentTemplate,
}: Generation): Record<string, string> {
  const due = {
    conntrack: 1,
    expire_nodest_conn: 1,
    conn_reuse_mode: connReuseMode,
    expire_quiescent_template: expireQuiescentTemplate,
  };
  return Object.fromEntries(
    Object.entries(due).flatMap(([name, value]) =>
      value === null ? [] : [[`net.ipv4.vs.${name}`, `${value}`]],
    ),
  );
}

/**
 * Takes IPVS out of the kernel that all nodes share, as it is after a boot: the next engine to balance loads it again. Only in a
 * guest of ours, and only while no service is balanced.
 *
 * @throws Inconclusive (lab) when the kernel does not let go of it.
 */
export async function unloadIpvs(node: Node): Promise<void> {
  // The list has the newest first, so what depends on a module comes before it.
  const { text } = await node.toolbox.run(
    [
      `for module in $(cut -d ' ' -f 1 /proc/modules | grep -E '^(ip_vs|xt_ipvs)'); do chroot /proc/1/root rmmod "$module"; done`,
      'test ! -d /proc/sys/net/ipv4/vs && echo gone',
    ].join('; '),
  );
  if (text.trim() !== 'gone') throw new Inconclusive('lab', `IPVS stays in the kernel: ${text.trim()}`);
}
