import { unready, viewNodes } from './membership.ts';
import type { Swarm } from './swarm.ts';
import type { SwarmView } from './view.ts';

/** What users know networks and services by, one line each: ids, subnets, virtual IPs, published ports. */
export function identities({ services, networks }: SwarmView): string[] {
  return [
    ...networks.map(({ name, id, subnet }) => `network ${name} ${id} ${subnet}`),
    ...services.flatMap(({ name, id, vips, ports }) => [
      `service ${name} ${id}`,
      ...Object.entries(vips).map(([network, vip]) => `virtual IP of ${name} on ${network} ${vip}`),
      ...ports.map(
        (port) => `port of ${name} ${port.published} ${port.target} ${port.protocol} ${port.mode}`,
      ),
    ]),
  ];
}

/** Which nodes are not ready in the eyes of any manager that is up, one line each. */
export async function unreadyAnywhere(swarm: Swarm): Promise<string[]> {
  const names = swarm.nodes.map(({ name }) => name);
  const managers = swarm.managers.filter(({ up }) => up);
  const lists = await Promise.all(
    managers.map(async ({ name, api }) => ({ name, list: await viewNodes(api) })),
  );
  return lists.flatMap(({ name, list }) => unready(list, names).map((line) => `${name}: ${line}`));
}
