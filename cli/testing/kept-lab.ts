import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { type Certificates, makeCertificates } from '../../helpers/engine/certificates.ts';
import type { PoolStatus } from '../../helpers/pool/protocol.ts';
import { openRunFolder, type RunFolder } from '../../helpers/pool/runs.ts';

const HOST = '127.0.0.1';

/**
 * A kept lab without a guest: a real run folder, a pool that knows `status` and `stop`, a process that stands for its
 * daemon, and one toolbox whose shells run here.
 */
export class KeptLabDouble implements AsyncDisposable {
  readonly #run: RunFolder;
  readonly #pool: http.Server;
  readonly #toolbox: tls.Server;
  /** Stands for the daemon's process. */
  readonly daemon: ChildProcess;

  private constructor(run: RunFolder, pool: http.Server, toolbox: tls.Server, daemon: ChildProcess) {
    this.#run = run;
    this.#pool = pool;
    this.#toolbox = toolbox;
    this.daemon = daemon;
  }

  /** Starts it in this cache. @param settings what `lab up` was started with. */
  static async start(cache: string, settings: unknown): Promise<KeptLabDouble> {
    const run = await openRunFolder(cache);
    const certificates = await makeCertificates([HOST]);
    const toolbox = await toolboxShells(certificates);
    const { port } = toolbox.address() as AddressInfo;
    const daemon = spawn('sleep', ['60']);
    const status: PoolStatus = { provider: 'vm', dead: null, labs: [labOf(port, certificates)] };
    const pool = http.createServer((request, response) => {
      if (request.url === '/stop') daemon.kill();
      response.end(`${JSON.stringify({ result: request.url === '/status' ? status : null })}\n`);
    });
    pool.listen(run.socket);
    await once(pool, 'listening');
    const kept = { socket: run.socket, pid: daemon.pid, settings };
    await fs.writeFile(path.join(run.folder, 'kept.json'), JSON.stringify(kept));
    return new KeptLabDouble(run, pool, toolbox, daemon);
  }

  /** Where `lab up` and `lab status` write the client's certificates. */
  get clientFolder(): string {
    return path.join(this.#run.folder, 'client');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.daemon.kill('SIGKILL');
    this.#pool.close();
    this.#toolbox.close();
    await this.#run[Symbol.asyncDispose]();
  }
}

function labOf(shellPort: number, { ca, cert, key }: Certificates): PoolStatus['labs'][number] {
  const toolbox = { container: 't', shellPort };
  const node = { name: 'm1', role: 'manager' as const, address: '192.168.83.11', container: 'c' };
  return {
    slot: 0,
    pid: 4711,
    host: HOST,
    consoles: null,
    logs: null,
    engine: { host: '127.0.0.1', port: 0, tls: null },
    swarm: {
      nodes: [{ ...node, enginePort: 42769, engine: '26.1.5', toolbox }],
      outsider: { ...toolbox, address: '192.168.83.200' },
      tls: { ca, cert, key },
    },
  };
}

/** Shells as a toolbox offers them: one for each connection that shows the lab's certificate. */
async function toolboxShells({ ca, serverCert, serverKey }: Certificates): Promise<tls.Server> {
  const server = tls.createServer({ ca, cert: serverCert, key: serverKey, requestCert: true }, (socket) => {
    const shell = spawn('sh');
    socket.pipe(shell.stdin);
    shell.stdout.pipe(socket);
    socket.on('error', () => {}).on('close', () => shell.kill());
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return server;
}
