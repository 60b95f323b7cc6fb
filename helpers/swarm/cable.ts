import type Docker from 'dockerode';
import { Inconclusive } from '../errors.ts';
import { HOST } from '../observe/node.ts';
import { LAB_LABEL } from './facts.ts';
import type { Node } from './node.ts';

/** A network of the lab beside the lab network. */
export interface Wire {
  name: string;
  /** IPv4, outside everything else in the lab: the lab network, Swarm's pool and the bridges of engines. */
  subnet: string;
}

/** What a node has of a {@link Wire}. */
export interface Plug {
  /** Its interface there. */
  link: string;
  address: string;
}

/**
 * Makes a bridge network in the lab's engine and connects nodes to it. It is labelled as part of the lab, and goes with it.
 *
 * @returns by node name, what it has of it.
 * @throws Inconclusive (lab) when a node has no interface there afterwards.
 */
export async function layCable(
  lab: Docker,
  nodes: readonly Node[],
  { name, subnet }: Wire,
): Promise<Record<string, Plug>> {
  const wire = await lab.createNetwork({
    Name: name,
    Driver: 'bridge',
    Labels: { [LAB_LABEL]: 'lab' },
    // It leads nowhere: otherwise the lab's engine may take it for a node's way out, and move the ports by which we reach the node.
    Internal: true,
    IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
  });
  const plugs = nodes.map(async (node) => {
    await wire.connect({ Container: node.container.id });
    const { NetworkSettings } = await node.container.inspect();
    const { IPAddress: address = '' } = NetworkSettings.Networks[name] ?? {};
    const { links = [] } = await node.namespace(HOST, ['links']);
    const link = links.find(({ addresses }) => addresses.some((one) => one.address === address))?.name;
    if (!link) throw new Inconclusive('lab', `${node.name} is not on ${name}`, { node: node.name });
    return [node.name, { link, address }] as const;
  });
  return Object.fromEntries(await Promise.all(plugs));
}
