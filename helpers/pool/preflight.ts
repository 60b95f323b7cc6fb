import { UsageError } from '../errors.ts';

/**
 * What Swarm networking needs of the kernel, proven by doing it once in a network namespace of its own: each command fails on a
 * kernel without the feature. Keys say what is missing then.
 */
const FEATURES: Readonly<Record<string, string>> = {
  'IPVS with the round-robin scheduler (module ip_vs_rr)': 'ipvsadm -A -f 1 -s rr',
  'IPVS that tracks connections (CONFIG_IP_VS_NFCT)': '[ -e /proc/sys/net/ipv4/vs/conntrack ]',
  'VXLAN (module vxlan)': 'ip link add probe0 type vxlan id 42 dstport 4789',
  'bridges and veth pairs': 'ip link add probe1 type bridge && ip link add probe2 type veth peer name probe3',
  'firewall marks (iptables mangle, MARK)': 'iptables -t mangle -A INPUT -j MARK --set-mark 1',
  'NAT (iptables nat, DNAT)':
    'iptables -t nat -A PREROUTING -p tcp --dport 1 -j DNAT --to-destination 127.0.0.1:1',
  'connection tracking (iptables conntrack)':
    'iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT',
};

/** A script for the toolbox's tools, in a network namespace that is thrown away: it names each feature the kernel lacks on a line of its own. */
export const PREFLIGHT = Object.entries(FEATURES)
  .map(([feature, command]) => `( ${command} ) >/dev/null 2>&1 || echo '${feature}'`)
  .join('\n');

/** Judges what {@link PREFLIGHT} printed. @throws UsageError naming everything the kernel lacks. */
export function requireFeatures(kernel: string, printed: string): void {
  const lacking = printed.trim();
  if (lacking)
    throw new UsageError(
      `kernel ${kernel} cannot carry a Swarm, it lacks: ${lacking.split(/\r?\n/).join('; ')}.`,
    );
}
