import { PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  askEveryNode,
  complaint,
  EMBEDDED_DNS,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  ingressSandbox,
  type Link,
  network,
  overlap,
  removeWithPort,
  sameMembers,
  service,
  serviceIn,
  viewNetworks,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { accepts, refuses } from '../../fixtures/refusals.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('OVERLAY-012', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const former = ingressNetwork(await swarm.view());
    const wanted = { subnet: '10.11.0.0/16', gateway: '10.11.0.2', mtu: 1150 };
    const mesh = network('mesh', {
      Ingress: true,
      IPAM: { Config: [{ Subnet: wanted.subnet, Gateway: wanted.gateway }] },
      Options: { 'com.docker.network.driver.mtu': '1200' },
    });
    const both = { replicas: 2, on: ['w1', 'w2'] };
    await removeWithPort(swarm, 'vote', VOTE_PORT);
    await accepts([{ what: 'removal of ingress', ask: () => swarm.removeNetwork(former.name) }], evidence);

    // Without ingress nobody can publish, and everybody else goes on as before.
    await refuses(
      [
        {
          what: 'a service with a port, without ingress',
          ask: () => swarm.create(service('vote', { ...both, publish: VOTE_PORT })),
          status: 400,
          tells: ['no ingress network is present'],
        },
      ],
      async () => (await swarm.view()).services.map(({ name }) => name),
      evidence,
    );
    await swarm.create(service('quiet', both));
    await swarm.settled();
    const quiet = await swarm.service('quiet');
    const answers = answeredBy(
      await (await swarm.client()).probe({
        kind: 'name',
        server: EMBEDDED_DNS,
        question: { name: 'quiet', type: 'A' },
        port: HTTP_PORT,
        count: 4,
      }),
    );
    await evidence('answers of a service without ports, while there is no ingress', answers);
    judge('tasks that answer without ingress', sameMembers(hostNamesOf(quiet), [...new Set(answers)]));

    await swarm.createNetwork(mesh);
    // A task on every node: only that brings a new ingress network there for certain (REG-041).
    await swarm.create(service('vote', { replicas: 'global', publish: VOTE_PORT }));
    await swarm.settled();
    const view = await swarm.view();
    const [now, vote] = [ingressNetwork(view), serviceIn(view, 'vote')];
    const tasks = hostNamesOf(vote);

    // Every node has the new network instead of the old one, is told of the same peers, and carries the mesh over it.
    await watch(
      'every node has the new ingress, and answers through it',
      {
        look: async () => {
          const [known, answered] = await Promise.all([
            swarm.everywhere(async (node) => ({
              networks: (await viewNetworks(node.api)).filter(({ ingress }) => ingress),
              peers: (await node.network(now.id)).peers,
            })),
            askEveryNode(swarm, VOTE_PORT, { count: 2 * tasks.length }),
          ]);
          return Object.fromEntries(
            swarm.nodes.map(({ name }) => [
              name,
              { ...known[name], answers: answeredBy(answered[name] ?? []) },
            ]),
          );
        },
        wrong: (seen) =>
          wrongOnEach(seen, ({ networks = [], peers = [], answers }) => [
            ...complaint(
              'networks marked as ingress',
              sameMembers(
                [`mesh ${now.id} ${wanted.subnet} by ${wanted.gateway}`],
                networks.map(
                  ({ name, id, pools }) =>
                    `${name} ${id} ${pools.map((one) => `${one.subnet} by ${one.gateway}`)}`,
                ),
              ),
            ),
            ...complaint(
              'peers',
              sameMembers(
                swarm.nodes.map(({ address }) => address),
                peers,
              ),
            ),
            ...complaint('tasks that answer', sameMembers(tasks, [...new Set(answers)])),
          ]),
        keep: (seen) => evidence('ingress and answers on each node', seen),
      },
      PROMISED.portAnswers,
    );

    const interfaces = [
      ...(await Promise.all(
        vote.tasks.map(async (task) => {
          const { links } = await swarm.taskNamespace(task, ['links']);
          return { of: task.containerName, link: linkIn(links, wanted.subnet) };
        }),
      )),
      ...(await Promise.all(
        swarm.nodes.map(async (node) => {
          const { links } = await ingressSandbox(node, ['links']);
          return { of: `sandbox on ${node.name}`, link: linkIn(links, wanted.subnet) };
        }),
      )),
    ];
    await evidence('interfaces on the new ingress', interfaces);
    expect(interfaces.length, 'interfaces looked at').toBe(vote.tasks.length + swarm.nodes.length);
    judge(
      'MTUs on the new ingress',
      sameMembers(
        interfaces.map(({ of }) => `${of} ${wanted.mtu}`),
        interfaces.map(({ of, link }) => `${of} ${link?.mtu}`),
      ),
    );
  }),
);

/** The interface that has an address of a subnet. */
function linkIn(links: readonly Link[] | undefined, subnet: string): Link | undefined {
  return links?.find(({ addresses }) =>
    addresses.some(({ address }) => !address.includes(':') && overlap(`${address}/32`, subnet)),
  );
}
