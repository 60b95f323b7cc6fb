import Docker from 'dockerode';
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

/** A client of one engine. Calls share kept-alive connections: a TLS handshake is dear under emulation. */
export function engineClient({ socketPath, host, port, tls }: EngineAddress): Docker {
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
