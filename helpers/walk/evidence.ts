import type { Place } from '../observe/journal.ts';
import type { NamespaceState } from '../observe/node.ts';
import type { SwarmView } from '../swarm/view.ts';

/** Everything a walk is told from; serialisable, so that it can be told again. */
export interface WalkEvidence {
  /** When the state of the nodes was read (epoch ms). */
  at: number;
  from: Place;
  asked: Asked;
  /** What became of the requests, alike ones together. */
  outcomes: Outcome[];
  view: SwarmView;
  /** Nodes that were looked at, or whose address matters. */
  nodes: NodeSeen[];
}

/** What was asked for. */
export interface Asked {
  protocol: 'tcp' | 'udp' | 'icmp';
  /** A name that was asked for first, from the embedded DNS. */
  name?: string;
  /** Where the request went when it was no name. Several addresses of one service's tasks may be asked alike. */
  addresses: string[];
  /** The port asked for; absent where there is none, and when only a name was asked for. */
  port?: number;
}

/** Requests with the same end. */
export interface Outcome {
  times: number;
  /** The address that was asked. */
  address?: string;
  /** Of a name: the addresses in the answer, in any order, or what the server said instead. */
  answers?: string[];
  rcode?: string;
  /** The answer was cut short. */
  truncated?: boolean;
  /** The host name of the container that answered. */
  container?: string;
  /** Of one of them: the client's end, the client's end as the task saw it, and the task's own. */
  source?: string;
  peer?: string;
  local?: string;
  /** What happened instead of an answer, as in `timeout in connect`. */
  error?: string;
}

/**
 * What was seen of one node. A namespace that is absent was not looked at; null: it was looked for and is not there.
 */
export interface NodeSeen {
  name: string;
  /** On the lab network. */
  address: string;
  /** The chain of mangle in which this engine marks packets to virtual IPs. */
  markChain: string;
  host?: NamespaceState | null;
  /** The balancer on the way: that of the overlay, or `ingress_sbox`. */
  balancer?: NamespaceState | null;
  /** The namespace that bridges the overlay on the way. */
  overlay?: NamespaceState | null;
  /** Of processes, by process id: of the client and of tasks. */
  processes?: Record<number, NamespaceState | null>;
}
