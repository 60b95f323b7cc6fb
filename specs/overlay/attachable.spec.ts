import { PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  answerTo,
  attachments,
  complaint,
  converge,
  endpoint,
  HTTP_PORT,
  hostNamesOf,
  mountedNamespaces,
  type Node,
  network,
  networkIn,
  type PlainContainer,
  refusedAs,
  runContainer,
  sameMembers,
  serviceIn,
  viewNetworks,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { refuses } from '../../fixtures/refusals.ts';
import { overlays } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(overlays);

test(
  ...clause('OVERLAY-010', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const [m1, w1] = [swarm.manager, swarm.node('w1')];
    const fixed = addressLike(networkIn(view, 'front').subnet, 200);
    await refuses(
      [m1, w1].map((node) => ({
        what: `a container of ${node.name} on an overlay for services only`,
        ask: () => runContainer(node, { name: 'stranger', network: 'narrow' }),
        status: [403, 500],
        tells: ['not manually attachable'],
      })),
      async () => (await swarm.view()).networks.map(({ name }) => name),
      evidence,
    );

    // One on a manager, one on a worker, with a further name each; the second asks for an address.
    const [one, other] = await Promise.all([
      runContainer(m1, { name: 'one', network: 'front', also: attachedAs('front', { Aliases: ['eins'] }) }),
      runContainer(w1, {
        name: 'other',
        network: 'front',
        also: attachedAs('front', { Aliases: ['zwei'], IPAMConfig: { IPv4Address: fixed } }),
      }),
    ]);
    const ends = serviceIn(view, 'ends');
    const vip = vipOf(ends, 'front');
    const addressOf = async ({ api }: Node, { id }: PlainContainer): Promise<string> =>
      (await api.getContainer(id).inspect()).NetworkSettings.Networks.front?.IPAddress ?? 'none';
    const [oneAt, otherAt] = [await addressOf(m1, one), await addressOf(w1, other)];
    judge('address that was asked for', sameMembers([fixed], [otherAt]));
    await watch(
      'plain containers and services find each other on every node',
      {
        look: () =>
          swarm.everywhere(async ({ name }) => {
            const task = ends.tasks.find(({ node }) => node === name);
            const inside = { [m1.name]: one, [w1.name]: other }[name]?.inside ?? (task && swarm.inside(task));
            if (!inside) return { names: {}, answers: [] };
            const names = await inside.addresses(['ends', 'tasks.ends', 'one', 'eins', 'other', 'zwei']);
            const count = ends.tasks.length;
            const through = await inside.probe({ kind: 'http', to: endpoint(vip, HTTP_PORT), count });
            const direct = await inside.probe({
              kind: 'http',
              to: [oneAt, otherAt].map((address) => endpoint(address, HTTP_PORT)),
            });
            return { names: Object.fromEntries(names), answers: answeredBy([...through, ...direct]) };
          }),
        wrong: (seen) =>
          Object.fromEntries(
            Object.entries(seen).map(([node, { names, answers }]) => [
              node,
              [
                ...complaint('ends', sameMembers([vip], names.ends ?? [])),
                ...complaint(
                  'tasks.ends',
                  sameMembers(addressesOf(ends, 'front'), names['tasks.ends'] ?? []),
                ),
                ...['one', 'eins'].flatMap((name) =>
                  complaint(name, sameMembers([oneAt], names[name] ?? [])),
                ),
                ...['other', 'zwei'].flatMap((name) =>
                  complaint(name, sameMembers([otherAt], names[name] ?? [])),
                ),
                ...complaint(
                  'answers',
                  sameMembers(
                    [...hostNamesOf(ends), ...[one, other].map(({ id }) => id.slice(0, 12))],
                    answers,
                  ),
                ),
              ],
            ]),
          ),
        keep: (seen) => evidence('names and answers on each node', seen),
      },
      PROMISED.namesFollowTasks,
    );
    const lists = await swarm.everywhere(async ({ api }) => {
      const { Attachable } = await api.getNetwork(networkIn(view, 'front').id).inspect();
      return Attachable;
    });
    await evidence('front is attachable, by node', lists);
    judge(
      'nodes on which it is attachable no more',
      sameMembers(
        [],
        Object.keys(lists).filter((node) => !lists[node]),
      ),
    );

    // An address that somebody has is refused to the next, and nothing of the attempt is left to hold the network.
    await swarm.createNetwork(
      network('loose', { Attachable: true, IPAM: { Config: [{ Subnet: '10.66.0.0/24' }] } }),
    );
    const address = '10.66.0.66';
    const also = attachedAs('loose', { IPAMConfig: { IPv4Address: address } });
    const third = await runContainer(w1, { name: 'third', network: 'loose', also });
    const second = await answerTo(runContainer(w1, { name: 'fourth', network: 'loose', also }));
    await evidence('answer to a second container with the same address', second);
    judge(
      'answer to a second container with the same address',
      // The manager finds no address for it, and says nothing; the engine gives up waiting for one.
      refusedAs({ status: 500, tells: ['attaching to network failed'] }, second),
    );
    const { links } = await swarm.taskNamespace({ node: w1.name, container: third.id }, ['links']);
    const held = attachments({ name: '', inode: 0, links: links ?? [] }, [
      { name: 'loose', subnet: '10.66.0.0/24' },
    ]);
    judge(
      'address of the first',
      sameMembers(
        [`${address}/24`],
        held.filter(({ networks }) => networks.includes('loose')).flatMap(({ addresses }) => addresses),
      ),
    );
    const { id } = networkIn(await swarm.view(), 'loose');
    for (const name of ['third', 'fourth']) await w1.api.getContainer(name).remove({ force: true });
    await converge(
      'the network can be removed',
      async () => {
        const answer = await answerTo(swarm.removeNetwork('loose'));
        return answer.accepted ? [] : [answer.reason];
      },
      PROMISED.networkFreed,
    );
    await converge(
      'nothing of it is left on the node',
      async () => [
        ...(await viewNetworks(w1.api))
          .filter((listed) => listed.id === id)
          .map(({ name }) => `network ${name}`),
        ...(await mountedNamespaces(w1.toolbox)).filter((name) => name.includes(id.slice(0, 9))),
      ],
      PROMISED.networkGone,
    );
  }),
);

/** What a container says of its attachment to a network, in the words of Docker's API. */
function attachedAs(name: string, settings: object) {
  return { NetworkingConfig: { EndpointsConfig: { [name]: settings } } };
}

/** The address of a subnet that ends in this number. */
function addressLike(subnet: string, last: number): string {
  return `${subnet.slice(0, subnet.lastIndexOf('.'))}.${last}`;
}
