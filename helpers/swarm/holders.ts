import type { Swarm } from './swarm.ts';
import { type SwarmView, taskOnEachNode } from './view.ts';

/** Who holds each address of a network: a virtual IP, a task, the gateway, a node's balancer. */
export type Holders = Record<string, string[]>;

/**
 * Who holds which address, by network. The API names virtual IPs and tasks; gateways and balancers are known to the
 * engines that have them.
 */
export async function holdersOfAddresses(swarm: Swarm, view: SwarmView): Promise<Record<string, Holders>> {
  const networks = view.networks.map(async ({ id, name: network }) => {
    const holders: Holders = {};
    const holds = (holder: string, address: string | undefined) => {
      if (address) holders[address] = [...(holders[address] ?? []), holder];
    };
    for (const { name, vips, tasks } of view.services) {
      holds(`VIP of ${name}`, vips[network]);
      for (const { containerName, addresses } of tasks) holds(`task ${containerName}`, addresses[network]);
    }
    const nodes = taskOnEachNode(view, network).map(({ node }) => swarm.node(node));
    const seen = Object.values(await swarm.everywhere((node) => node.network(id), nodes));
    for (const gateway of new Set(seen.flatMap(({ gateways }) => gateways))) holds('gateway', gateway);
    // Balancers are endpoints of the network like any task (moby daemon/network.go, createLoadBalancerSandbox).
    for (const { node, endpoints } of seen) holds(`balancer of ${node}`, endpoints[`${network}-endpoint`]);
    return [network, holders] as const;
  });
  return Object.fromEntries(await Promise.all(networks));
}
