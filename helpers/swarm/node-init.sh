# Process 1 of a Swarm member, whatever image it is made of: run by the image's own sh. Its arguments are the image's own entry
# point, if it has one. The engine is its grandchild, so that a killed engine starts again in the same node.
#
# With a private cgroup namespace this cgroup is the root of the node; processes must leave it before its
# controllers can be handed to the containers below.
mkdir -p /sys/fs/cgroup/engine
for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$pid" > /sys/fs/cgroup/engine/cgroup.procs; done 2>/dev/null
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
echo 'node: up'
# containerd is started here, as systemd does it: dockerd would give its own one 15 s, too few under emulation. Like
# dockerd's own one it goes without the Kubernetes plugin, which takes longer to start than all others.
mkdir -p /run/containerd
rm -f /run/docker.pid
printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' > /run/containerd/config.toml
containerd --config /run/containerd/config.toml --log-level warn &
while [ ! -S /run/containerd/containerd.sock ]; do sleep 0.1; done
# The engine starts again whenever it ends, as its service manager would have it, unless a fault keeps it down.
cat > /run/engine <<'END'
while :; do
  "$@" dockerd --containerd /run/containerd/containerd.sock --host unix:///run/docker.sock --host tcp://0.0.0.0:2376 \
    --tlsverify --tlscacert /certs/ca.pem --tlscert /certs/server.pem --tlskey /certs/server-key.pem
  echo "node: the engine ended with $?"
  while sleep 0.2; [ -e /run/engine-down ]; do :; done
  rm -f /run/docker.pid
done
END
# What collects ended processes has another name in each image; without one the shell does it.
for init in tini tini-static docker-init; do
  if command -v "$init" > /dev/null; then exec "$init" -s -- sh /run/engine "$@"; fi
done
exec sh /run/engine "$@"
