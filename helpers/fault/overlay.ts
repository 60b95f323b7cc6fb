/** Faults of overlays: forwarding, VXLAN interfaces, MTUs, addresses, and what encrypts them. */
import { z } from 'zod';
import { networkIn, serviceIn } from '../swarm/view.ts';
import { fault, Unproven } from './fault.ts';
import { nodeNames, type Place, placed, placeFields, placesOf } from './place.ts';

/** A script done at each place, and another whose status 0 says that it took hold. */
interface Deed {
  script: string;
  /** Looks by itself, and prints what it sees. */
  proof: string;
}

/** Does a deed at places. */
export async function deed(places: readonly Place[], { script, proof }: Deed) {
  for (const place of places) {
    const { text, status } = await place.run(script);
    if (status !== 0) throw new Unproven(`${place.name}: \`${script}\` ended with ${status}: ${text.trim()}`);
  }
  return {
    nodes: nodeNames(places),
    there: async () => {
      const seen: string[] = [];
      for (const place of places) {
        const { text, status } = await place.run(proof);
        if (status !== 0)
          throw new Unproven(`${place.name}: \`${proof}\` ended with ${status}: ${text.trim()}`);
        seen.push(`${place.name}: ${text.trim() || proof}`);
      }
      return seen.join('\n');
    },
  };
}

const onNetwork = { on: placeFields.on, network: z.string() };

const forwarding = fault('forwarding-lost', z.strictObject(onNetwork), {
  areas: ['overlay', 'vip', 'mesh'],
  describe: ({ network, ...at }) =>
    `entries that lead to other nodes are gone from ${placed({ ...at, in: `overlay ${network}` })}`,
  inflict: async (swarm, { network, ...at }) =>
    deed(await placesOf(swarm, { ...at, in: `overlay ${network}` }), {
      // Gone once is relearnt by nobody: the engine writes them when it is told of a task.
      script:
        'bridge fdb show dev vxlan0 | grep " dst " | while read -r mac rest; do bridge fdb del "$mac" dev vxlan0 $(echo "$rest" | grep -o "dst [^ ]*"); done',
      proof: '! bridge fdb show dev vxlan0 | grep " dst "',
    }),
});

const stale = fault('forwarding-stale', z.strictObject(onNetwork), {
  areas: ['overlay', 'vip', 'mesh'],
  describe: ({ network, ...at }) =>
    `entries lead to a node that is none in ${placed({ ...at, in: `overlay ${network}` })}`,
  inflict: async (swarm, { network, ...at }) =>
    deed(await placesOf(swarm, { ...at, in: `overlay ${network}` }), {
      script:
        'bridge fdb show dev vxlan0 | grep " dst " | while read -r mac rest; do bridge fdb replace "$mac" dev vxlan0 dst 192.0.2.1 self permanent; done',
      proof: 'bridge fdb show dev vxlan0 | grep "dst 192.0.2.1"',
    }),
});

const vxlanGone = fault('vxlan-gone', z.strictObject(onNetwork), {
  areas: ['overlay'],
  describe: ({ network, ...at }) => `vxlan0 is gone from ${placed({ ...at, in: `overlay ${network}` })}`,
  inflict: async (swarm, { network, ...at }) =>
    deed(await placesOf(swarm, { ...at, in: `overlay ${network}` }), {
      script: 'ip link del vxlan0',
      proof: '[ ! -e /sys/class/net/vxlan0 ] && ! grep vxlan0 /proc/net/dev',
    }),
});

const mtu = fault('mtu', z.strictObject({ ...placeFields, link: z.string(), to: z.int() }), {
  areas: ['overlay', 'enc'],
  describe: ({ link, to, ...at }) => `the MTU of ${link} is ${to} in ${placed(at)}`,
  inflict: async (swarm, { link, to, ...at }) =>
    deed(await placesOf(swarm, at), {
      script: `ip link set dev ${link} mtu ${to}`,
      proof: `ip link show dev ${link} | grep -o "mtu ${to} "`,
    }),
});

const linkDown = fault('link-down', z.strictObject({ ...placeFields, link: z.string() }), {
  areas: ['overlay', 'mesh'],
  describe: ({ link, ...at }) => `${link} is down in ${placed(at)}`,
  inflict: async (swarm, { link, ...at }) =>
    deed(await placesOf(swarm, at), {
      script: `ip link set dev ${link} down`,
      proof: `! ip link show dev ${link} up | grep ${link}`,
    }),
});

const interfaceGone = fault(
  'interface-gone',
  z.strictObject({ on: placeFields.on, service: z.string(), network: z.string() }),
  {
    areas: ['mesh', 'overlay'],
    describe: ({ service, network, on }) =>
      `tasks of ${service} lack their interface on ${network}, ${placed({ on, in: `tasks ${service}` })}`,
    inflict: async (swarm, { service, network, on }) => {
      const places = await placesOf(swarm, { ...(on !== undefined && { on }), in: `tasks ${service}` });
      const addresses = serviceIn(await swarm.view(), service).tasks.flatMap(
        (task) => task.addresses[network] ?? [],
      );
      const own = addresses.join('|').replaceAll('.', '[.]');
      return deed(places, {
        script: `link=$(ip -o -4 addr | grep -E " (${own})/" | cut -d " " -f 2); [ -n "$link" ] && ip link del "$link"`,
        proof: `! ip -o -4 addr | grep -E " (${own})/"`,
      });
    },
  },
);

const vipGone = fault('vip-address-gone', z.strictObject({ ...onNetwork, service: z.string() }), {
  areas: ['vip'],
  describe: ({ service, network, ...at }) =>
    `the virtual IP of ${service} is no address of ${placed({ ...at, in: `balancer ${network}` })}`,
  inflict: async (swarm, { service, network, ...at }) => {
    const vip = (await swarm.service(service)).vips[network];
    if (!vip) throw new Unproven(`${service} has no virtual IP on ${network}`);
    return deed(await placesOf(swarm, { ...at, in: `balancer ${network}` }), {
      script: `ip addr del ${vip}/32 dev eth0`,
      proof: `! ip route get ${vip} 2>&1 | grep "^local"`,
    });
  },
});

const routeGone = fault('default-route-gone', z.strictObject({ on: placeFields.on, service: z.string() }), {
  areas: ['sys'],
  describe: ({ service, on }) => `there is no default route in ${placed({ on, in: `tasks ${service}` })}`,
  inflict: async (swarm, { service, on }) =>
    deed(await placesOf(swarm, { ...(on !== undefined && { on }), in: `tasks ${service}` }), {
      script: 'ip route del default',
      proof: '! ip route get 192.0.2.1',
    }),
});

const associations = fault('associations-lost', z.strictObject({ on: placeFields.on }), {
  areas: ['enc'],
  describe: ({ on }) => `all IPsec associations are gone from ${placed({ on, in: 'host' })}`,
  inflict: async (swarm, { on }) =>
    deed(await placesOf(swarm, { ...(on !== undefined && { on }), in: 'host' }), {
      script: '[ -n "$(ip xfrm state)" ] && ip xfrm state flush',
      proof: 'ip xfrm state count | grep "SAD count 0"',
    }),
});

const policies = fault('policies-lost', z.strictObject({ on: placeFields.on }), {
  areas: ['enc'],
  describe: ({ on }) => `all IPsec policies are gone from ${placed({ on, in: 'host' })}`,
  inflict: async (swarm, { on }) =>
    deed(await placesOf(swarm, { ...(on !== undefined && { on }), in: 'host' }), {
      script: '[ -n "$(ip xfrm policy)" ] && ip xfrm policy flush',
      proof: '[ -z "$(ip xfrm policy)" ] && ip xfrm policy count',
    }),
});

const sharedId = fault('vxlan-id-lent', z.strictObject({ ...onNetwork, to: z.int() }), {
  areas: ['overlay'],
  describe: ({ network, to, ...at }) =>
    `vxlan0 has the identifier ${to} in ${placed({ ...at, in: `overlay ${network}` })}`,
  inflict: async (swarm, { network, to, ...at }) => {
    networkIn(await swarm.view(), network);
    return deed(await placesOf(swarm, { ...at, in: `overlay ${network}` }), {
      script: `ip link del vxlan0 && ip link add vxlan0 type vxlan id ${to} dstport 4789 && ip link set vxlan0 up`,
      proof: `ip -d link show vxlan0 | grep -o "vxlan id ${to} "`,
    });
  },
});

export const overlayFaults = [
  forwarding,
  stale,
  vxlanGone,
  mtu,
  linkDown,
  interfaceGone,
  vipGone,
  routeGone,
  associations,
  policies,
  sharedId,
];
