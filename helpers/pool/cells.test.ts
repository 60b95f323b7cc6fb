import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../errors.ts';
import { readSettings } from '../lab/settings.ts';
import { Cells } from './cells.ts';
import type { KeepRequest, Lease, LeaseRequest, PoolStatus, Prepared, Provider } from './protocol.ts';

/** Lends nothing, and notes what it is asked. */
class ProviderDouble implements Provider {
  readonly #name: string;
  readonly #said: string[];
  readonly #why: string | undefined;

  constructor(name: string, said: string[], why?: string) {
    this.#name = name;
    this.#said = said;
    this.#why = why;
  }

  #note(what: string): void {
    this.#said.push(`${this.#name}: ${what}`);
  }

  async prepare(): Promise<Prepared> {
    this.#note('prepare');
    if (this.#why) throw new UsageError(this.#why);
    return { spent: { lab: 1, swarm: 1 }, slots: 1 } as Prepared;
  }

  async lease({ slot }: LeaseRequest): Promise<Lease> {
    this.#note(`lease ${slot}`);
    return {} as Lease;
  }

  async keep({ slot }: KeepRequest): Promise<Lease> {
    this.#note(`keep ${slot}`);
    return {} as Lease;
  }

  async spoilt(slot: number): Promise<void> {
    this.#note(`spoilt ${slot}`);
  }

  async release(slot: number): Promise<void> {
    this.#note(`release ${slot}`);
  }

  async status(): Promise<PoolStatus> {
    return { provider: 'vm', dead: this.#why ?? null, labs: [] };
  }

  async close(): Promise<void> {
    this.#note('close');
  }
}

function poolOf(...broken: string[]) {
  const said: string[] = [];
  const settings = readSettings({});
  const cells = new Cells(
    ['old', 'new'].map((name) => ({ name, settings, given: {} })),
    '/nowhere',
    async ({ name }) =>
      new ProviderDouble(name, said, broken.includes(name) ? `no kernel for ${name}` : undefined),
  );
  return { cells, said };
}

const lease = (cell: string, slot = 0): LeaseRequest => ({ cell, slot, stack: null, topology: {} });
const quiet = () => {};

test('a slot holds one lab at a time, whatever cell it is of', async () => {
  const { cells, said } = poolOf();
  await cells.lease(lease('old'), quiet);
  await cells.lease(lease('old', 1), quiet);
  await cells.lease(lease('new'), quiet);
  await cells.keep({ slot: 0, stack: 'voting', rules: null }, quiet);
  await cells.keep({ slot: 1, stack: 'voting', rules: null }, quiet);
  assert.deepEqual(said, [
    'old: lease 0',
    'old: lease 1',
    'old: release 0',
    'new: lease 0',
    'new: keep 0',
    'old: keep 1',
  ]);
});

test('a cell is made ready once, however many ask, and others not before they are asked for', async () => {
  const { cells, said } = poolOf();
  await Promise.all([cells.prepare('old', 1, quiet), cells.prepare('old', 1, quiet)]);
  await cells.close();
  assert.deepEqual(said, ['old: prepare', 'old: close']);
});

test('a cell that cannot be made ready says so each time, is not tried again, and spares the others', async () => {
  const { cells, said } = poolOf('old');
  await assert.rejects(cells.prepare('old', 1, quiet), /no kernel for old/);
  await assert.rejects(cells.prepare('old', 1, quiet), /no kernel for old/);
  await cells.prepare('new', 1, quiet);
  assert.deepEqual(said, ['old: prepare', 'new: prepare']);
  assert.equal((await cells.status('new')).dead, null);
  assert.equal((await cells.status()).dead, 'no kernel for old');
});

test('a stack that did not settle is refused in its own cell only', async () => {
  const { cells } = poolOf();
  await cells.unsettled('old', 'voting', 'it never settled');
  await assert.rejects(cells.lease({ ...lease('old'), stack: 'voting' }, quiet), /it never settled/);
  await cells.lease({ ...lease('new'), stack: 'voting' }, quiet);
  await cells.lease(lease('old'), quiet);
});

test('a lab that is not as it was saved is told to the cell that lent it', async () => {
  const { cells, said } = poolOf();
  await cells.lease(lease('new', 1), quiet);
  await cells.spoilt(1, quiet);
  assert.deepEqual(said, ['new: lease 1', 'new: spoilt 1']);
  await assert.rejects(cells.spoilt(0, quiet), /slot 0 has no lab/);
});

test('a cell that the run does not have is told with those it has', async () => {
  const { cells } = poolOf();
  await assert.rejects(cells.prepare('other', 1, quiet), /no cell "other"; it has old; new\./);
});
