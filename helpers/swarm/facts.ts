import type { ClientCertificates } from '../engine/certificates.ts';

/** Label of every container and network of the lab in its engine, so that they can be swept. */
export const LAB_LABEL = 'swarmproof';

/** Ports inside the lab that its clients use. */
export const LAB_PORTS = {
  /** Docker's API over TLS. */
  engine: 2376,
  /** Shells of a toolbox over TLS; the number after the engine's, free in the toolbox's own network namespace. */
  shell: 2377,
} as const;

/** A container that offers shells to observers. */
export interface ToolboxFacts {
  /** Container id in the lab's engine. */
  container: string;
  /** Where its shells are reached from this host. */
  shellPort: number;
  /** Console of the guest on which a shell of this toolbox already runs; absent where the lab is no guest of ours. */
  console?: number;
}

/** One Swarm member as the lab sees it. */
export interface NodeFacts {
  /** `m1`, `w2`, ...: also its host name and its name in `docker node ls`. */
  name: string;
  role: 'manager' | 'worker';
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
