import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { type Certificates, makeCertificates } from '../engine/certificates.ts';
import { type EngineAddress, engineClient } from '../engine/client.ts';
import { messageOf } from '../errors.ts';
import { keyOf } from '../key.ts';
import { until } from '../waiting.ts';
import { chooseAccelerator } from './accelerator.ts';
import { type Artifact, Cache, type Progress } from './cache.ts';
import { guestDisk } from './guestdisk.ts';
import { type HostTools, hostTools } from './hosttools.ts';
import { images } from './images.ts';
import { type Kernel, prepareKernel } from './kernel.ts';
import {
  CONSOLES,
  type Disk,
  kernelCommandLine,
  LAB_ADDRESSES,
  Machine,
  type MachineShape,
  overlayDisk,
  PORTS,
} from './machine.ts';
import { intoPageCache, type MappedMemory, separateDevices } from './memory.ts';
import { archiveOf, type Settings } from './settings.ts';
import type { Image, LabImage, NodeImage } from './trees.ts';

/** Time limits of our own side: how long a healthy lab may take, many times what was measured (15 s and 0.2 s). */
const LIMITS = { engineAnswersMs: 180_000 } as const;

/**
 * In a checkpoint's folder, the key of another: the one restored after it the last time (`next`), or the one with which the last run on
 * this Swarm began (`first`).
 */
export type Noted = 'next' | 'first';

/** A guest that runs, with the disk layer it writes to. */
export interface RunningVm extends AsyncDisposable {
  machine: Machine;
  folder: string;
  engine: EngineAddress;
  /** The guest's third disk: its engine's certificates, read once at boot. */
  tlsDisk: string;
  /** Keys of the checkpoints under its disk, nearest first. */
  ancestors: readonly string[];
}

/** A guest saved to disk, with what was known about it when it was saved. */
export interface Checkpoint<T> {
  artifact: Artifact;
  payload: T;
}

/** A checkpoint from which no guest comes to life: it is of no more use. */
export class BadCheckpoint extends Error {
  override name = 'BadCheckpoint';
}

/** What every guest of one kernel, engine and shape has in common. */
export class VmLab {
  readonly cache: Cache;
  readonly tools: HostTools;
  readonly kernel: Kernel;
  readonly shape: MachineShape;
  readonly images: {
    vmRoot: Image;
    /** One for each engine of the setting ENGINE, in its order. */
    nodes: readonly NodeImage[];
    toolbox: LabImage;
    workload: LabImage;
  };
  readonly #disk: { artifact: Artifact; file: string };

  private constructor(
    fields: Pick<VmLab, 'cache' | 'tools' | 'kernel' | 'shape' | 'images'>,
    disk: { artifact: Artifact; file: string },
  ) {
    this.cache = fields.cache;
    this.tools = fields.tools;
    this.kernel = fields.kernel;
    this.shape = fields.shape;
    this.images = fields.images;
    this.#disk = disk;
  }

  /** Fetches and builds whatever is not in the cache yet. */
  static async prepare(settings: Settings, progress: Progress): Promise<VmLab> {
    const cache = await new Cache(settings.LAB_CACHE).open();
    const archive = archiveOf(settings);
    const tools = await hostTools(cache, { archive, qemu: settings.LAB_QEMU }, progress);
    const kernel = await prepareKernel(cache, tools, settings.KERNEL, archive, progress);
    const making = images(cache, settings.ENGINE, archive, progress);
    const [vmRoot, nodes, toolbox, workload] = await Promise.all([
      making.vmRoot,
      making.nodes,
      making.toolbox,
      making.workload,
    ]);
    const distinct = [...new Map(nodes.map((node) => [node.variant, node])).values()];
    const disk = await guestDisk(cache, tools, vmRoot, [...distinct, toolbox, workload], progress);
    const accelerator = await chooseAccelerator(cache, tools, kernel, settings.LAB_ACCEL, progress);
    const shape = {
      accelerator,
      memoryBytes: settings.LAB_MEMORY,
      cpus: Math.min(2, os.availableParallelism()),
    };
    return new VmLab({ cache, tools, kernel, shape, images: { vmRoot, nodes, toolbox, workload } }, disk);
  }

  /** Everything that shapes a guest, for the keys of its checkpoints. */
  get key(): string {
    return keyOf({
      qemu: this.tools.qemuVersion,
      qemuCommand: this.tools.qemu[0] === undefined ? '' : path.basename(this.tools.qemu[0]),
      shape: this.shape,
      commandLine: kernelCommandLine(),
      kernel: this.kernel.artifact.key,
      disk: this.#disk.artifact.key,
      ports: PORTS,
      consoles: CONSOLES,
    });
  }

  /** Boots a guest from nothing and waits for its engine. */
  async boot(folder: string): Promise<RunningVm & { certificates: Certificates }> {
    const certificates = await makeCertificates(LAB_ADDRESSES);
    const tls = path.join(folder, 'tls');
    await fs.mkdir(tls, { recursive: true, mode: 0o700 });
    await fs.writeFile(path.join(tls, 'ca.pem'), certificates.ca);
    await fs.writeFile(path.join(tls, 'server.pem'), certificates.serverCert);
    await fs.writeFile(path.join(tls, 'server-key.pem'), certificates.serverKey, { mode: 0o600 });
    const tlsDisk = path.join(folder, 'tls.tar');
    await execa('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', tls, '-cf', tlsDisk, '.']);
    await fs.chmod(tlsDisk, 0o600);
    await fs.rm(tls, { recursive: true });
    const backing: Disk = { file: this.#disk.file, format: 'raw', readonly: true };
    const vm = await this.#start({ folder, backing, tlsDisk, tls: certificates });
    try {
      const docker = engineClient(vm.engine);
      await until("the guest's engine to answer", async () => docker.ping(), {
        withinMs: LIMITS.engineAnswersMs,
        everyMs: 300,
        alive: () => vm.machine.ended,
      });
    } catch (error) {
      const words = await vm.machine.lastWords();
      await vm[Symbol.asyncDispose]();
      throw new Error(`${messageOf(error)}\n${words}`, { cause: error });
    }
    return { ...vm, certificates };
  }

  /** The checkpoint of this recipe, if it was made before. */
  async findCheckpoint<T>(recipe: unknown): Promise<Checkpoint<T> | undefined> {
    return this.#checkpoint(keyOf(recipe));
  }

  async #checkpoint<T>(key: string): Promise<Checkpoint<T> | undefined> {
    const artifact = await this.cache.find('checkpoint', key);
    if (!artifact) return undefined;
    const text = await fs.readFile(path.join(artifact.folder, 'payload.json'), 'utf8');
    return { artifact, payload: JSON.parse(text) };
  }

  /**
   * Saves a guest and ends it. Another run may have saved the same recipe meanwhile: then that one stays.
   *
   * @param payload what the one who restores needs to know, for example the Swarm's nodes.
   */
  async save<T>(vm: RunningVm, recipe: unknown, payload: T): Promise<Checkpoint<T>> {
    await this.cache.once('checkpoint', recipe, async (folder) => {
      await vm.machine.saveTo(path.join(folder, 'ram'));
      const memory = await separateDevices(path.join(folder, 'ram'), path.join(folder, 'devices'));
      if (memory)
        await fs.writeFile(
          path.join(folder, 'memory.json'),
          JSON.stringify({ offset: memory.offset, bytes: memory.bytes }),
        );
      await fs.rename(path.join(vm.folder, 'root.qcow2'), path.join(folder, 'root.qcow2'));
      await fs.copyFile(vm.tlsDisk, path.join(folder, 'tls.tar'));
      await fs.writeFile(path.join(folder, 'tls.json'), JSON.stringify(vm.engine.tls), { mode: 0o600 });
      await fs.writeFile(path.join(folder, 'ancestors.json'), JSON.stringify(vm.ancestors));
      await fs.writeFile(path.join(folder, 'payload.json'), JSON.stringify(payload));
    });
    await vm[Symbol.asyncDispose]();
    const saved = await this.findCheckpoint<T>(recipe);
    if (!saved) throw new Error('a checkpoint vanished right after it was made');
    return saved;
  }

  /**
   * Starts a guest from a checkpoint, on a disk layer of its own.
   *
   * @param use `run`: its memory is mapped from the checkpoint, so that it runs at once and only what it touches is read.
   *   `save`: all of it is read, which takes seconds; but then free pages are given back, and a checkpoint made of it is small.
   * @throws BadCheckpoint when it does not load; Inconclusive when no guest can be started at all.
   */
  async restore(checkpoint: Checkpoint<unknown>, folder: string, use: 'run' | 'save'): Promise<RunningVm> {
    const from = checkpoint.artifact.folder;
    const memory = use === 'run' ? await memoryOf(checkpoint.artifact) : undefined;
    const tls = JSON.parse(await fs.readFile(path.join(from, 'tls.json'), 'utf8'));
    const ancestors = await ancestorsOf(checkpoint.artifact);
    // Whoever uses a checkpoint uses those under its disk too; marked, they are not the first to be removed.
    for (const key of ancestors) await this.cache.find('checkpoint', key);
    await intoPageCache(path.join(from, 'ram'));
    const tlsDisk = path.join(from, 'tls.tar');
    const backing: Disk = { file: path.join(from, 'root.qcow2'), format: 'qcow2', readonly: true };
    const vm = await this.#start({
      folder,
      backing,
      tlsDisk,
      tls,
      incoming: true,
      memory,
      ancestors: [checkpoint.artifact.key, ...ancestors],
    });
    try {
      await vm.machine.loadFrom(path.join(from, memory ? 'devices' : 'ram'));
    } catch (error) {
      await vm[Symbol.asyncDispose]();
      throw new BadCheckpoint(messageOf(error), { cause: error });
    }
    return vm;
  }

  /** Notes in one checkpoint's folder which other one came, for {@link noted}. */
  async note(what: Noted, at: Checkpoint<unknown>, came: Checkpoint<unknown>): Promise<void> {
    // Without it that one is read when it is needed; a checkpoint may have been removed meanwhile.
    await fs.writeFile(path.join(at.artifact.folder, what), came.artifact.key).catch(() => {});
  }

  /** The checkpoint that was noted, if it is still there. */
  async noted<T>(what: Noted, at: Checkpoint<unknown>): Promise<Checkpoint<T> | undefined> {
    const key = await fs.readFile(path.join(at.artifact.folder, what), 'utf8').catch(() => undefined);
    return key === undefined ? undefined : this.#checkpoint(key);
  }

  /**
   * Reads the checkpoint that was last restored after this one into the page cache, while others work: from a disk, a checkpoint
   * takes up to ten seconds, and to restore one from memory takes one.
   *
   * @param signal ends it early.
   */
  async readAhead(checkpoint: Checkpoint<unknown>, signal: AbortSignal): Promise<void> {
    // Only a gain of time: whoever restores it meets, and tells, whatever is wrong with it.
    const next = await this.noted('next', checkpoint).catch(() => undefined);
    if (next) await intoPageCache(path.join(next.artifact.folder, 'ram'), signal).catch(() => {});
  }

  /** Forgets a checkpoint that is no good. */
  async discard(checkpoint: Checkpoint<unknown>): Promise<void> {
    await this.cache.remove(checkpoint.artifact);
  }

  /**
   * Removes checkpoints, the least recently used first, until they fit. One on whose disk others build goes with them: they
   * could not be loaded without it.
   *
   * @returns how many were removed.
   */
  async trimCheckpoints(limitBytes: number): Promise<number> {
    const checkpoints = (await this.cache.list()).filter(({ kind }) => kind === 'checkpoint');
    let total = checkpoints.reduce((sum, { bytes }) => sum + bytes, 0);
    const gone = new Set<string>();
    const lineage = new Map(
      await Promise.all(checkpoints.map(async (one) => [one.key, await ancestorsOf(one)] as const)),
    );
    for (const oldest of checkpoints) {
      if (total <= limitBytes) break;
      for (const one of checkpoints) {
        const lost = one.key === oldest.key || lineage.get(one.key)?.includes(oldest.key);
        if (!lost || gone.has(one.key)) continue;
        await this.cache.remove(one);
        gone.add(one.key);
        total -= one.bytes;
      }
    }
    return gone.size;
  }

  async #start(options: {
    folder: string;
    backing: Disk;
    tlsDisk: string;
    tls: { ca: string; cert: string; key: string };
    incoming?: boolean;
    memory?: MappedMemory | undefined;
    ancestors?: readonly string[];
  }): Promise<RunningVm> {
    const { folder, backing, tlsDisk, tls, incoming = false, memory, ancestors = [] } = options;
    const file = path.join(folder, 'root.qcow2');
    await fs.rm(file, { force: true });
    const root = await overlayDisk(this.tools, backing, file);
    const machine = await Machine.start({
      tools: this.tools,
      kernel: this.kernel,
      shape: this.shape,
      disks: [
        root,
        { file: this.kernel.modulesDisk, format: 'raw', readonly: true },
        { file: tlsDisk, format: 'raw', readonly: true },
      ],
      folder,
      incoming,
      memory,
    });
    const engine = {
      host: machine.address,
      port: PORTS.engine,
      tls: { ca: tls.ca, cert: tls.cert, key: tls.key },
    };
    return {
      machine,
      folder,
      engine,
      tlsDisk,
      ancestors,
      async [Symbol.asyncDispose]() {
        await machine.stop();
      },
    };
  }
}

/** Keys of the checkpoints a checkpoint's disk builds on; none for a broken one. */
async function ancestorsOf(artifact: Artifact): Promise<string[]> {
  const text = await fs.readFile(path.join(artifact.folder, 'ancestors.json'), 'utf8').catch(() => '[]');
  return JSON.parse(text);
}

/** Where a checkpoint's memory can be mapped from; undefined when it can only be read. */
async function memoryOf({ folder }: Artifact): Promise<MappedMemory | undefined> {
  const text = await fs.readFile(path.join(folder, 'memory.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : { ...JSON.parse(text), file: path.join(folder, 'ram') };
}
