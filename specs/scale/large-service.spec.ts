import { PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  allAnswered,
  answeredBy,
  complaint,
  endpoint,
  evenCounts,
  first,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  markOfVip,
  networkIn,
  sameMembers,
  serversOf,
  serviceIn,
  strictRotation,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { largeService, MANY_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(largeService);

test(
  ...clause('SCALE-003', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const many = serviceIn(view, 'many');
    const networks = [networkIn(view, 'front'), ingressNetwork(view)];
    await watch(
      'all tasks of a large service are in names and balancers',
      {
        // By TCP, since thirty addresses just fit into a datagram of 512 bytes, and only where the name is compressed.
        look: async () => ({
          balancers: await swarm.balancers(view, ['ipvs', 'rules']),
          heard: await swarm.hear(view, 'front', ['tasks.many'], { proto: 'tcp' }),
        }),
        wrong: ({ balancers, heard }) =>
          Object.fromEntries(
            swarm.nodes.map(({ name }) => {
              const tables = networks.flatMap((network) => {
                const own = balancers.find((one) => one.node === name && one.network === network.name);
                const servers = own
                  ? serversOf(own.state, markOfVip(own.state, vipOf(many, network.name), own.markChain))
                  : [];
                return complaint(
                  `servers on ${network.name}`,
                  sameMembers(addressesOf(many, network.name), servers),
                );
              });
              const names = sameMembers(addressesOf(many, 'front'), heard[name]?.['tasks.many'] ?? []);
              return [name, [...tables, ...complaint('addresses of tasks.many', names)]];
            }),
          ),
        keep: (seen) => evidence('balancers and names', seen),
      },
      PROMISED.namesFollowTasks,
    );

    const ask = (port: number, ip: string) => ({ kind: 'http', to: endpoint(ip, port), count: 120 }) as const;
    const client = first(serviceIn(view, 'client').tasks);
    const inside = await swarm.inside(client).probe(ask(HTTP_PORT, vipOf(many, 'front')));
    const outside = await swarm.outsider.probe(ask(MANY_PORT, swarm.manager.address));
    await evidence('answers', { inside, outside });
    for (const [from, samples] of Object.entries({ inside, outside })) {
      judge(`requests from ${from}`, allAnswered(samples, 120));
      judge(`tasks that answer ${from}, four times each`, evenCounts(answeredBy(samples), hostNamesOf(many)));
      judge(`tasks that answer ${from} in turn`, strictRotation(answeredBy(samples), hostNamesOf(many)));
    }
  }),
);
