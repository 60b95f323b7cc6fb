import type Docker from 'dockerode';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';
import type { Certificates } from '../engine/certificates.ts';
import { type EngineAddress, engineClient, engineFacts } from '../engine/client.ts';
import { hasImage, imageName, importImage } from '../engine/images.ts';
import { messageOf } from '../errors.ts';
import { until } from '../waiting.ts';
import type { NodeFacts, SwarmFacts, ToolboxFacts, Topology } from './facts.ts';
import { LAB_LABEL, LAB_NETWORK, LAB_PORTS, OUTSIDER_ADDRESS } from './facts.ts';
import { NODE_INIT } from './node-init.ts';

/** What a Swarm is formed from. */
export interface FormRequest {
  /** The lab's engine; `DOCKER_HOST` and its companions must name the same one, Testcontainers knows no other way. */
  engine: EngineAddress;
  certificates: Certificates;
  topology: Topology;
  /** Images of the nodes, dealt to them in turn: managers, workers, spares. */
  nodes: readonly NodeStart[];
  /** Tar of the workload image, imported into every node through its API. */
  workloadTar: string;
}

/** The image of a node and how the image itself would start. */
export interface NodeStart {
  /** Tells the node images of several engines apart. */
  variant: number;
  entrypoint: readonly string[];
  /** `NAME=value` each. */
  env: readonly string[];
}

const ADDRESS = {
  manager: (i: number) => `192.168.83.${10 + i}`,
  worker: (i: number) => `192.168.83.${20 + i}`,
  spare: (i: number) => `192.168.83.${30 + i}`,
  outsider: OUTSIDER_ADDRESS,
};

/** Ours, not the product's: a node is up 17-30 s after its start under emulation, three at once. */
const STARTUP_MS = 240_000;

const NODE_ENVIRONMENT = {
  HOME: '/root',
  // No registry can be reached from the lab: each task start would wait 23 s for a pull that must fail before the local image is
  // used (moby daemon/cluster/executor/container/controller.go, Prepare). Nothing about networking depends on it.
  DOCKER_SERVICE_PREFER_OFFLINE_IMAGE: '1',
  // Docker's own image would make certificates; those of the lab are given to the engine instead.
  DOCKER_TLS_CERTDIR: '',
};

/** Characters of a container's log kept for the error when it does not start. */
const LOG_TAIL = 3000;

/**
 * Starts nodes and toolboxes with Testcontainers and makes a Swarm of the nodes.
 *
 * @param progress told what is being done.
 */
export async function formSwarm(request: FormRequest, progress: (line: string) => void): Promise<SwarmFacts> {
  const { engine, certificates } = request;
  const docker = engineClient(engine);
  await requireSameEngine(docker);
  await docker.createNetwork({
    Name: LAB_NETWORK.name,
    Labels: { [LAB_LABEL]: 'lab' },
    IPAM: { Config: [{ Subnet: LAB_NETWORK.subnet, Gateway: LAB_NETWORK.gateway }] },
  });
  const { managers, workers, spares } = request.topology;
  const named = (role: 'manager' | 'worker' | 'spare', length: number) =>
    Array.from({ length }, (_, i) => ({ name: `${role[0]}${i + 1}`, role, address: ADDRESS[role](i + 1) }));
  const wanted = [...named('manager', managers), ...named('worker', workers), ...named('spare', spares)];
  progress(`starting ${wanted.length} nodes and ${wanted.length + 1} toolboxes`);
  const outsider = startToolbox(
    new LabContainer(imageName('toolbox'))
      .onLabNetwork('outsider', ADDRESS.outsider)
      .withEnvironment({ SHELL_COMMAND: 'sh' }),
    certificates,
  );
  const nodes = await Promise.all(wanted.map((node, i) => startNode(node, startOf(request, i), request)));
  const members = nodes.filter(({ role }) => role !== 'spare');
  if (members.length > 0) {
    progress('forming the Swarm');
    await join(members, engine.host, certificates);
  }
  return {
    nodes,
    outsider: { ...(await outsider), address: ADDRESS.outsider },
    tls: { ca: certificates.ca, cert: certificates.cert, key: certificates.key },
  };
}

/** Testcontainers looks for an engine in several places; it must have found the lab's and no other. */
async function requireSameEngine(docker: Docker): Promise<void> {
  const runtime = await getContainerRuntimeClient();
  const [lab, found] = await Promise.all([docker.info(), runtime.container.dockerode.info()]);
  if (lab.ID !== found.ID)
    throw new Error(`Testcontainers would use another engine (${found.Name}) than the lab's (${lab.Name})`);
}

function startOf({ nodes }: FormRequest, i: number): NodeStart {
  const start = nodes[i % nodes.length];
  if (!start) throw new Error('a Swarm needs an image for its nodes');
  return start;
}

async function startNode(
  member: Pick<NodeFacts, 'name' | 'role' | 'address'>,
  { variant, entrypoint, env }: NodeStart,
  request: FormRequest,
): Promise<NodeFacts> {
  const { certificates } = request;
  const container = await new LabContainer(imageName('node', variant))
    .onLabNetwork(member.name, member.address)
    // One init for every image: an engine that was ended starts again in the same node, whatever the image would do.
    .withEntrypoint(['sh', '-c', NODE_INIT, 'node-init', ...entrypoint])
    .withEnvironment({ ...environment(env), ...NODE_ENVIRONMENT })
    .withDataVolume()
    .withPrivilegedMode()
    .withBindMounts([{ source: '/lib/modules', target: '/lib/modules', mode: 'ro' }])
    .withCopyContentToContainer(serverFiles(certificates))
    .withExposedPorts(LAB_PORTS.engine)
    .withWaitStrategy(Wait.forLogMessage(/node: up|API listen/))
    .withStartupTimeout(STARTUP_MS)
    .start();
  const enginePort = container.getMappedPort(LAB_PORTS.engine);
  const docker = engineClient({ host: request.engine.host, port: enginePort, tls: certificates });
  const answers = until(`the engine of ${member.name} to answer`, () => engineFacts(docker), {
    withinMs: STARTUP_MS,
    everyMs: 500,
  });
  // The toolbox starts while the engine does: it needs no more than the node's process namespace.
  const [toolbox, { engine }] = await Promise.all([
    startToolbox(new LabContainer(imageName('toolbox')).beside(container), certificates),
    answers,
    // Our own node images bring it along; any other gets it through its API.
    answers.then(async () => {
      if (!(await hasImage(docker, 'workload'))) await importImage(docker, request.workloadTar, 'workload');
    }),
  ]);
  return { ...member, container: container.getId(), enginePort, engine, toolbox };
}

function environment(variables: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    variables.map((text) => text.split(/=(.*)/s)).map(([name, value = '']) => [name, value]),
  );
}

async function startToolbox(container: LabContainer, certificates: Certificates): Promise<ToolboxFacts> {
  const started = await container
    .withPrivilegedMode()
    .withCopyContentToContainer(serverFiles(certificates))
    .withExposedPorts(LAB_PORTS.shell)
    .withWaitStrategy(Wait.forLogMessage(/listening on/))
    .withStartupTimeout(STARTUP_MS)
    .start();
  return { container: started.getId(), shellPort: started.getMappedPort(LAB_PORTS.shell) };
}

function serverFiles({ ca, serverCert, serverKey }: Certificates) {
  return [
    { content: ca, target: '/certs/ca.pem', mode: 0o644 },
    { content: serverCert, target: '/certs/server.pem', mode: 0o644 },
    { content: serverKey, target: '/certs/server-key.pem', mode: 0o600 },
  ];
}

/** One init, then every join (managers first: a manager that joins changes the quorum the next one needs). */
async function join(nodes: readonly NodeFacts[], host: string, tls: Certificates): Promise<void> {
  const client = (node: NodeFacts) => engineClient({ host, port: node.enginePort, tls });
  const [first, ...others] = nodes;
  if (!first) throw new Error('a Swarm needs a node');
  await client(first).swarmInit({ ListenAddr: '0.0.0.0:2377', AdvertiseAddr: first.address });
  const { JoinTokens: tokens } = (await client(first).swarmInspect()) as {
    JoinTokens: { Manager: string; Worker: string };
  };
  const joinAs = (node: NodeFacts) =>
    client(node).swarmJoin({
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: node.address,
      RemoteAddrs: [`${first.address}:2377`],
      JoinToken: node.role === 'manager' ? tokens.Manager : tokens.Worker,
    });
  for (const manager of others.filter(({ role }) => role === 'manager')) await joinAs(manager);
  await Promise.all(others.filter(({ role }) => role === 'worker').map(joinAs));
}

/**
 * Testcontainers' generic container with what its public interface lacks: a fixed address on the lab network, and
 * another container's process namespace.
 */
class LabContainer extends GenericContainer {
  #name = 'container';
  #log = '';

  constructor(image: string) {
    super(image);
    this.withLabels({ [LAB_LABEL]: 'lab' });
    // A private cgroup namespace: a node's engine must not see the lab's cgroups, whatever the lab's default is.
    Object.assign(this.hostConfig, { CgroupnsMode: 'private' });
    this.withLogConsumer((stream) => {
      stream.on('data', (chunk) => {
        this.#log = `${this.#log}${chunk}`.slice(-LOG_TAIL);
      });
    });
  }

  /** Testcontainers removes a container that did not start; what it said goes into the error instead. */
  override async start(): Promise<StartedTestContainer> {
    return super.start().catch((error) => {
      throw new Error(`${this.#name} did not start: ${messageOf(error)}; it said:\n${this.#log}`, {
        cause: error,
      });
    });
  }

  override withName(name: string): this {
    this.#name = name;
    return super.withName(name);
  }

  /** Attaches to the lab network under a name and a fixed address. */
  onLabNetwork(name: string, address: string): this {
    this.withName(name);
    this.networkMode = LAB_NETWORK.name;
    this.createOpts.Hostname = name;
    this.createOpts.NetworkingConfig = {
      EndpointsConfig: { [LAB_NETWORK.name]: { IPAMConfig: { IPv4Address: address }, Aliases: [name] } },
    };
    return this;
  }

  /** Keeps what the node's engine stores out of the container's own layers, on which no other ones can be laid. */
  withDataVolume(): this {
    this.createOpts.Volumes = { '/var/lib/docker': {} };
    return this;
  }

  /** Shares a node's process namespace: its process 1 leads to the node's files and network namespaces. */
  beside(node: StartedTestContainer): this {
    this.withName(`${node.getName().replace(/^\//, '')}-toolbox`);
    this.hostConfig.PidMode = `container:${node.getId()}`;
    return this;
  }
}
