import path from 'node:path';
import { Inconclusive, UsageError } from '../errors.ts';
import type { LabCell } from '../lab/cells.ts';
import type { KeepRequest, Lease, LeaseRequest, PoolStatus, Prepared, Provider } from './protocol.ts';

/** Makes what lends the labs of one cell. @param folder a folder of the cell's own. */
export type MakeProvider = (cell: LabCell, folder: string) => Promise<Provider>;

interface OpenCell {
  provider: Provider;
  prepared?: Promise<Prepared>;
  /** Why stacks are not lent, by their key. */
  unsettled: Map<string, string>;
}

/**
 * The cells of a run. Each is opened when it is first asked for, so that a run of many begins with the first; a slot holds one lab at a
 * time, of whatever cell, so that a run takes no more memory than its slots do.
 */
export class Cells {
  readonly #cells: readonly LabCell[];
  readonly #folder: string;
  readonly #make: MakeProvider;
  readonly #open = new Map<string, Promise<OpenCell>>();
  /** Which cell's lab a slot holds. */
  readonly #holds = new Map<number, string>();

  constructor(cells: readonly LabCell[], folder: string, make: MakeProvider) {
    this.#cells = cells;
    this.#folder = folder;
    this.#make = make;
  }

  async prepare(name: string, slots: number, progress: (line: string) => void): Promise<Prepared> {
    const cell = await this.#opened(name);
    // What failed once is not tried for every clause again: a guest that does not boot takes minutes to say so.
    cell.prepared ??= cell.provider.prepare(slots, progress);
    return cell.prepared;
  }

  async lease(wanted: LeaseRequest, progress: (line: string) => void): Promise<Lease> {
    const { provider, unsettled } = await this.#opened(wanted.cell);
    const why = unsettled.get(wanted.stack ?? '');
    if (why) throw new Inconclusive('lab', why);
    const held = this.#holds.get(wanted.slot);
    if (held !== undefined && held !== wanted.cell) await this.release(wanted.slot);
    this.#holds.set(wanted.slot, wanted.cell);
    return provider.lease(wanted, progress);
  }

  async keep(request: KeepRequest, progress: (line: string) => void): Promise<Lease> {
    const held = this.#holds.get(request.slot);
    if (held === undefined) throw new Inconclusive('suite', `slot ${request.slot} has no lab to keep`);
    return (await this.#opened(held)).provider.keep(request, progress);
  }

  async unsettled(name: string, stack: string, why: string): Promise<void> {
    (await this.#opened(name)).unsettled.set(stack, why);
  }

  async spoilt(slot: number, progress: (line: string) => void): Promise<void> {
    const held = this.#holds.get(slot);
    if (held === undefined) throw new Inconclusive('suite', `slot ${slot} has no lab that could be spoilt`);
    await (await this.#opened(held)).provider.spoilt(slot, progress);
  }

  async release(slot: number): Promise<void> {
    const held = this.#holds.get(slot);
    if (held === undefined) return;
    this.#holds.delete(slot);
    await (await this.#opened(held)).provider.release(slot);
  }

  /** How the labs of one cell are, or of all that are open. */
  async status(name?: string): Promise<PoolStatus> {
    const open = name === undefined ? [...this.#open.values()] : [this.#opened(name)];
    const all = await Promise.all(open.map(async (cell) => (await cell).provider.status()));
    return {
      provider: this.#cells[0]?.settings.LAB ?? 'vm',
      dead: all.find(({ dead }) => dead !== null)?.dead ?? null,
      labs: all.flatMap(({ labs }) => labs),
    };
  }

  /** Ends everything that was started. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(async (cell) => (await cell).provider.close()));
  }

  #opened(name: string): Promise<OpenCell> {
    const index = this.#cells.findIndex((cell) => cell.name === name);
    const cell = this.#cells[index];
    if (!cell) {
      const there = this.#cells.map((other) => other.name).join('; ');
      throw new UsageError(`this run has no cell "${name}"; it has ${there}.`);
    }
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const folder = path.join(this.#folder, `cell-${index + 1}`);
    const made = this.#make(cell, folder).then((provider) => ({
      provider,
      unsettled: new Map<string, string>(),
    }));
    this.#open.set(name, made);
    return made;
  }
}
