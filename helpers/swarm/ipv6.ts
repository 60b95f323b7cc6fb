import type { Vantage } from './vantage.ts';

/** Prefix of the addresses that {@link giveIpv6} gives: unique local ones (RFC 4193), with 40 bits that nobody else in the lab has. */
const PREFIX = 'fd53:7761:726d';

/** Gives a host an IPv6 address beside its IPv4 address on the lab network, which has none of its own. @returns that address. */
export async function giveIpv6(at: Vantage, ipv4: string): Promise<string> {
  const address = `${PREFIX}::${ipv4.slice(ipv4.lastIndexOf('.') + 1)}`;
  const script = [
    `device=$(ip -o -4 addr show to ${ipv4} | cut -d" " -f2)`,
    'echo 0 > "/proc/sys/net/ipv6/conf/$device/disable_ipv6"',
    `ip -6 addr add ${address}/64 dev "$device" nodad`,
  ].join(' && ');
  await at.must(script);
  return address;
}
