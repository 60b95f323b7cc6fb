#!/bin/sh
# The guest's init: mounts, modules, network, one Docker Engine. Lines that begin with "lab:" are read by the host.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 run /run
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up

# containerd is started here, as systemd does it: dockerd would give its own one 15 s, too few under emulation. Like
# dockerd's own one it goes without the Kubernetes plugin, which takes longer to start than all others.
mkdir -p /run/containerd
printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' > /run/containerd/config.toml
containerd --config /run/containerd/config.toml --log-level warn &

# What Docker and Swarm would ask the kernel to load later; loading it now keeps that out of the measured paths.
# One call for all: each process start is dear under emulation. In the background: the second core would idle.
modprobe -a -q \
  overlay bridge br_netfilter veth vxlan dummy ip_vs ip_vs_rr ip_vs_sh nf_conntrack nf_conntrack_netlink nf_nat \
  nft_compat nft_chain_nat xt_MASQUERADE xt_addrtype xt_conntrack xt_mark xt_nat xt_REDIRECT xt_comment \
  xt_tcpudp xt_ipvs xt_u32 xt_bpf xt_policy esp4 xfrm_user xfrm_algo authenc gcm ghash_generic seqiv sch_netem \
  virtio_rng virtio_balloon rng_core &
modules=$!
# Up to 6.1 the consoles below are a module, too.
modprobe -a -q virtio_net virtio_console

# No address is asked for: the user network of the lab is ours and its numbers are fixed (see machine.ts).
for device in /sys/class/net/e*; do interface=${device##*/}; done
ip addr add 198.18.83.15/24 dev "$interface"
ip link set "$interface" up
ip route add default via 198.18.83.2
# No DNS server is reached from the lab. Where none is named, Docker asks Google's, and whoever looks up a name that nobody has waits
# for their time-outs (moby libnetwork/internal/resolvconf); one on which nobody listens says so at once.
echo 'nameserver 127.0.0.1' > /etc/resolv.conf

echo lab > /proc/sys/kernel/hostname
sysctl -qw net.ipv4.ip_forward=1 fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=1048576 kernel.panic=1
# A root shell on every console. Its output passes a pipe: on a terminal dash would prompt, and tools would use colours.
# Whoever watches yields to whom it watches: the scheduler takes each process here for as much as all nodes together, which are one
# control group, and four watchers would leave the engines so little that they miss one another's heartbeats.
# The last of the eight that Linux makes: where they are no part of the kernel, they take a moment to appear.
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -c /dev/hvc7 ] && break; sleep 0.1; done
for console in /dev/hvc*; do
  ( exec <"$console" >"$console" 2>/dev/null; stty raw -echo; while :; do nice -n 10 sh | cat; done ) &
done

# Engine keys and certificates arrive as a small disk that holds a tar.
mkdir -p /run/tls && chmod 700 /run/tls && tar -C /run/tls -xf /dev/vdc || echo "lab: no certificates"

wait "$modules"
while [ ! -S /run/containerd/containerd.sock ]; do sleep 0.1; done
echo "lab: init done in $(cut -d' ' -f1 /proc/uptime) s"
exec /usr/bin/tini -s -- dockerd --containerd /run/containerd/containerd.sock --host unix:///run/docker.sock --host tcp://0.0.0.0:2376 \
  --tlsverify --tlscacert /run/tls/ca.pem --tlscert /run/tls/server.pem --tlskey /run/tls/server-key.pem \
  --storage-driver overlay2 --log-level warn --live-restore=false
