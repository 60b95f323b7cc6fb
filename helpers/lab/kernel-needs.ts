/**
 * What a kernel must have, checked before a guest is booted; what it then really does is checked inside (helpers/pool/preflight.ts).
 *
 * Sources: moby contrib/check-config.sh ("Generally Necessary", "Network Drivers", "overlay"), the rules and IPVS calls of
 * moby daemon/libnetwork, and for the guest helpers/lab/machine.ts and images/lab-init.sh.
 */

/** Modules, which may be built in, and what for. */
const MODULES: Record<string, string> = {
  overlay: 'image layers',
  bridge: 'docker_gwbridge and the overlay bridge',
  veth: 'links into containers',
  vxlan: 'overlay traffic between nodes',
  ip_vs: 'virtual IPs and the routing mesh',
  ip_vs_rr: 'the round-robin scheduler of both',
  nf_conntrack: 'NAT',
  nft_compat: 'the rules that iptables hands to nftables',
  xt_mark: 'firewall marks',
  xt_conntrack: 'filter rules of the routing mesh',
  xt_addrtype: 'rules for local destinations',
};

/** Options of the kernel's configuration that are no modules of their own, or without which there are none; and what for. */
const OPTIONS: Record<string, string> = {
  NAMESPACES: 'containers',
  NET_NS: 'networks of containers',
  PID_NS: 'processes of containers',
  IPC_NS: 'containers',
  UTS_NS: 'host names of containers',
  CGROUPS: 'containers',
  MEMCG: 'limits of containers',
  CGROUP_PIDS: 'limits of containers',
  CGROUP_BPF: 'devices of containers',
  KEYS: 'containers',
  POSIX_MQUEUE: 'containers',
  NETFILTER: 'NAT and marks',
  NF_TABLES: 'rules',
  NF_NAT: 'published ports',
  BRIDGE_NETFILTER: 'rules for traffic inside a network',
  IP_VS_PROTO_TCP: 'virtual IPs of TCP services',
  IP_VS_PROTO_UDP: 'virtual IPs of UDP services',
  IP_VS_NFCT: 'NAT of balanced connections (net.ipv4.vs.conntrack)',
  BLK_DEV_INITRD: 'booting the lab',
  DEVTMPFS: 'booting the lab',
  TMPFS: 'booting the lab',
  EXT4_FS: "the lab's disk",
  VIRTIO_PCI: "the lab's devices",
  VIRTIO_BLK: "the lab's disks",
  VIRTIO_NET: "the lab's network",
  VIRTIO_CONSOLE: "the lab's shells",
};

/** What is missing among the modules, as `name (what for)`. @param present names of modules, built in or not, with underscores. */
export function missingModules(present: Iterable<string>): string[] {
  const there = new Set(present);
  return Object.entries(MODULES)
    .filter(([name]) => !there.has(name))
    .map(([name, use]) => `module ${name} (${use})`);
}

/** What is switched off in a kernel's configuration, as `CONFIG_NAME (what for)`. @param config the text of a .config file. */
export function missingOptions(config: string): string[] {
  const set = new Set([...config.matchAll(/^CONFIG_(\w+)=[ym]$/gm)].map(([, name]) => name));
  return Object.entries(OPTIONS)
    .filter(([name]) => !set.has(name))
    .map(([name, use]) => `CONFIG_${name} (${use})`);
}
