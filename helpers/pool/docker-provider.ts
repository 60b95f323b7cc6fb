import fs from 'node:fs/promises';
import path from 'node:path';
import type Docker from 'dockerode';
import { type Certificates, makeCertificates } from '../engine/certificates.ts';
import { type EngineAddress, engineClient, engineFacts } from '../engine/client.ts';
import { HASH_LABEL, type IMAGE_CONFIG, imageName, importImage } from '../engine/images.ts';
import { Inconclusive, messageOf, UsageError } from '../errors.ts';
import { Cache } from '../lab/cache.ts';
import { images } from '../lab/images.ts';
import type { Settings } from '../lab/settings.ts';
import type { Image } from '../lab/trees.ts';
import { LAB_LABEL, membersOf, type SwarmFacts, type Topology } from '../swarm/facts.ts';
import { formSwarmInChild } from '../swarm/form-in-child.ts';
import type { Lease, LeaseRequest, PoolStatus, Prepared, Provider } from './protocol.ts';

/**
 * What Swarm networking needs of the kernel, proven by doing it once in a namespace of its own: each command fails on a kernel
 * without the feature. Keys say what is missing then.
 */
const PREFLIGHT: Record<string, string> = {
  'IPVS with the round-robin scheduler (module ip_vs_rr)': 'ipvsadm -A -f 1 -s rr',
  'VXLAN (module vxlan)': 'ip link add probe0 type vxlan id 42 dstport 4789',
  'bridges and veth pairs': 'ip link add probe1 type bridge && ip link add probe2 type veth peer name probe3',
  'firewall marks (iptables mangle, MARK)': 'iptables -t mangle -A INPUT -j MARK --set-mark 1',
  'NAT (iptables nat, DNAT)':
    'iptables -t nat -A PREROUTING -p tcp --dport 1 -j DNAT --to-destination 127.0.0.1:1',
  'connection tracking (iptables conntrack)':
    'iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT',
};

/**
 * A lab in an engine the user names with DOCKER_HOST. There are no checkpoints: whenever a pristine Swarm is due, the nodes
 * are removed, seen to be gone, and new ones form it. Nothing less undoes all that a clause may have done to them.
 */
export class DockerProvider implements Provider {
  readonly #settings: Settings;
  readonly #folder: string;
  readonly #engine: EngineAddress;
  readonly #docker: Docker;
  #prepared: { images: Record<'node' | 'toolbox' | 'workload', Image>; answer: Prepared } | undefined;
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
    const made = images(cache, this.#settings.ENGINE, this.#settings.LAB_MIRROR, progress);
    const [node, toolbox, workload] = await Promise.all([made.node, made.toolbox, made.workload]);
    await sweepLab(this.#docker);
    for (const image of [toolbox, node]) await this.#bring(image, progress);
    await this.#preflight(facts.kernel);
    const lab = performance.now() - started;
    const swarm = await this.#form(workload, progress);
    const answer: Prepared = {
      cell: {
        name: 'default',
        kernel: facts.kernel,
        engines: Object.fromEntries(swarm.nodes.map(({ name, engine }) => [name, engine])),
        nodes: membersOf(swarm).map(({ name, role, address }) => ({ name, role, address })),
        qemu: null,
        accelerator: null,
        images: Object.fromEntries(
          [node, toolbox, workload].map(({ name, hash, packages }) => [name, { hash, packages }]),
        ),
      },
      spent: { lab, swarm: performance.now() - started - lab },
      slots: 1,
    };
    this.#prepared = { images: { node, toolbox, workload }, answer };
    return answer;
  }

  async lease({ topology }: LeaseRequest, progress: (line: string) => void): Promise<Lease> {
    const { workload } = this.#ready().images;
    if (this.#used || !this.#swarm || Object.keys(topology).length > 0) {
      progress('replacing the nodes of the spec before');
      this.#swarm = undefined;
      await sweepLab(this.#docker);
      await this.#form(workload, progress, topology);
    }
    this.#used = true;
    return { ...this.#lent(), level: 'swarm' };
  }

  async keep(): Promise<Lease> {
    return { ...this.#lent(), level: 'stack' };
  }

  async release(): Promise<void> {}

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
  async #bring(image: Image, progress: (line: string) => void): Promise<void> {
    const name = image.name as keyof typeof IMAGE_CONFIG;
    const known = await this.#docker
      .getImage(imageName(name))
      .inspect()
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode === 404) return undefined;
        throw error;
      });
    if (known?.Config.Labels?.[HASH_LABEL] === image.hash) return;
    progress(`importing image ${name}`);
    await importImage(this.#docker, image.file, name, { [HASH_LABEL]: image.hash });
  }

  /** @throws UsageError naming everything the kernel under the engine lacks. */
  async #preflight(kernel: string): Promise<void> {
    const script = Object.entries(PREFLIGHT)
      .map(([need, command]) => `( ${command} ) >/dev/null 2>&1 || echo '${need}'`)
      .join('\n');
    const container = await this.#docker.createContainer({
      Image: imageName('toolbox'),
      Cmd: ['sh', '-c', script],
      Tty: true,
      Labels: { [LAB_LABEL]: 'lab' },
      HostConfig: { Privileged: true, NetworkMode: 'none' },
    });
    try {
      await container.start();
      await container.wait();
      const said = (await container.logs({ stdout: true, stderr: true })).toString().trim();
      if (said)
        throw new UsageError(
          `kernel ${kernel} under this engine cannot carry a Swarm, it lacks: ${said.split(/\r?\n/).join('; ')}.`,
        );
    } finally {
      await container.remove({ force: true });
    }
  }

  async #form(
    workload: Image,
    progress: (line: string) => void,
    wanted: Partial<Topology> = {},
  ): Promise<SwarmFacts> {
    const certificates: Certificates = await makeCertificates([this.#engine.host]);
    const topology = { ...this.#settings.NODES, spares: 0, ...wanted };
    const request = { engine: this.#engine, certificates, topology, workloadTar: workload.file };
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
