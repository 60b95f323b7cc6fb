import { PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesAt,
  answeredBy,
  complaint,
  endpoint,
  fileOf,
  GATEWAY_BRIDGE,
  HOST_SANDBOX,
  HTTP_PORT,
  mountedNamespaces,
  type Node,
  network,
  type PlainContainer,
  runContainer,
  sameMembers,
  stack,
  viewNetworks,
  viewOwnMembership,
  viewSandboxes,
  watch,
} from '../../fixtures/domain.ts';
import { refuses } from '../../fixtures/refusals.ts';
import { endToEnd, unjoined } from '../../fixtures/stacks.ts';
import { clause, type Evidence, judge, startWith, test } from '../../fixtures/test.ts';

startWith(stack(), unjoined);

test(
  ...clause('ISO-004', { disturbs: true, limitMs: 420_000 }, async ({ swarm: lab, evidence }) => {
    const nodes = lab.everyone;
    // What has nothing to do with any Swarm: two containers on a bridge.
    const plain = await lab.everywhere(async (node) => {
      await node.api.createNetwork({ Name: HOME, Driver: 'bridge' });
      return Promise.all(['left', 'right'].map((name) => runContainer(node, { name, network: HOME })));
    }, nodes);
    const networks = await lab.everywhere(networksOf, nodes);

    const swarm = await lab.foundOfSpares();
    await swarm.createNetwork(network('open', { Attachable: true }));
    await swarm.deploy(endToEnd);
    await swarm.settled();
    // One that is at home, too, and one that is not.
    await lab.everywhere(async (node) => {
      const own = plain[node.name] ?? [];
      own.push(await runContainer(node, { name: 'guest', network: HOME }));
      await node.api.getNetwork('open').connect({ Container: 'guest' });
      own.push(await runContainer(node, { name: 'stranger', network: 'open' }));
    }, nodes);
    const [manager, worker] = swarm.nodes;
    if (!manager || !worker) throw new Error('two nodes are needed');
    for (const { name, api } of [manager, worker]) {
      const there = await api.listContainers();
      const tasks = there.filter(({ Labels }) => Labels['com.docker.swarm.node.id']);
      judge(
        `tasks on ${name}, which it has to lose`,
        sameMembers(
          ['ends'],
          tasks.map(({ Labels }) => Labels['com.docker.swarm.service.name'] ?? ''),
        ),
        { node: name },
      );
    }

    await refuses(
      [
        {
          what: 'leaving, by the last manager',
          ask: () => swarm.leave(manager),
          status: 503,
          tells: ['last manager', '--force'],
        },
      ],
      async () => [
        `state ${(await viewOwnMembership(manager.api)).state}`,
        ...(await manager.api.listContainers()).map(({ Id }) => Id),
        ...(await viewNetworks(manager.api)).map(({ id }) => id),
      ],
      evidence,
    );
    for (const [node, force] of [
      [worker, false],
      [manager, true],
    ] as const) {
      await swarm.leave(node, { force });
      await nothingLeft(node, plain[node.name] ?? [], networks[node.name] ?? [], evidence);
      await reachAtHome(node, plain[node.name] ?? [], evidence);
    }
  }),
);

const HOME = 'home';

async function networksOf({ api }: Node): Promise<string[]> {
  return (await viewNetworks(api)).map(({ name, id }) => `${name} ${id}`);
}

/** Every container on the bridge is answered by every other, at its address there. */
async function reachAtHome(node: Node, plain: readonly PlainContainer[], evidence: Evidence) {
  const addresses = await addressesAt(node, HOME);
  const own = plain.filter(({ name }) => name !== 'stranger');
  for (const asker of own) {
    const to = own.map(({ name }) => endpoint(addresses.get(name) ?? '', HTTP_PORT));
    const answers = await asker.inside.probe({ kind: 'http', to });
    await evidence(`answers to ${asker.name} on ${node.name}`, answers);
    judge(
      `who answers ${asker.name} on ${HOME} of ${node.name}`,
      sameMembers(
        own.map(({ id }) => id.slice(0, 12)),
        answeredBy(answers),
      ),
      { node: node.name },
    );
  }
}

/** On a node that has left nothing is of the Swarm any more but docker_gwbridge, and whatever was not of it goes on. */
async function nothingLeft(
  node: Node,
  plain: readonly PlainContainer[],
  networks: readonly string[],
  evidence: Evidence,
) {
  const look = async () => {
    const containers = await node.api.listContainers({ all: true });
    const inspected = await Promise.all(containers.map(({ Id }) => node.api.getContainer(Id).inspect()));
    return {
      state: (await viewOwnMembership(node.api)).state,
      containers: inspected.map(
        ({ Name, State }) => `${Name.slice(1)} ${State.Status} since ${State.StartedAt}`,
      ),
      attached: inspected.flatMap(({ Name, NetworkSettings }) =>
        Object.keys(NetworkSettings.Networks).map((name) => `${Name.slice(1)} on ${name}`),
      ),
      networks: (await networksOf(node)).filter((one) => !one.startsWith(`${GATEWAY_BRIDGE} `)),
      namespaces: (await mountedNamespaces(node.toolbox)).filter((name) => name !== HOST_SANDBOX),
      sandboxes: (await viewSandboxes(node.api)).map(({ key }) => fileOf(key)),
      vxlans: (await node.observe(['links'])).flatMap(({ name, links = [] }) =>
        links.filter(({ kind }) => kind === 'vxlan').map((link) => `${link.name} in ${name}`),
      ),
    };
  };
  await watch(
    `${node.name} has nothing of the Swarm any more`,
    {
      look,
      wrong: (seen) => ({
        [node.name]: [
          ...complaint('state', sameMembers(['inactive'], [seen.state])),
          ...complaint(
            'containers',
            sameMembers(
              plain.map(({ name, startedAt }) => `${name} running since ${startedAt}`),
              seen.containers,
            ),
          ),
          ...complaint(
            'networks of containers',
            sameMembers(
              plain.filter(({ name }) => name !== 'stranger').map(({ name }) => `${name} on ${HOME}`),
              seen.attached,
            ),
          ),
          ...complaint('networks', sameMembers(networks, seen.networks)),
          ...complaint('namespaces', sameMembers(seen.sandboxes, seen.namespaces)),
          ...complaint('VXLAN interfaces', sameMembers([], seen.vxlans)),
        ],
      }),
      keep: (seen) => evidence(`what is left on ${node.name}`, seen),
    },
    PROMISED.leavesNothing,
  );
}
