import type { EngineAddress } from '../engine/client.ts';
import type { Inconclusive } from '../errors.ts';
import type { LogPlaces } from '../observe/logs.ts';
import type { SwarmFacts, Topology } from '../swarm/facts.ts';
import type { Cell } from '../verdict/model.ts';

/** A lab lent to one worker: a formed Swarm that nobody else uses. */
export interface Lease {
  /** Address under which every mapped port of the lab is reached. */
  host: string;
  /** Folder of the guest's console sockets; null where the lab is no guest of ours. */
  consoles: string | null;
  /** Where its logs are read; null where the lab is no guest of ours. */
  logs: LogPlaces | null;
  /** The lab's own engine, in which the nodes are containers. */
  engine: EngineAddress;
  swarm: SwarmFacts;
  /** How deep the checkpoint was: with the wanted stack already running, or the bare Swarm. */
  level: 'swarm' | 'stack';
  /** The rule document that was written when the stack was kept; null where none was, or nothing is kept. */
  rules: string | null;
}

/** What set-up learns about the cell it made ready, and how long that took (ms). */
export interface Prepared {
  cell: Omit<Cell, 'settings'>;
  spent: { lab: number; swarm: number };
  /** Labs that can be lent at the same time. */
  slots: number;
}

/** How a pool is, for `lab status` and for clauses that ask whether their lab still lives. */
export interface PoolStatus {
  provider: 'vm' | 'docker';
  /** Why no lab can be lent any more, with the console's tail; null while all is well. */
  dead: string | null;
  /** The labs that are lent now, with what their leases said. */
  labs: (Omit<Lease, 'level' | 'rules'> & { slot: number; pid: number | null })[];
}

/** What a worker asks for. */
export interface LeaseRequest {
  /** Name of the cell. */
  cell: string;
  slot: number;
  /** Key of the stack that shall run; null for a bare Swarm. */
  stack: string | null;
  /** Where the Swarm shall differ from what the setting NODES says. */
  topology: Partial<Topology>;
}

/** What is to be kept. */
export interface KeepRequest {
  slot: number;
  /** Key of the stack that runs. */
  stack: string;
  /** Its rule document, where it has one: whatever is restored from the checkpoint has the same rules. */
  rules: string | null;
}

/** What a pool can be asked: request and answer of each, by path. */
export interface PoolCalls {
  /** Makes a cell ready to be lent; at once when it is already. A cell that could not be made ready is not tried again. */
  prepare: { request: { cell: string; slots: number }; answer: Prepared };
  lease: { request: LeaseRequest; answer: Lease };
  /** Keeps the lab of this slot, with its stack settled, as the stack's checkpoint; the lab is lent anew from it. */
  keep: { request: KeepRequest; answer: Lease };
  /** Says that this stack did not settle; it is not lent again, so that one bad stack costs a run its waiting once. */
  unsettled: { request: { cell: string; stack: string; why: string }; answer: null };
  /**
   * Says that what this slot was lent is not as it was saved, however often it is restored: its checkpoint goes, so that whoever wants
   * the like next has it made anew.
   */
  spoilt: { request: { slot: number }; answer: null };
  release: { request: { slot: number }; answer: null };
  /** @param cell whose health is asked for; without it that of all. */
  status: { request: { cell?: string }; answer: PoolStatus };
  stop: { request: Record<string, never>; answer: null };
}

export type PoolCall = keyof PoolCalls;

/** One line of an answer: any number of progress lines, then a result or an error. */
export type AnswerLine =
  | { progress: string }
  | { result: unknown }
  | { error: { kind: 'usage' | 'inconclusive'; reason: Inconclusive['reason']; message: string } };

/** What lends labs of one cell: the pool's daemon speaks for one of these for each cell. */
export interface Provider {
  prepare(slots: number, progress: (line: string) => void): Promise<Prepared>;
  lease(request: LeaseRequest, progress: (line: string) => void): Promise<Lease>;
  keep(request: KeepRequest, progress: (line: string) => void): Promise<Lease>;
  spoilt(slot: number, progress: (line: string) => void): Promise<void>;
  release(slot: number): Promise<void>;
  status(): Promise<PoolStatus>;
  /** Ends everything the provider started. */
  close(): Promise<void>;
}
