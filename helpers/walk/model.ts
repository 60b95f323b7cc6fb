/** The way that packets of one kind took through a Swarm, hop by hop, as the evidence tells it. Plain data. */
export interface Walk {
  /** Who asked whom for what, in one line. */
  title: string;
  /** What became of the requests, in one line. */
  result: string;
  /** True when at least one request was not answered, or not as it should have been. */
  troubled: boolean;
  /** When the nodes were looked at (epoch ms). */
  seenAt: number;
  /** In the order of the way; alternatives, such as the tasks behind a virtual IP, one after another. */
  hops: Hop[];
  legs: Leg[];
  /** Address of each node, on the network between them. */
  nodes: Record<string, string>;
}

/** What is known of a hop. `unseen`: nobody looked there. `unreached`: packets end before they come here. */
export type HopState = 'stands' | 'broken' | 'unseen' | 'unreached';

/** A place where something is done to a packet. */
export interface Hop {
  /** Unique within its walk. */
  id: string;
  /** The node it is on; null outside the Swarm. */
  node: string | null;
  /** The network namespace within that node, in words; null outside the Swarm. */
  namespace: string | null;
  title: string;
  facts: readonly Fact[];
  state: HopState;
  /** Of a broken hop: what is wrong, with what was expected. */
  why?: string;
}

/** One thing known of a hop, with the address, mark or counter as it was seen. */
export interface Fact {
  label: string;
  value: string;
}

/** The way from one hop to the next. */
export interface Leg {
  from: string;
  to: string;
  label?: string;
}

/** The hops of a walk that are broken. */
export function brokenHops({ hops }: Pick<Walk, 'hops'>): Hop[] {
  return hops.filter(({ state }) => state === 'broken');
}

/** A moment as readers take it, to the second. */
export function momentOf(at: number): string {
  return new Date(at).toISOString().replace(/T(.*)\..*/, ' $1 UTC');
}

/** The walk in plain words, a line for each hop: for those who cannot see a drawing, and for texts. */
export function inWords(walk: Walk): string {
  const lines = walk.hops.map(({ title, node, namespace, facts, state, why }) => {
    const where = [namespace, node].filter((part) => part !== null).join(' on ');
    const known = facts.map(({ label, value }) => `${label} ${value}`).join(', ');
    const how = {
      stands: '',
      broken: ` BROKEN: ${why}.`,
      unseen: ' Not looked at.',
      unreached: ' Not reached.',
    };
    return `${title}${where && ` (${where})`}${known && `: ${known}`}.${how[state]}`;
  });
  return [walk.title, walk.result, ...lines].join('\n');
}
