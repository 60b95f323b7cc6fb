import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import Docker from 'dockerode';
import { exchange } from '../transcript/transcript.ts';
import { stopwatch } from '../verdict/stopwatch.ts';
import type { ClientCertificates } from './certificates.ts';

/** Where a Docker Engine API is reached, with the certificates it asks for; serialisable. */
export interface EngineAddress {
  /** Set for an engine on this machine that is reached by its Unix socket; `host` then says where mapped ports are. */
  socketPath?: string;
  host: string;
  port: number;
  /** null only for an engine the user named without TLS. */
  tls: ClientCertificates | null;
}

/**
 * A client of one engine. Calls share kept-alive connections: a TLS handshake is dear under emulation.
 *
 * @param as the name under which transcripts have its requests; without one they are in none.
 */
export function engineClient(address: EngineAddress, as?: string): Docker {
  const docker = connected(address);
  if (as !== undefined) transcribe(docker.modem as unknown as Modem, as);
  return docker;
}

/** The part of the client's engine room that sends requests; its types do not tell. */
interface Modem {
  buildRequest: (
    options: { method: string; path: string },
    context: object,
    body: string | object | undefined,
    callback: (error: unknown, answer?: unknown) => void,
  ) => void;
}

/** Has every request pass the transcript, here, where it is complete and its answer is not taken apart yet. */
function transcribe(modem: Modem, as: string): void {
  const send = modem.buildRequest.bind(modem);
  modem.buildRequest = (options, context, body, callback) => {
    const ask = `${options.method} ${options.path}${typeof body === 'string' ? `\n${body}` : ''}`;
    const sent = () =>
      new Promise<unknown>((resolve, reject) => {
        send(options, context, body, (error, answer) => (error ? reject(error) : resolve(answer)));
      });
    // A wait for the engine, unless it is part of another that began before.
    exchange(`api ${as}`, ask, () => stopwatch.spend('swarm', sent)).then(
      (answer) => callback(null, answer),
      (error: unknown) => callback(error, null),
    );
  };
}

function connected({ socketPath, host, port, tls }: EngineAddress): Docker {
  if (socketPath) return new Docker({ socketPath });
  if (!tls) return new Docker({ protocol: 'http', host, port });
  const options = { protocol: 'https', host, port, ca: tls.ca, cert: tls.cert, key: tls.key, agent } as const;
  return new Docker(options);
}

/**
 * Opens connections to one port one after another. The forwards into a guest accept them from a queue of one (libslirp,
 * src/socket.c, tcpx_listen): of several that come at once some are lost, and tried again only when a whole second has passed.
 */
class OneAfterAnother extends https.Agent {
  readonly #last = new Map<string, Promise<void>>();

  override createConnection(
    options: https.RequestOptions,
    opened: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const to = `${options.host}:${options.port}`;
    const open = () =>
      new Promise<void>((resolve) => {
        const socket = super.createConnection(options) as TLSSocket;
        // Once it is secure it was accepted for sure; a port to which one fails is free for the next.
        socket.once('secureConnect', resolve).once('close', () => resolve());
        opened(null, socket);
      }).catch((error) => opened(error, undefined));
    this.#last.set(to, (this.#last.get(to) ?? Promise.resolve()).then(open));
  }
}

/** Idle connections are closed as Node's own agent does it (docs: http.globalAgent). */
const agent = new OneAfterAnother({ keepAlive: true, scheduling: 'lifo', timeout: 5000 });

/** Facts of an engine and the kernel under it that a verdict names. */
export interface EngineFacts {
  engine: string;
  kernel: string;
}

/** Asks an engine for its version; answers as soon as the engine does. */
export async function engineFacts(docker: Docker): Promise<EngineFacts> {
  const version = await docker.version();
  return { engine: version.Version, kernel: version.KernelVersion };
}
