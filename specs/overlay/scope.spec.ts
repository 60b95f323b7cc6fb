import { PROMISED } from '../../fixtures/bounds.ts';
import {
  acceptedBy,
  answerTo,
  complaint,
  converge,
  ingressNetwork,
  type ListedNetwork,
  type Node,
  network,
  sameMembers,
  service,
  viewNetworks,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('OVERLAY-001', { disturbs: true }, async ({ swarm, evidence }) => {
    const ingress = ingressNetwork(await swarm.view()).name;
    const [w1, w2] = [swarm.node('w1'), swarm.node('w2')];
    const look = () => swarm.everywhere(({ api }) => viewNetworks(api));

    // A manager reads a network from Raft; a worker is told of it with the first task that needs it.
    await swarm.createNetwork(network('fresh'));
    const atOnce = await look();
    await evidence('networks right after the fresh one was created', atOnce);
    for (const { name } of swarm.managers)
      judge(
        `networks that ${name} lists at once`,
        sameMembers([ingress, 'front', 'fresh'], namesIn(atOnce, name)),
        { node: name },
      );
    // It has a driver and a subnet only when the allocator has been at it, a moment later.
    await watch(
      'networks are listed where they are known, with driver and scope',
      {
        look,
        wrong: (lists) => wrongLists(lists, swarm.managers),
        keep: (lists) => evidence('networks, fresh one unused', lists),
      },
      PROMISED.networkAllocated,
    );

    await swarm.create(service('user', { networks: ['fresh'], on: [w1.name] }));
    await swarm.settled();
    const used = await look();
    await evidence('networks, fresh one used on w1', used);
    for (const [node, lines] of Object.entries(wrongLists(used, [...swarm.managers, w1])))
      judge(`what is wrong on ${node}, once a task on w1 uses it`, sameMembers([], lines), { node });

    // Which nodes have an endpoint on a network is told by gossip, on that network alone.
    const users: Record<string, readonly Node[]> = { [ingress]: swarm.nodes, front: [w1, w2], fresh: [w1] };
    await watch(
      'peers are the nodes that use a network',
      {
        look: () =>
          swarm.everywhere(async (node) => {
            const own = Object.keys(users).filter((name) => users[name]?.includes(node));
            return Promise.all(own.map((name) => node.network(name)));
          }),
        wrong: (seen) =>
          wrongOnEach(seen, (networks) =>
            networks.flatMap(({ name, peers }) => {
              const expected = users[name]?.map(({ address }) => address) ?? [];
              return complaint(`peers on ${name}`, sameMembers(expected, peers));
            }),
          ),
        keep: (seen) => evidence('networks where they are used', seen),
      },
      PROMISED.namesFollowTasks,
    );

    // What one manager creates the others list just as soon, though none of them is told before it is asked.
    await swarm.setRole(w2, 'manager');
    await converge(
      'w2 is a manager once promoted',
      async () => complaint('answer to the list of nodes', acceptedBy(await answerTo(w2.api.listNodes()))),
      PROMISED.promoted,
    );
    await swarm.createNetwork(network('later'), w2);
    const byTwo = await look();
    await evidence('networks right after one was created on another manager', byTwo);
    for (const { name, role } of swarm.nodes) {
      const due = [ingress, 'front', 'fresh', ...(role === 'manager' ? ['later'] : [])];
      judge(`networks that ${name} lists once w2 has created one`, sameMembers(due, namesIn(byTwo, name)), {
        node: name,
      });
    }

    /** Networks of this clause that a node lists, by name. */
    function namesIn(lists: Record<string, ListedNetwork[]>, node: string): string[] {
      const own = [ingress, 'front', 'fresh', 'later'];
      return lists[node]?.map(({ name }) => name).filter((name) => own.includes(name)) ?? [];
    }

    /** Every node lists what it uses, with the id that the manager knows it by; `fresh` is known to those alone. */
    function wrongLists(
      lists: Record<string, ListedNetwork[]>,
      knowFresh: readonly Node[],
    ): Record<string, string[]> {
      const ids = new Map(lists[swarm.manager.name]?.map(({ name, id }) => [name, id]));
      const problems = swarm.nodes.map((node) => {
        const expected = [ingress, 'front', ...(knowFresh.includes(node) ? ['fresh'] : [])];
        const seen = lists[node.name]?.filter(({ name }) => [ingress, 'front', 'fresh'].includes(name)) ?? [];
        const list = complaint(
          `networks that ${node.name} lists`,
          sameMembers(
            expected.map((name) => `${name} ${ids.get(name)} overlay swarm`),
            seen.map(({ name, id, driver, scope }) => `${name} ${id} ${driver} ${scope}`),
          ),
        );
        return [node.name, list] as const;
      });
      return Object.fromEntries(problems);
    }
  }),
);
