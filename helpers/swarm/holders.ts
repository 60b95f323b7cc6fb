import { Inconclusive } from '../errors.ts';
import type { Swarm } from './swarm.ts';
import { type SwarmView, taskOnEachNode } from './view.ts';

/** Who holds each address of a network: a virtual IP, a task, the gateway, a node's balancer. */
export type Holders = Record<string, string[]>;

/**
 * Who holds which address, by network. The API names virtual IPs and tasks; gateways and balancers are known to the
 * engines that have them.
 *
 * @throws Inconclusive (observer) when a node that takes part in a network shows no balancer of it.
 */
export async function holdersOfAddresses(swarm: Swarm, view: SwarmView): Promise<Record<string, Holders>> {
  const networks = view.networks.map(async ({ id, name: network, ingress }) => {
    const holders: Holders = {};
    const holds = (holder: string, address: string | undefined) => {
      if (address) holders[address] = [...(holders[address] ?? []), holder];
    };
    for (const { name, vips, tasks } of view.services) {
      holds(`VIP of ${name}`, vips[network]);
      for (const { containerName, addresses } of tasks) holds(`task ${containerName}`, addresses[network]);
    }
    // What only an engine knows is told by those that run.
    const members = ingress ? swarm.nodes : taskOnEachNode(view, network).map(({ node }) => swarm.node(node));
    const nodes = members.filter(({ up }) => up);
    const seen = Object.values(await swarm.everywhere((node) => node.network(id), nodes));
    for (const gateway of new Set(seen.flatMap(({ gateways }) => gateways))) holds('gateway', gateway);
    // Balancers are endpoints of the network like any task (moby libnetwork/network.go, lbEndpointName).
    for (const { node, endpoints } of seen) {
      const address = endpoints[`${network}-endpoint`];
      if (!address) throw new Inconclusive('observer', `${node} shows no balancer of ${network}`, { node });
      holds(`balancer of ${node}`, address);
    }
    return [network, holders] as const;
  });
  return Object.fromEntries(await Promise.all(networks));
}
