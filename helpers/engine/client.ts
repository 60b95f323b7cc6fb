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
  return tls
    ? new Docker({ protocol: 'https', host, port, ca: tls.ca, cert: tls.cert, key: tls.key })
    : new Docker({ protocol: 'http', host, port });
}

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
