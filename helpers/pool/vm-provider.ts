import fs from 'node:fs/promises';
import path from 'node:path';
import type { Certificates } from '../engine/certificates.ts';
import { engineClient } from '../engine/client.ts';
import { imageName } from '../engine/images.ts';
import { Inconclusive, messageOf } from '../errors.ts';
import { keyOf } from '../key.ts';
import { consoleSocket } from '../lab/machine.ts';
import type { Settings } from '../lab/settings.ts';
import { BadCheckpoint, type Checkpoint, type RunningVm, VmLab } from '../lab/vm.ts';
import type { LogPlaces } from '../observe/logs.ts';
import { Shell } from '../observe/shell.ts';
import { membersOf, type SwarmFacts, type ToolboxFacts, type Topology } from '../swarm/facts.ts';
import { formSwarmInChild } from '../swarm/form-in-child.ts';
import { NODE_INIT } from '../swarm/node-init.ts';
import { viewSwarm } from '../swarm/view.ts';
import { imageFacts } from './image-facts.ts';
import { PREFLIGHT, requireFeatures } from './preflight.ts';
import type { KeepRequest, Lease, LeaseRequest, PoolStatus, Prepared, Provider } from './protocol.ts';

/** Raised when forming a Swarm changes in a way that older checkpoints lack. */
const SWARM_RECIPE = 2;

/**
 * A Swarm's node certificates live 90 days and are renewed from half-way on (docs: docker swarm update --cert-expiry); a
 * checkpoint much younger than that meets none of it.
 */
const CHECKPOINT_MAX_AGE_DAYS = 14;

/** Ours: a console answers in well under a second; a loaded host may take a few. */
const CLOCK_LIMIT_MS = 30_000;

/** The slot that every run has. */
const FIRST_SLOT = 0;

interface Lent {
  vm: RunningVm;
  checkpoint: Checkpoint<Kept>;
  topology: Topology;
  lease: Omit<Lease, 'level' | 'rules'>;
}

/** A guest that comes to life before anybody asked for it. */
interface Begun {
  checkpoint: Checkpoint<Kept>;
  folder: string;
  vm: Promise<RunningVm>;
}

/** What is known of a Swarm in a checkpoint: of one with a stack, the stack's rules too. */
type Kept = SwarmFacts & Partial<Pick<Lease, 'rules'>>;

/** Labs that are guests of our own: every lease is a fresh restore of a checkpoint. */
export class VmProvider implements Provider {
  readonly #settings: Settings;
  readonly #folder: string;
  readonly #lent = new Map<number, Lent>();
  #lab: VmLab | undefined;
  /** The checkpoints of formed Swarms known so far, and those being made, by topology. */
  readonly #swarms = new Map<string, Promise<Checkpoint<Kept>>>();
  /** How the first guest died that did, with its console. */
  #dead: Promise<string> | undefined;
  readonly #closed = new AbortController();
  /** For {@link FIRST_SLOT}. */
  #begun: Begun | undefined;
  #firstNoted = false;
  /** By slot. */
  readonly #restoredLast = new Map<number, Checkpoint<Kept>>();
  readonly #spent = { lab: 0, swarm: 0 };

  /** @param folder this run's own folder. */
  constructor(settings: Settings, folder: string) {
    this.#settings = settings;
    this.#folder = folder;
  }

  async prepare(slots: number, progress: (line: string) => void): Promise<Prepared> {
    const lab = await this.#timed('lab', async () => {
      this.#lab ??= await VmLab.prepare(this.#settings, progress);
      return this.#lab;
    });
    const swarm = await this.#formed(this.#topology(), progress);
    await this.#trim(lab, progress);
    await this.#begin(lab, swarm);
    return { cell: this.#cell(lab, swarm.payload), spent: { ...this.#spent }, slots };
  }

  async lease(
    { slot, stack, topology: wanted }: LeaseRequest,
    progress: (line: string) => void,
  ): Promise<Lease> {
    await this.#requireAlive();
    await this.release(slot);
    const lab = this.#requireLab();
    const topology = this.#topology(wanted);
    const deeper = stack
      ? await lab.findCheckpoint<Kept>(this.#stackRecipe(lab, topology, stack))
      : undefined;
    if (deeper) {
      const restored = await this.#restored(slot, deeper, topology, 'run', progress);
      if (restored) return { ...restored, level: 'stack' };
    }
    for (;;) {
      const formed = await this.#formed(topology, progress);
      const restored = await this.#restored(slot, formed, topology, stack ? 'save' : 'run', progress);
      if (restored) return { ...restored, level: 'swarm' };
      // It was discarded: the next turn forms a Swarm anew, and says so, or fails.
      this.#swarms.delete(keyOf(topology));
    }
  }

  async keep({ slot, stack, rules }: KeepRequest, progress: (line: string) => void): Promise<Lease> {
    await this.#requireAlive();
    const lab = this.#requireLab();
    const lent = this.#lent.get(slot);
    if (!lent) throw new Inconclusive('suite', `slot ${slot} has no lab to keep`);
    this.#lent.delete(slot);
    const { vm, topology, lease } = lent;
    await forgetCaches(vm.folder);
    const kept = await lab.save<Kept>(vm, this.#stackRecipe(lab, topology, stack), { ...lease.swarm, rules });
    await this.#trim(lab, progress);
    const restored = await this.#restored(slot, kept, topology, 'run', progress);
    if (!restored) throw new Inconclusive('lab', 'a checkpoint did not load right after it was made');
    return { ...restored, level: 'stack' };
  }

  async spoilt(slot: number, progress: (line: string) => void): Promise<void> {
    const lent = this.#lent.get(slot);
    if (!lent) throw new Inconclusive('suite', `slot ${slot} has no lab that could be spoilt`);
    await this.release(slot);
    progress(
      'a checkpoint that is not as it was saved is discarded: whoever wants the like next has it made anew',
    );
    await this.#requireLab().discard(lent.checkpoint);
    // Where it was the bare Swarm's: the next one is formed anew.
    this.#swarms.delete(keyOf(lent.topology));
  }

  async release(slot: number): Promise<void> {
    const lent = this.#lent.get(slot);
    this.#lent.delete(slot);
    await lent?.vm[Symbol.asyncDispose]();
  }

  async status(): Promise<PoolStatus> {
    const labs = [...this.#lent].map(([slot, { vm, lease }]) => ({
      slot,
      pid: vm.machine.pid ?? null,
      ...lease,
    }));
    return { provider: 'vm', dead: (await this.#dead) ?? null, labs };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#abandon();
    await Promise.all([...this.#lent.keys()].map((slot) => this.release(slot)));
  }

  /** The checkpoint of the formed Swarm, made if need be, once however many slots ask. */
  #formed(topology: Topology, progress: (line: string) => void): Promise<Checkpoint<Kept>> {
    const key = keyOf(topology);
    const made = this.#swarms.get(key) ?? this.#findOrForm(topology, progress);
    this.#swarms.set(key, made);
    made.catch(() => this.#swarms.delete(key));
    return made;
  }

  async #findOrForm(topology: Topology, progress: (line: string) => void): Promise<Checkpoint<Kept>> {
    const lab = this.#requireLab();
    const found = await lab.findCheckpoint<Kept>(this.#swarmRecipe(lab, topology));
    if (!found) return this.#form(lab, topology, progress);
    if (!(await olderThan(found.artifact.folder, CHECKPOINT_MAX_AGE_DAYS))) return found;
    progress(`the Swarm's checkpoint is older than ${CHECKPOINT_MAX_AGE_DAYS} days: forming a new one`);
    await lab.discard(found);
    return this.#form(lab, topology, progress);
  }

  async #form(lab: VmLab, topology: Topology, progress: (line: string) => void): Promise<Checkpoint<Kept>> {
    const folder = await this.#slotFolder(`forming-${keyOf(topology)}`);
    const booted = await this.#timed('lab', () => this.#booted(lab, folder, progress));
    return this.#timed('swarm', async () => {
      await using vm = await lab.restore(booted, folder, 'save');
      await setClock(vm.folder);
      const request = {
        engine: vm.engine,
        certificates: booted.payload,
        topology,
        nodes: lab.images.nodes,
        workloadTar: lab.images.workload.file,
      };
      const facts = await withConsole(vm, () => formSwarmInChild(request, folder, progress));
      const placed = await placeShells(vm, facts);
      await forgetCaches(vm.folder);
      return await lab.save(vm, this.#swarmRecipe(lab, topology), placed);
    });
  }

  /** The checkpoint of a booted guest whose engine answers. */
  async #booted(
    lab: VmLab,
    folder: string,
    progress: (line: string) => void,
  ): Promise<Checkpoint<Certificates>> {
    const recipe = { checkpoint: 'booted', lab: lab.key };
    const known = await lab.findCheckpoint<Certificates>(recipe);
    if (known) return known;
    progress(`booting a guest with kernel ${lab.kernel.release} (${lab.shape.accelerator})`);
    const { certificates, ...vm } = await lab.boot(folder);
    await preflight(vm, lab.kernel.release);
    return lab.save(vm, recipe, certificates);
  }

  /** A running guest from a checkpoint, its clock set; undefined when the checkpoint was no good and is gone. */
  async #restored(
    slot: number,
    checkpoint: Checkpoint<Kept>,
    topology: Topology,
    use: 'run' | 'save',
    progress: (line: string) => void,
  ): Promise<Omit<Lease, 'level'> | undefined> {
    const lab = this.#requireLab();
    const { rules = null, ...swarm } = checkpoint.payload;
    const { folder, ...coming } =
      (await this.#takeBegun(slot, checkpoint, use)) ?? (await this.#start(lab, slot, checkpoint, use));
    const vm = await coming.vm.catch(async (error) => {
      if (!(error instanceof BadCheckpoint)) throw error;
      progress(`a checkpoint did not load and is discarded: ${error.message.split('\n')[0]}`);
      await lab.discard(checkpoint);
      return undefined;
    });
    if (!vm) return undefined;
    await this.#lookAhead(lab, slot, checkpoint);
    if (use === 'run' && slot === FIRST_SLOT) await this.#noteFirst(lab, checkpoint);
    const { engine } = vm;
    const lease = { host: engine.host, consoles: folder, logs: logPlaces(vm, swarm), engine, swarm };
    const lent = { vm, checkpoint, topology, lease };
    this.#lent.set(slot, lent);
    void vm.machine.exit.then((how) => {
      if (this.#closed.signal.aborted || this.#lent.get(slot) !== lent) return;
      // Known at once: whoever lost a shell by it asks in the same moment.
      this.#dead ??= vm.machine.lastWords().then((words) => `the lab of slot ${slot} died: ${how}\n${words}`);
    });
    return { ...lease, rules };
  }

  /** Spec files come in the same order in every run, and so do the checkpoints that a slot needs. */
  async #lookAhead(lab: VmLab, slot: number, checkpoint: Checkpoint<Kept>): Promise<void> {
    const before = this.#restoredLast.get(slot);
    if (before?.artifact.key === checkpoint.artifact.key) return;
    this.#restoredLast.set(slot, checkpoint);
    if (before) await lab.note('next', before, checkpoint);
    void lab.readAhead(checkpoint, this.#closed.signal);
  }

  /** Has the guest come to life with which the last run on this Swarm began: this one still has its specs to load. */
  async #begin(lab: VmLab, swarm: Checkpoint<Kept>): Promise<void> {
    const first = await lab.noted<Kept>('first', swarm);
    if (!first || this.#closed.signal.aborted) return;
    this.#begun = await this.#start(lab, FIRST_SLOT, first, 'run');
    // A failure is told to whoever takes it, and a Swarm that does not answer to whoever asks it.
    this.#begun.vm.then((vm) => askOnce(vm, first.payload)).catch(() => {});
  }

  async #noteFirst(lab: VmLab, checkpoint: Checkpoint<Kept>): Promise<void> {
    const swarm = await this.#swarms.get(keyOf(this.#topology()));
    if (swarm && !this.#firstNoted) await lab.note('first', swarm, checkpoint);
    this.#firstNoted = true;
  }

  /** The guest that was begun, where it is the one that is wanted; any other is ended, since it has the slot's folder. */
  async #takeBegun(
    slot: number,
    { artifact }: Checkpoint<Kept>,
    use: 'run' | 'save',
  ): Promise<Begun | undefined> {
    const begun = this.#begun;
    if (!begun || slot !== FIRST_SLOT) return undefined;
    if (use !== 'run' || begun.checkpoint.artifact.key !== artifact.key) {
      await this.#abandon();
      return undefined;
    }
    this.#begun = undefined;
    return begun;
  }

  /** Ends a guest that nobody wants. */
  async #abandon(): Promise<void> {
    const vm = await this.#begun?.vm.catch(() => undefined);
    this.#begun = undefined;
    await vm?.[Symbol.asyncDispose]();
  }

  async #start(lab: VmLab, slot: number, checkpoint: Checkpoint<Kept>, use: 'run' | 'save'): Promise<Begun> {
    const folder = await this.#slotFolder(`slot-${slot}`);
    return { checkpoint, folder, vm: this.#started(lab, checkpoint, folder, use) };
  }

  /** A guest that runs at the present time. @throws BadCheckpoint when it does not come to life. */
  async #started(
    lab: VmLab,
    checkpoint: Checkpoint<Kept>,
    folder: string,
    use: 'run' | 'save',
  ): Promise<RunningVm> {
    const vm = await lab.restore(checkpoint, folder, use);
    try {
      await setClock(folder);
    } catch (error) {
      await vm[Symbol.asyncDispose]();
      throw new BadCheckpoint(messageOf(error), { cause: error });
    }
    return vm;
  }

  async #trim(lab: VmLab, progress: (line: string) => void): Promise<void> {
    const freed = await lab.trimCheckpoints(this.#settings.LAB_CACHE_SIZE);
    if (freed > 0)
      progress(`removed the least recently used checkpoints, to stay within LAB_CACHE_SIZE: ${freed}`);
  }

  async #slotFolder(name: string): Promise<string> {
    const folder = path.join(this.#folder, name);
    await fs.rm(folder, { recursive: true, force: true });
    await fs.mkdir(folder, { recursive: true });
    return folder;
  }

  #topology(wanted: Partial<Topology> = {}): Topology {
    return { ...this.#settings.NODES, spares: 0, ...wanted };
  }

  #swarmRecipe(lab: VmLab, { spares, ...nodes }: Topology) {
    return {
      checkpoint: 'swarm',
      recipe: SWARM_RECIPE,
      lab: lab.key,
      init: keyOf(NODE_INIT),
      engines: lab.images.nodes.map(({ hash }) => hash),
      nodes: { ...nodes, ...(spares > 0 && { spares }) },
    };
  }

  #stackRecipe(lab: VmLab, topology: Topology, stack: string) {
    return { checkpoint: 'stack', swarm: this.#swarmRecipe(lab, topology), stack };
  }

  #requireLab(): VmLab {
    if (!this.#lab) throw new Inconclusive('suite', 'the pool lends labs only after it was prepared');
    return this.#lab;
  }

  async #requireAlive(): Promise<void> {
    const dead = await this.#dead;
    if (dead) throw new Inconclusive('lab', dead);
  }

  async #timed<T>(what: 'lab' | 'swarm', run: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await run();
    } finally {
      this.#spent[what] += performance.now() - started;
    }
  }

  #cell(lab: VmLab, swarm: SwarmFacts): Prepared['cell'] {
    const { vmRoot, nodes, toolbox, workload } = lab.images;
    return {
      name: 'default',
      kernel: lab.kernel.release,
      engines: Object.fromEntries(swarm.nodes.map(({ name, engine }) => [name, engine])),
      nodes: membersOf(swarm).map(({ name, role, address }) => ({ name, role, address })),
      qemu: lab.tools.qemuVersion,
      accelerator: lab.shape.accelerator,
      images: {
        ...imageFacts([vmRoot, ...nodes, toolbox, workload]),
        kernel: { hash: lab.kernel.artifact.key, packages: lab.kernel.packages },
      },
    };
  }
}

/** The console of the guest's own root shell; toolboxes have those after it. */
const GUEST_CONSOLE = 0;

/** The console of a root shell that reads logs, after those of toolboxes: the last of the eight that Linux makes of hvc (drivers/tty/hvc/hvc_console.h, HVC_ALLOC_TTY_ADAPTERS). */
const LOG_CONSOLE = 7;

/** Lowest level that no longer reaches the console (printk): warnings do, notices do not. */
const CONSOLE_LEVEL = 5;

/** Where a guest's logs lie: its kernel's on this host, its nodes' where its engine keeps them. */
function logPlaces({ machine, folder }: RunningVm, { nodes }: SwarmFacts): LogPlaces {
  const file = (id: string) => `/var/lib/docker/containers/${id}/${id}-json.log`;
  return {
    kernel: machine.console,
    shell: consoleSocket(folder, LOG_CONSOLE),
    engines: Object.fromEntries(nodes.map(({ name, container }) => [name, file(container)])),
  };
}

/**
 * A restored guest's clock stands where it stood when it was saved; it is set from ours. From then on its kernel's warnings are
 * seen, those of booting and forming being none of a clause's.
 */
async function setClock(folder: string): Promise<void> {
  await inGuest(
    folder,
    `date -u -s @${(Date.now() / 1000).toFixed(3)} && echo ${CONSOLE_LEVEL} > /proc/sys/kernel/printk`,
  );
}

/** Emulated code is translated when it first runs: an engine's first answers take a second, which is over then. */
async function askOnce({ engine: { host } }: RunningVm, { nodes, tls }: SwarmFacts): Promise<void> {
  const manager = nodes.find(({ role }) => role === 'manager');
  if (manager) await viewSwarm(engineClient({ host, port: manager.enginePort, tls }));
}

/**
 * Has a guest give back what it does not need, so that its checkpoint is smaller: its disk is at hand again when it is restored.
 * Free pages are reported to QEMU 2 s after they became free (mm/page_reporting.c, PAGE_REPORTING_DELAY).
 */
async function forgetCaches(folder: string): Promise<void> {
  await inGuest(folder, 'sync; echo 3 > /proc/sys/vm/drop_caches; sleep 3');
}

/**
 * Tries in the guest what a Swarm needs of its kernel, with the toolbox's tools: its image, of one layer, is a whole file system in
 * the store of the guest's engine, and a container would take seconds to start. @throws UsageError naming what is missing.
 */
async function preflight(vm: RunningVm, kernel: string): Promise<void> {
  const { GraphDriver } = await engineClient(vm.engine).getImage(imageName('toolbox')).inspect();
  // The types know the device mapper's fields only.
  const { UpperDir: tools } = (GraphDriver.Data ?? {}) as { UpperDir?: string };
  if (!tools)
    throw new Inconclusive('lab', "the guest's engine does not say where it keeps the toolbox's files");
  const inside = `mount -t proc proc ${tools}/proc && exec chroot ${tools} sh`;
  const printed = await inGuest(
    vm.folder,
    `unshare --net --mount sh -c '${inside}' <<'END'\n${PREFLIGHT}\nEND`,
  );
  requireFeatures(kernel, printed);
}

/** Runs a script in the guest itself. @returns what it printed. */
async function inGuest(folder: string, script: string): Promise<string> {
  const shell = await Shell.onConsole(consoleSocket(folder, GUEST_CONSOLE));
  try {
    const { status, text } = await shell.run(script, CLOCK_LIMIT_MS);
    if (status !== 0)
      throw new Inconclusive('lab', `a script in the guest ended with ${status}: \`${script}\`: ${text}`);
    return text;
  } finally {
    shell.close();
  }
}

/**
 * Moves the shells of the guest's consoles into the toolboxes, one each: a checkpoint made afterwards holds them, and a
 * restored lab needs no new connections.
 */
async function placeShells(vm: RunningVm, swarm: SwarmFacts): Promise<SwarmFacts> {
  const docker = engineClient(vm.engine);
  const place = async (toolbox: ToolboxFacts, console: number, inside: string): Promise<ToolboxFacts> => {
    if (console >= LOG_CONSOLE) return toolbox;
    const { State } = await docker.getContainer(toolbox.container).inspect();
    const shell = await Shell.onConsole(consoleSocket(vm.folder, console));
    await shell.replace(
      `nsenter --target ${State.Pid} --mount --uts --ipc --net --pid -- ${inside}`,
      CLOCK_LIMIT_MS,
    );
    shell.close();
    return { ...toolbox, console };
  };
  const nodes = await Promise.all(
    swarm.nodes.map(async (node, i) => ({
      ...node,
      toolbox: await place(node.toolbox, GUEST_CONSOLE + 2 + i, 'nsenter --net=/proc/1/ns/net'),
    })),
  );
  return {
    ...swarm,
    nodes,
    outsider: { ...swarm.outsider, ...(await place(swarm.outsider, GUEST_CONSOLE + 1, '')) },
  };
}

async function withConsole<T>(vm: RunningVm, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw new Inconclusive('lab', `${messageOf(error)}\n${await vm.machine.lastWords(15)}`, { cause: error });
  }
}

async function olderThan(folder: string, days: number): Promise<boolean> {
  const { birthtimeMs } = await fs.stat(path.join(folder, 'payload.json'));
  return Date.now() - birthtimeMs > days * 24 * 3600 * 1000;
}
