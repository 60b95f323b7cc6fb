import { PROMISED } from '../../fixtures/bounds.ts';
import {
  complaint,
  ingressNetwork,
  type Node,
  sameMembers,
  service,
  viewNetworks,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith } from '../../fixtures/test.ts';

startWith(voting);

clause('OVERLAY-001', { disturbs: true }, async ({ swarm, evidence }) => {
  const ingress = ingressNetwork(await swarm.view()).name;
  const [w1, w2] = [swarm.node('w1'), swarm.node('w2')];
  const lists = () => swarm.everywhere(({ api }) => viewNetworks(api));

  // A manager reads a network from Raft; a worker is told of it with the first task that needs it.
  await swarm.deploy({ networks: ['fresh'], services: [] });
  const unused = await lists();
  await evidence('networks, one of them just created', unused);
  await swarm.create(service('user', { networks: ['fresh'], on: [w1.name] }));
  await swarm.settled();
  const used = await lists();
  await evidence('networks, that one used on w1', used);

  const id = (name: string) => unused[swarm.manager.name]?.find((one) => one.name === name)?.id;
  const entry = (name: string) => `${name} ${id(name)} overlay swarm`;
  const known = [ingress, 'front'];
  const judgeList = (node: Node, lists: typeof used, expected: string[]) => {
    const ours = lists[node.name]?.filter(({ name }) => [...known, 'fresh'].includes(name)) ?? [];
    const seen = ours.map(({ name, id, driver, scope }) => `${name} ${id} ${driver} ${scope}`);
    judge(`overlays that ${node.name} lists`, sameMembers(expected.map(entry), seen), { node: node.name });
  };
  for (const node of swarm.managers) judgeList(node, unused, [...known, 'fresh']);
  for (const node of swarm.workers) judgeList(node, unused, known);
  for (const node of swarm.managers) judgeList(node, used, [...known, 'fresh']);
  for (const node of swarm.workers) judgeList(node, used, node === w1 ? [...known, 'fresh'] : known);

  // Who takes part travels by gossip: a node with a task on the network, and on ingress every node.
  const members = { [ingress]: swarm.nodes, front: [w1, w2], fresh: [w1] };
  await watch(
    'peers are the nodes that use a network',
    {
      look: () =>
        swarm.everywhere(async (node) => {
          const own = Object.entries(members).filter(([, nodes]) => nodes.includes(node));
          return Promise.all(own.map(([name]) => node.network(name)));
        }),
      wrong: (seen) =>
        wrongOnEach(seen, (networks) =>
          networks.flatMap(({ name, peers }) =>
            complaint(
              `peers on ${name}`,
              sameMembers(
                (members[name] ?? []).map(({ address }) => address),
                peers,
              ),
            ),
          ),
        ),
      keep: (seen) => evidence('peers', seen),
    },
    PROMISED.namesFollowTasks,
  );
});
