import fs from 'node:fs/promises';
import path from 'node:path';
import type Docker from 'dockerode';
import { type Certificates, makeCertificates } from '../engine/certificates.ts';
import { type EngineAddress, engineClient, engineFacts } from '../engine/client.ts';
import { HASH_LABEL, imageName, importImage } from '../engine/images.ts';
import { Inconclusive, messageOf, UsageError } from '../errors.ts';
import { Cache } from '../lab/cache.ts';
import { images } from '../lab/images.ts';
import { archiveOf, type Settings } from '../lab/settings.ts';
import type { LabImage, NodeImage } from '../lab/trees.ts';
import { LAB_LABEL, membersOf, type SwarmFacts, type Topology } from '../swarm/facts.ts';
import { formSwarmInChild } from '../swarm/form-in-child.ts';
import { imageFacts } from './image-facts.ts';
import { PREFLIGHT, requireFeatures } from './preflight.ts';
import type { Lease, LeaseRequest, PoolStatus, Prepared, Provider } from './protocol.ts';

/**
 * A lab in an engine the user names with DOCKER_HOST. There are no checkpoints: whenever a pristine Swarm is due, the nodes
 * are removed, seen to be gone, and new ones form it. Nothing less undoes all that a clause may have done to them.
 */
export class DockerProvider implements Provider {
  readonly #settings: Settings;
  readonly #folder: string;
  readonly #engine: EngineAddress;
  readonly #docker: Docker;
  #prepared: { images: { nodes: readonly NodeImage[]; workload: LabImage }; answer: Prepared } | undefined;
  /** The Swarm that stands. */
  #swarm: SwarmFacts | undefined;
  /** Whether it was lent before. */
  #used = false;

  /**
   * @param folder this run's own folder.
   * @throws UsageError when the environment does not say which engine.
   */
  constructor(settings: Settings, folder: string, engine: EngineAddress) {
    this.#settings = settings;
    this.#folder = folder;
    this.#engine = engine;
    this.#docker = engineClient(engine);
  }

  async prepare(slots: number, progress: (line: string) => void): Promise<Prepared> {
    if (slots > 1) throw new UsageError('LAB=docker is one lab: run it with --workers=1.');
    if (this.#prepared) return this.#prepared.answer;
    const started = performance.now();
    const facts = await engineFacts(this.#docker).catch((error) => {
      throw new UsageError(
        `the engine DOCKER_HOST names does not answer (${messageOf(error)}): check DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.`,
      );
    });
    progress(`engine ${facts.engine} on kernel ${facts.kernel}`);
    const cache = await new Cache(this.#settings.LAB_CACHE).open();
    const made = images(cache, this.#settings.ENGINE, archiveOf(this.#settings), progress);
    const [nodes, toolbox, workload] = await Promise.all([made.nodes, made.toolbox, made.workload]);
    await sweepLab(this.#docker);
    for (const image of [toolbox, ...nodes]) await this.#bring(image, progress);
    await this.#preflight(facts.kernel);
    const lab = performance.now() - started;
    const swarm = await this.#form({ nodes, workload }, progress);
    const answer: Prepared = {
      cell: {
        name: 'default',
        kernel: facts.kernel,
        engines: Object.fromEntries(swarm.nodes.map(({ name, engine }) => [name, engine])),
        nodes: membersOf(swarm).map(({ name, role, address }) => ({ name, role, address })),
        qemu: null,
        accelerator: null,
        images: imageFacts([...nodes, toolbox, workload]),
      },
      spent: { lab, swarm: performance.now() - started - lab },
      slots: 1,
    };
    this.#prepared = { images: { nodes, workload }, answer };
    return answer;
  }

  async lease({ topology }: LeaseRequest, progress: (line: string) => void): Promise<Lease> {
    const { images } = this.#ready();
    if (this.#used || !this.#swarm || Object.keys(topology).length > 0) {
      progress('replacing the nodes of the spec before');
      this.#swarm = undefined;
      await sweepLab(this.#docker);
      await this.#form(images, progress, topology);
    }
    this.#used = true;
    return { ...this.#lent(), level: 'swarm', rules: null };
  }

  async keep(): Promise<Lease> {
    return { ...this.#lent(), level: 'stack', rules: null };
  }

  /** Nothing is kept here that could be made anew. */
  async spoilt(): Promise<void> {}

  /** The Swarm is not lent again: another cell's nodes may take its place. */
  async release(): Promise<void> {
    this.#swarm = undefined;
  }

  async status(): Promise<PoolStatus> {
    const dead = await this.#docker.ping().then(
      () => null,
      (error) => `the engine DOCKER_HOST names no longer answers: ${messageOf(error)}`,
    );
    return {
      provider: 'docker',
      dead,
      labs: this.#swarm ? [{ slot: 0, pid: null, ...this.#lent() }] : [],
    };
  }

  async close(): Promise<void> {
    await sweepLab(this.#docker);
  }

  /** Imports an image unless the engine has this very one. */
  async #bring(image: LabImage, progress: (line: string) => void): Promise<void> {
    const { name, variant } = image;
    const known = await this.#docker
      .getImage(imageName(name, variant))
      .inspect()
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode === 404) return undefined;
        throw error;
      });
    if (known?.Config.Labels?.[HASH_LABEL] === image.hash) return;
    progress(`importing image ${imageName(name, variant)}`);
    await importImage(this.#docker, image.file, name, { variant, labels: { [HASH_LABEL]: image.hash } });
  }

  /** @throws UsageError naming everything the kernel under the engine lacks. */
  async #preflight(kernel: string): Promise<void> {
    const container = await this.#docker.createContainer({
      Image: imageName('toolbox'),
      Cmd: ['sh', '-c', PREFLIGHT],
      Tty: true,
      Labels: { [LAB_LABEL]: 'lab' },
      HostConfig: { Privileged: true, NetworkMode: 'none' },
    });
    try {
      await container.start();
      await container.wait();
      requireFeatures(kernel, (await container.logs({ stdout: true, stderr: true })).toString());
    } finally {
      await container.remove({ force: true });
    }
  }

  async #form(
    { nodes, workload }: { nodes: readonly NodeImage[]; workload: LabImage },
    progress: (line: string) => void,
    wanted: Partial<Topology> = {},
  ): Promise<SwarmFacts> {
    const certificates: Certificates = await makeCertificates([this.#engine.host]);
    const topology = { ...this.#settings.NODES, spares: 0, ...wanted };
    const request = { engine: this.#engine, certificates, topology, nodes, workloadTar: workload.file };
    this.#swarm = await formSwarmInChild(request, this.#folder, progress);
    this.#used = false;
    return this.#swarm;
  }

  #lent() {
    if (!this.#swarm) throw new Inconclusive('lab', 'no Swarm stands in the engine DOCKER_HOST names');
    return { host: this.#engine.host, consoles: null, logs: null, engine: this.#engine, swarm: this.#swarm };
  }

  #ready() {
    if (!this.#prepared) throw new Inconclusive('suite', 'the pool lends labs only after it was prepared');
    return this.#prepared;
  }
}

/**
 * Removes everything of ours from an engine: nodes, toolboxes (with their volumes) and the lab network.
 *
 * @throws Inconclusive naming what is still there afterwards.
 */
async function sweepLab(docker: Docker): Promise<void> {
  const filters = { label: [`${LAB_LABEL}=lab`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  const networks = await docker.listNetworks({ filters });
  await Promise.all(networks.map(({ Id }) => docker.getNetwork(Id).remove()));
  const left = [
    ...(await docker.listContainers({ all: true, filters })).map(({ Names }) => Names.join()),
    ...(await docker.listNetworks({ filters })).map(({ Name }) => Name),
  ];
  if (left.length > 0) throw new Inconclusive('lab', `the engine did not remove ${left.join(', ')}`);
}

/**
 * The engine that the environment names, in the words of Docker's own client: DOCKER_HOST, DOCKER_TLS_VERIFY,
 * DOCKER_CERT_PATH (https://docs.docker.com/reference/cli/docker/#environment-variables).
 *
 * @throws UsageError when it names none, or its certificates cannot be read.
 */
export async function engineOfEnvironment(env: NodeJS.ProcessEnv = process.env): Promise<EngineAddress> {
  const { DOCKER_HOST: host, DOCKER_TLS_VERIFY: verify, DOCKER_CERT_PATH: folder } = env;
  if (!host)
    throw new UsageError(
      'LAB=docker needs DOCKER_HOST: it names the engine on which privileged containers may run.',
    );
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url?.protocol === 'unix:') return { socketPath: url.pathname, host: '127.0.0.1', port: 0, tls: null };
  if (url?.protocol !== 'tcp:')
    throw new UsageError(`DOCKER_HOST=${host} is not known; it takes tcp://HOST:PORT or unix://PATH.`);
  const port = Number(url.port || (verify ? 2376 : 2375));
  if (!verify) return { host: url.hostname, port, tls: null };
  try {
    const read = (name: string) => fs.readFile(path.join(folder ?? '', name), 'utf8');
    return {
      host: url.hostname,
      port,
      tls: { ca: await read('ca.pem'), cert: await read('cert.pem'), key: await read('key.pem') },
    };
  } catch (error) {
    throw new UsageError(
      `DOCKER_TLS_VERIFY is set, but DOCKER_CERT_PATH holds no ca.pem, cert.pem and key.pem that can be read (${messageOf(error)}).`,
    );
  }
}
