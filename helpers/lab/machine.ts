import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { execa } from 'execa';
import { Inconclusive, messageOf } from '../errors.ts';
import { promptly, until } from '../waiting.ts';
import type { HostTools } from './hosttools.ts';
import type { Kernel } from './kernel.ts';
import { type MappedMemory, RAM_BLOCK } from './memory.ts';
import { Qmp } from './qmp.ts';

export type Accelerator = 'kvm' | 'tcg';

/** The fixed shape of every guest. All of it is part of a checkpoint's key: a checkpoint loads only on the same machine. */
export interface MachineShape {
  accelerator: Accelerator;
  memoryBytes: number;
  cpus: number;
}

/** A disk of the guest, in the order /dev/vda, /dev/vdb, ... */
export interface Disk {
  file: string;
  format: 'raw' | 'qcow2';
  readonly: boolean;
}

/** Guest ports that are forwarded from the lab's loopback address, one to one. */
export const PORTS = {
  /** Docker's API over TLS, as registered with IANA. */
  engine: 2376,
  /**
   * What the guest's engine may choose from for mapped ports: its ephemeral range, which dockerd reads when it starts
   * (moby daemon/libnetwork/portallocator). It walks through all of it before it uses a freed port again.
   */
  mapped: { first: 42768, last: 42831 },
} as const;

/**
 * Consoles of the guest that hold a shell each (hvc0 and on; Linux has 16 at most). A shell that already runs when a guest is
 * saved is there again when it is restored, where a new connection over TLS costs half a second under emulation.
 */
export const CONSOLES = 12;

/** The socket on this host of one of the guest's consoles. */
export function consoleSocket(folder: string, console: number): string {
  return path.join(folder, `hvc${console}`);
}

/** Addresses that labs on one host may take: all loopback, so that nothing outside can reach a guest. */
export const LAB_ADDRESSES = Array.from({ length: 32 }, (_, i) => `127.83.0.${i + 1}`);

/**
 * The CPU model under emulation. Plain qemu64: its few extensions make short processes a quarter faster than `max`.
 * Debian needs no more.
 */
const CPU = { tcg: 'qemu64', kvm: 'host' } as const;

/** Size of the translation cache in MiB; the default of QEMU 10 is too small for a guest full of Go programs. */
const TRANSLATION_CACHE = 512;

/** The guest's memory, always under one name: what was saved from one kind loads into the other. */
function memoryBackend(shape: MachineShape, mapped: MappedMemory | undefined): string {
  return mapped
    ? // A private mapping of a file opened for reading: nothing a guest does reaches the file.
      `memory-backend-file,id=${RAM_BLOCK},mem-path=${mapped.file},offset=${mapped.offset},size=${mapped.bytes},share=off,readonly=on,rom=off`
    : `memory-backend-ram,id=${RAM_BLOCK},size=${shape.memoryBytes}`;
}

/**
 * Port on a lab's address that says whose the address is: held by the process that owns the lab, beside the engine's.
 */
const CLAIM_PORT = PORTS.engine - 1;

/**
 * What QEMU says of pages that a guest gives back of memory mapped from a checkpoint, which stays as it is (system/physmem.c,
 * ram_block_discard_range): never why it ended.
 */
const OF_NO_ACCOUNT = /^.*ram_block_discard_range: Discarding RAM with readonly files.*$/gm;

/** Ours: a QEMU that cannot start has ended within milliseconds. */
const LAST_WORDS_MS = 1000;

/**
 * Takes a loopback address for one lab, until the server it returns is closed or this process ends. Two runs that begin at the
 * same moment cannot take the same one: the kernel gives the port to one of them.
 *
 * @throws Inconclusive when all are taken.
 */
async function claimAddress(): Promise<{ address: string; claim: net.Server }> {
  for (const address of LAB_ADDRESSES) {
    const claim = await listening(address, CLAIM_PORT);
    if (!claim) continue;
    claim.unref();
    // Somebody else's program may listen there all the same.
    const engine = await listening(address, PORTS.engine);
    if (engine) {
      await new Promise((resolve) => engine.close(resolve));
      return { address, claim };
    }
    claim.close();
  }
  throw new Inconclusive(
    'lab',
    `all ${LAB_ADDRESSES.length} lab addresses (${LAB_ADDRESSES[0]} and on) are in use: end another run.`,
  );
}

/** A server that listens there, or undefined when somebody else does. */
async function listening(host: string, port: number): Promise<net.Server | undefined> {
  const server = net.createServer((socket) => socket.destroy());
  server.listen({ host, port, exclusive: true });
  return once(server, 'listening').then(
    () => server,
    () => undefined,
  );
}

/** One running guest: a QEMU process that dies with this process, however this one ends. */
export class Machine implements AsyncDisposable {
  readonly address: string;
  readonly console: string;
  readonly #process: ChildProcess;
  readonly #qmp: Qmp;
  readonly #exit: Promise<string>;
  #ended: string | undefined;

  private constructor(address: string, consoleFile: string, child: ChildProcess) {
    this.address = address;
    this.console = consoleFile;
    this.#process = child;
    if (!child.stdin || !child.stdout) throw new Error('QEMU was started without pipes');
    this.#qmp = new Qmp(child.stdin, child.stdout);
    let told = '';
    child.stderr?.on('data', (chunk) => {
      told = `${told}${chunk}`.slice(-2000);
    });
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => {
        const words = told.replace(OF_NO_ACCOUNT, '').trim();
        resolve(`QEMU ended with ${signal ?? code}${words && `: ${words}`}`);
      });
    });
    void this.#exit.then((how) => {
      this.#ended = how;
    });
  }

  /**
   * Starts QEMU on a loopback address of its own, stopped before the guest's first instruction when `incoming` is set.
   *
   * @param folder where the console's log is written.
   */
  static async start(options: {
    tools: HostTools;
    kernel: Kernel;
    shape: MachineShape;
    disks: readonly Disk[];
    folder: string;
    incoming?: boolean;
    /** Memory to begin with, copied page by page as it is written to; empty memory when left out. */
    memory?: MappedMemory | undefined;
    commandLine?: string;
  }): Promise<Machine> {
    const { tools, kernel, shape, disks, folder } = options;
    const { address, claim } = await claimAddress();
    const consoleFile = path.join(folder, 'console.log');
    const forwards = [PORTS.engine, ...mappedPorts()]
      .map((port) => `hostfwd=tcp:${address}:${port}-:${port}`)
      .join(',');
    const parameters = [
      ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-name', 'swarmproof'],
      ...[
        '-machine',
        `q35,memory-backend=${RAM_BLOCK}`,
        '-object',
        memoryBackend(shape, options.memory),
        '-cpu',
        CPU[shape.accelerator],
        '-smp',
        String(shape.cpus),
        '-m',
        `${shape.memoryBytes / 1024 ** 2}M`,
      ],
      ...['-accel', shape.accelerator === 'kvm' ? 'kvm' : `tcg,thread=multi,tb-size=${TRANSLATION_CACHE}`],
      ...['-kernel', kernel.image, '-initrd', kernel.initramfs],
      ...['-append', options.commandLine ?? kernelCommandLine()],
      ...disks.flatMap((disk, i) => [
        '-drive',
        // cache=unsafe: the disk is thrown away with the guest, so no write needs to reach the host's disk.
        `if=none,id=disk${i},file=${disk.file},format=${disk.format},readonly=${disk.readonly ? 'on' : 'off'},cache=unsafe,discard=unmap`,
        '-device',
        `virtio-blk-pci,drive=disk${i}`,
      ]),
      // restrict=on: the guest reaches neither the host nor anything beyond; forwards into it keep working.
      ...[
        '-netdev',
        `user,id=net0,restrict=on,ipv6=off,net=198.18.83.0/24,host=198.18.83.2,dhcpstart=198.18.83.15,${forwards}`,
      ],
      ...['-device', 'virtio-net-pci,netdev=net0,romfile='],
      ...['-device', 'virtio-rng-pci'],
      // Free pages are reported to QEMU, which forgets them: they are then neither memory here nor bytes in a checkpoint.
      ...['-device', 'virtio-balloon-pci,free-page-reporting=on'],
      ...['-device', 'virtio-serial-pci'],
      ...Array.from({ length: CONSOLES }, (_, i) => [
        '-chardev',
        `socket,id=hvc${i},path=${consoleSocket(folder, i)},server=on,wait=off`,
        '-device',
        `virtconsole,chardev=hvc${i}`,
      ]).flat(),
      ...['-chardev', 'stdio,id=qmp,signal=off', '-mon', 'chardev=qmp,mode=control'],
      ...['-chardev', `file,id=console,path=${consoleFile},append=on`, '-serial', 'chardev:console'],
      ...(options.incoming ? ['-S', '-incoming', 'defer'] : []),
    ];
    // setpriv: the kernel kills QEMU when this process ends, even by SIGKILL (prctl PR_SET_PDEATHSIG).
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...tools.qemu, ...parameters], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...tools.env },
    });
    const machine = new Machine(address, consoleFile, child);
    void machine.exit.then(() => claim.close());
    try {
      await machine.#qmp.open();
    } catch (error) {
      // Its pipes close a moment before it is known how it ended, which says more.
      const how = await promptly(machine.#exit, LAST_WORDS_MS).catch(() => messageOf(error));
      child.kill('SIGKILL');
      throw new Inconclusive('lab', `QEMU did not start: ${how}`);
    }
    return machine;
  }

  /** Process id of QEMU, for `lab status`. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Why the guest is gone, or undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Resolves when QEMU is gone, with how. */
  get exit(): Promise<string> {
    return this.#exit;
  }

  /** Waits until the console shows a line. @throws Inconclusive with the console's tail. */
  async consoleShows(pattern: RegExp, withinMs: number): Promise<string> {
    try {
      return await until(
        `the guest's console to show ${pattern}`,
        async () => pattern.exec(await fs.readFile(this.console, 'utf8'))?.[0],
        { withinMs, everyMs: 100, alive: () => this.#ended },
      );
    } catch (error) {
      throw new Inconclusive('lab', `${messageOf(error)}\n${await this.lastWords()}`);
    }
  }

  /** The last lines of the console, evidence for why a guest died; or that there are none, as where it died soon after a restore. */
  async lastWords(lines = 40): Promise<string> {
    const text = (await fs.readFile(this.console, 'utf8').catch(() => '')).trimEnd();
    return text === ''
      ? 'nothing was said on its console'
      : `console:\n${text.split('\n').slice(-lines).join('\n')}`;
  }

  /**
   * Writes the guest's memory and devices to a file (mapped-ram: pages at fixed offsets, untouched ones as holes) and
   * ends QEMU; the disks then hold what the memory expects.
   */
  async saveTo(file: string): Promise<void> {
    await this.#qmp.command('stop');
    await this.#mappedRam();
    await this.#qmp.command('migrate', { uri: `file:${file}` });
    await this.#migrated('save the guest');
    await this.stop();
  }

  /** Loads what `saveTo` wrote, and lets the guest run. */
  async loadFrom(file: string): Promise<void> {
    await this.#mappedRam();
    await this.#qmp.command('migrate-incoming', { uri: `file:${file}` });
    await this.#migrated('restore the guest');
    await this.#qmp.command('cont');
  }

  async #mappedRam(): Promise<void> {
    await this.#qmp.command('migrate-set-capabilities', {
      capabilities: [{ capability: 'mapped-ram', state: true }],
    });
    // Unlimited: the default of 128 MiB/s is meant for networks.
    await this.#qmp.command('migrate-set-parameters', { 'max-bandwidth': 0 });
  }

  async #migrated(what: string): Promise<void> {
    await until(
      what,
      async () => {
        const { status, 'error-desc': why } = await this.#qmp.command<{
          status: string;
          'error-desc'?: string;
        }>('query-migrate');
        if (status === 'failed') throw new Inconclusive('lab', `${what}: ${why ?? 'QEMU says failed'}`);
        return status === 'completed' ? status : undefined;
      },
      { withinMs: 120_000, everyMs: 20, alive: () => this.#ended },
    );
  }

  /** Ends QEMU at once and waits for it. */
  async stop(): Promise<void> {
    if (this.#ended === undefined) this.#process.kill('SIGKILL');
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The guest ports of `PORTS.mapped`, one by one. */
function mappedPorts(): number[] {
  const { first, last } = PORTS.mapped;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** What the kernel is told at boot, the same for every guest. */
export function kernelCommandLine(): string {
  return [
    'console=ttyS0 loglevel=4 panic=1 quiet',
    // Mitigations protect nothing inside a disposable guest and cost much under emulation.
    'mitigations=off',
    `sysctl.net.ipv4.ip_local_port_range="${PORTS.mapped.first} ${PORTS.mapped.last}"`,
    'random.trust_cpu=on systemd.unified_cgroup_hierarchy=1',
  ].join(' ');
}

/** A copy-on-write layer over a read-only disk. */
export async function overlayDisk(tools: HostTools, backing: Disk, file: string): Promise<Disk> {
  const [qemuImg, ...args] = tools.command('qemu-img');
  await execa(qemuImg, [
    ...args,
    'create',
    '-q',
    '-f',
    'qcow2',
    '-b',
    backing.file,
    '-F',
    backing.format,
    file,
  ]);
  return { file, format: 'qcow2', readonly: false };
}
