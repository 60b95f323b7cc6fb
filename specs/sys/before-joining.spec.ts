import { PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  attachments,
  chainRules,
  clockAt,
  complaint,
  converge,
  endpoint,
  failed,
  first,
  GATEWAY_BRIDGE,
  HOST,
  hostNamesOf,
  INGRESS_CHAIN,
  ingressSandbox,
  type Node,
  sameMembers,
  serveOutside,
  service,
  serviceIn,
  stack,
  strictRotation,
  toDestination,
  viewNetworks,
  viewNodes,
  viewOwnMembership,
  watch,
} from '../../fixtures/domain.ts';
import { refuses } from '../../fixtures/refusals.ts';
import { ENDS_PORT, endToEnd, unjoined } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

// What is set up on a node before it joins: these nodes have not.
startWith(stack(), unjoined);

/** Ours: a Swarm of two is founded in 5 s, and its first tasks run half a minute later, or more on a loaded host. */
const FOUNDING = { disturbs: true, limitMs: 420_000 };

test(
  ...clause('SYS-010', FOUNDING, async ({ swarm: lab, evidence }) => {
    const subnet = '10.199.0.0/16';
    const [, node] = lab.spares;
    if (!node) throw new Error('two nodes are needed');
    await node.api.createNetwork({
      Name: GATEWAY_BRIDGE,
      IPAM: { Config: [{ Subnet: subnet }] },
      Options: {
        'com.docker.network.bridge.name': GATEWAY_BRIDGE,
        'com.docker.network.bridge.enable_icc': 'false',
        'com.docker.network.bridge.enable_ip_masquerade': 'true',
      },
    });
    const made = await bridge(node);
    const swarm = await lab.foundOfSpares();
    await swarm.deploy(endToEnd);
    await swarm.settled();

    const ends = serviceIn(await swarm.view(), 'ends');
    const task = first(ends.tasks.filter((one) => one.node === node.name));
    const seen = {
      bridge: await bridge(node),
      host: await node.namespace(HOST, ['links', 'rules']),
      sandbox: await ingressSandbox(node, ['links']),
      task: await swarm.taskNamespace(task, ['links', 'routes']),
    };
    await evidence('bridge, host, ingress_sbox and task', { made, seen });
    // Same id, same settings, same time of creation: it is the very one.
    expect(seen.bridge, 'docker_gwbridge once the node has joined').toEqual(made);
    const onBridge = (state: typeof seen.host) =>
      attachments(state, [{ name: GATEWAY_BRIDGE, subnet }]).filter(({ networks }) =>
        networks.includes(GATEWAY_BRIDGE),
      );
    const router = first(onBridge(seen.host));
    judge('interface of the node in that subnet', sameMembers([GATEWAY_BRIDGE], [router.link]), at(node));
    const sandbox = onBridge(seen.sandbox).flatMap(({ addresses }) => addresses.map(bare));
    judge(
      'where nat sends packets to the published port',
      sameMembers(
        [`${sandbox[0] ?? 'an address in the subnet'}:${ENDS_PORT}`],
        chainRules(seen.host, 'nat', INGRESS_CHAIN).flatMap((rule) => toDestination(rule) ?? []),
      ),
      at(node),
    );
    judge('addresses of ingress_sbox in that subnet', expectOne(sandbox), at(node));
    judge(
      'addresses of the task in that subnet',
      expectOne(onBridge(seen.task).flatMap(({ addresses }) => addresses)),
      at(node),
    );
    const way = seen.task.routes?.filter(({ to }) => to === 'default').map(({ via }) => `${via}`) ?? [];
    judge('routers of the task', sameMembers(router.addresses.map(bare), way), at(node));

    // In through ingress_sbox of either node, behind their docker_gwbridge, and out of the task past the bridge's masquerade.
    for (const { name, address } of swarm.nodes) {
      const samples = await swarm.outsider.probe({
        kind: 'http',
        to: endpoint(address, ENDS_PORT),
        count: 4,
      });
      await evidence(`requests through ${name}`, samples);
      judge(
        `tasks that answer in turn through ${name}`,
        strictRotation(answeredBy(samples), hostNamesOf(ends)),
        {
          node: name,
        },
      );
    }
    await serveOutside(swarm);
    const [out] = await swarm.inside(task).probe({ kind: 'http', to: endpoint(swarm.outsider.address, 80) });
    await evidence('request of the task to the outsider', out);
    const peer = out && !failed(out) ? (out.peer ?? '').replace(/:\d+$/, '') : 'no answer';
    judge('address that the outsider sees', sameMembers([node.address], [peer]), at(node));
  }),
);

/** What an engine says of docker_gwbridge, the containers on it apart. */
async function bridge({ api }: Node) {
  const { Containers, ...rest } = await api.getNetwork(GATEWAY_BRIDGE).inspect();
  return rest;
}

function bare(cidr: string): string {
  return cidr.replace(/\/.*/, '');
}

function at({ name: node }: Node) {
  return { node };
}

/** Exactly one, whatever it is. */
function expectOne(seen: readonly string[]) {
  return sameMembers(seen.slice(0, 1).length === 1 ? seen.slice(0, 1) : ['one'], seen);
}

test(
  ...clause('SYS-011', FOUNDING, async ({ swarm: lab, evidence }) => {
    const [founder, node] = lab.spares;
    if (!founder || !node) throw new Error('two nodes are needed');
    const reason = ['--live-restore', 'incompatible with swarm mode'];
    const restartWith = async (liveRestore: boolean) => {
      await node.configureEngine({ 'live-restore': liveRestore });
      await node.answers();
    };

    // Neither a Swarm of its own nor another's, and nothing of either is left on the node.
    await restartWith(true);
    const swarm = await lab.found(founder);
    const init = { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: node.address };
    await refuses(
      [
        { what: 'init', ask: () => node.api.swarmInit(init), status: REFUSED, tells: reason },
        { what: 'join', ask: () => swarm.join(node, 'worker'), status: REFUSED, tells: reason },
      ],
      async () => [
        `state ${(await viewOwnMembership(node.api)).state}`,
        ...(await viewNetworks(node.api)).map(({ name }) => `network ${name}`),
      ],
      evidence,
    );
    // The same request without live restore: it was that and nothing else.
    await restartWith(false);
    await swarm.join(node, 'worker');
    await swarm.deploy(
      stack(service('here', { on: [node.name], also: { TaskTemplate: { RestartPolicy: { Delay: 0 } } } })),
    );
    await swarm.settled();
    const { id } = await viewOwnMembership(node.api);
    const [before] = await swarm.service('here').then(({ tasks }) => tasks);
    judge('tasks before', sameMembers([`${before?.pid}`], await workloads(node)), { node: node.name });

    const since = await clockAt(node.vantage);
    await node.configureEngine({ 'live-restore': true });
    judge('tasks that outlive the engine', sameMembers([], await workloads(node)), { node: node.name });
    await watch(
      'a member does not start with live restore, however often it is tried',
      {
        look: async () => ({
          log: await node.log(since),
          state: (await viewOwnMembership(node.api)).state,
        }),
        wrong: ({ log, state }) => {
          const refusals = badlyEnded(log).filter((said) => reason.every((one) => said.includes(one)));
          const few = refusals.length >= 2 ? [] : [`${refusals.length} refusals logged, state ${state}`];
          return { [node.name]: state === 'active' ? [...few, 'it is an active member'] : few };
        },
        keep: ({ log }) => evidence('log of the member', log.join('\n')),
      },
      PROMISED.refusesToStart,
    );

    await restartWith(false);
    await converge(
      'the member is back without live restore',
      async () => {
        const listed = (await viewNodes(founder.api)).filter((one) => one.id === id);
        return complaint(
          "state in the manager's list",
          sameMembers(
            ['ready'],
            listed.map(({ state }) => state),
          ),
        );
      },
      PROMISED.membersReady,
    );
    await swarm.settled();
    const [after] = await swarm.service('here').then(({ tasks }) => tasks);
    await evidence('task before and after', { before, after });
    expect(after?.container, 'container of the task, which is another').not.toBe(before?.container);
  }),
);

/** Documented for requests to init and to join that fail (Docker Engine API v1.45, SwarmInit and SwarmJoin); which one is not. */
const REFUSED = [400, 500, 503];

/** Process ids of the workload on a node. */
async function workloads({ vantage }: Node): Promise<string[]> {
  const text = await vantage.must("pgrep -f '^/usr/bin/perl -w /usr/bin/workload serve' || true");
  return text.split('\n').filter((pid) => pid !== '');
}

/**
 * What an engine said in each of its lives that ended badly, as its node logs them (helpers/swarm/node-init.sh). Last words are fatal
 * lines up to 28.0, and plain ones by 28.5 (moby cmd/dockerd/daemon.go start).
 */
function badlyEnded(log: readonly string[]): string[] {
  const lives = log.join('\n').split(/^node: the engine ended with /m);
  return lives.slice(0, -1).filter((_, i) => !lives[i + 1]?.startsWith('0'));
}
