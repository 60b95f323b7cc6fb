import path from 'node:path';
import { ExecaError, execa } from 'execa';
import { writeClientFolder } from '../engine/certificates.ts';
import { Inconclusive } from '../errors.ts';
import type { SwarmFacts } from './facts.ts';
import type { FormRequest } from './form.ts';

/**
 * Forms a Swarm in a process of its own, see form-main.ts.
 *
 * @param folder a private folder for the client's certificates; also the child's home, so that no setting of the user's
 *   (`~/.testcontainers.properties`, Docker contexts) can lead it to another engine.
 * @throws Inconclusive with what the child said last.
 */
export async function formSwarmInChild(
  request: FormRequest,
  folder: string,
  progress: (line: string) => void,
): Promise<SwarmFacts> {
  const { engine } = request;
  const certificates = path.join(folder, 'client');
  if (engine.tls) await writeClientFolder(certificates, engine.tls);
  const child = execa(process.execPath, [path.join(import.meta.dirname, 'form-main.ts')], {
    input: JSON.stringify(request),
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      DOCKER_HOST: engine.socketPath ? `unix://${engine.socketPath}` : `tcp://${engine.host}:${engine.port}`,
      // Exactly "1", or Testcontainers speaks plain HTTP.
      ...(engine.tls ? { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: certificates } : {}),
    },
    extendEnv: false,
    cleanup: true,
  });
  child.stderr.on('data', (chunk) => {
    for (const line of String(chunk).split('\n')) if (/^[a-z]/.test(line)) progress(line);
  });
  try {
    const { stdout } = await child;
    return JSON.parse(stdout);
  } catch (error) {
    const said = error instanceof ExecaError ? String(error.stderr) : String(error);
    throw new Inconclusive('lab', `the Swarm could not be formed: ${said.trim().slice(-4000)}`, {
      cause: error,
    });
  }
}
