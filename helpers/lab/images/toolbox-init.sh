#!/bin/sh
# Offers shells in the node beside it, to clients with the lab's certificate only. The toolbox has a network namespace of
# its own, so that nothing listens in the node's; each connection gets a shell inside the node's (process 1 is the node's).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec socat -d -d OPENSSL-LISTEN:2377,reuseaddr,fork,cert=/certs/server.pem,key=/certs/server-key.pem,cafile=/certs/ca.pem,verify=1 \
  EXEC:"${SHELL_COMMAND:-nsenter --net=/proc/1/ns/net sh}"
