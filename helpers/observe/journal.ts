import type { ProbeRequest, SampleOf } from './probe.ts';

/** Where traffic is sent from; serialisable. */
export type Place =
  /** The host on the lab network that is no member. */
  | { kind: 'outsider'; address: string }
  /** A node's own network namespace. */
  | { kind: 'host'; node: string }
  /** The network namespace of a process, as a rule a task's. `pid` is what its node sees, `what` names it for readers. */
  | { kind: 'process'; node: string; pid: number; what: string }
  /** Another namespace of a node, by its file under /run/docker/netns. */
  | { kind: 'namespace'; node: string; name: string };

/** Traffic of one kind: what was asked from a place, and what became of it. */
export interface JourneyOf<R extends ProbeRequest> {
  from: Place;
  request: R;
  samples: readonly SampleOf<R>[];
}

/** Traffic that a clause sent. */
export type Journey = {
  [K in ProbeRequest['kind']]: JourneyOf<Extract<ProbeRequest, { kind: K }>>;
}[ProbeRequest['kind']];

/** Ours: what a clause sends in minutes. Of hours of traffic the last is of interest, and memory is not endless. */
const MOST_SAMPLES = 20_000;

/**
 * Keeps the traffic that is sent, so that it can be told afterwards which ways it went; nobody needs to ask for it.
 *
 * @typeParam V what is known of the Swarm it was sent through.
 */
export class Journal<V = unknown> {
  #journeys: Journey[] = [];
  #samples = 0;
  #view: { last: V; again: () => Promise<V> } | undefined;

  note<R extends ProbeRequest>(from: Place, request: R, samples: readonly SampleOf<R>[]): void {
    // Request and samples are of one kind, which the compiler cannot see through a type parameter.
    this.#journeys.push({ from, request, samples } as unknown as Journey);
    this.#samples += samples.length;
    while (this.#samples > MOST_SAMPLES && this.#journeys.length > 1)
      this.#samples -= this.#journeys.shift()?.samples.length ?? 0;
  }

  /** Keeps what was seen of the Swarm last, and how that is seen anew. */
  viewed(last: V, again: () => Promise<V>): void {
    this.#view = { last, again };
  }

  /** What was seen of the Swarm last, if anything was. */
  get view(): { last: V; again: () => Promise<V> } | undefined {
    return this.#view;
  }

  /** What was sent since it was last taken, oldest first. */
  take(): Journey[] {
    const taken = this.#journeys;
    this.#journeys = [];
    this.#samples = 0;
    return taken;
  }
}
