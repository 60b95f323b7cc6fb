import type { ClientCertificates } from '../engine/certificates.ts';

/** Label of every container and network of the lab in its engine, so that they can be swept. */
export const LAB_LABEL = 'swarmproof';

/** The lab network: outside 10.0.0.0/8, from which Swarm takes its overlays, and 172.16.0.0/12, where bridges lie. */
export const LAB_NETWORK = { name: 'swarmproof', subnet: '192.168.83.0/24', gateway: '192.168.83.1' };

/** Ports inside the lab that its clients use. */
export const LAB_PORTS = {
  /** Docker's API over TLS. */
  engine: 2376,
  /** Shells of a toolbox over TLS; the number after the engine's, free in the toolbox's own network namespace. */
  shell: 2377,
} as const;

/** Address of the outsider on the lab network; a stack may name it, as its services' DNS server for example. */
export const OUTSIDER_ADDRESS = '192.168.83.200';

/** Port of the engines' gossip: datagrams for news, connections for full states (moby libnetwork/networkdb/networkdb.go, DefaultConfig, BindPort). */
export const GOSSIP_PORT = 7946;

/** A container that offers shells to observers. */
export interface ToolboxFacts {
  /** Container id in the lab's engine. */
  container: string;
  /** Where its shells are reached from this host. */
  shellPort: number;
  /** Console of the guest on which a shell of this toolbox already runs; absent where the lab is no guest of ours. */
  console?: number;
}

/** How many nodes a lab has: members of its Swarm, and spares that run an engine but are no members yet. */
export interface Topology {
  managers: number;
  workers: number;
  spares: number;
}

/** One node as the lab sees it. */
export interface NodeFacts {
  /** `m1`, `w2`, `s1` for a spare, ...: also its host name and its name in `docker node ls`. */
  name: string;
  role: 'manager' | 'worker' | 'spare';
  /** Its address on the lab network. */
  address: string;
  /** Container id in the lab's engine. */
  container: string;
  /** Where its Docker API is reached from this host. */
  enginePort: number;
  /** Engine version, for example 26.1.5+dfsg1. */
  engine: string;
  toolbox: ToolboxFacts;
}

/** A formed Swarm: everything a client needs to reach it; serialisable, kept beside the checkpoint. */
export interface SwarmFacts {
  nodes: NodeFacts[];
  /** On the lab network, not in the Swarm: where traffic from outside comes from. */
  outsider: ToolboxFacts & { address: string };
  /** Certificates for every node's API and every toolbox. */
  tls: ClientCertificates;
}

/** The nodes that are members of the Swarm. */
export function membersOf({ nodes }: Pick<SwarmFacts, 'nodes'>) {
  return nodes.flatMap((node) => (node.role === 'spare' ? [] : [{ ...node, role: node.role }]));
}
