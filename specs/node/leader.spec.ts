import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  assume,
  converge,
  first,
  holdersOfAddresses,
  identities,
  type ListedNode,
  meanwhile,
  now,
  type SwarmView,
  sameMembers,
  service,
  serviceIn,
  unready,
  usersOf,
  viewNodes,
} from '../../fixtures/domain.ts';
import { measureFailures } from '../../fixtures/measure.ts';
import { governed, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(governed, { managers: 3, workers: 1 });

test(
  ...clause('NODE-006', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence, measure }) => {
    const before = await swarm.view();
    const former = leaderIn(await viewNodes(swarm.manager.api));
    const lost = swarm.node(first(former));
    assume(
      'vote on the leader',
      sameMembers(
        [],
        serviceIn(before, 'vote')
          .tasks.map(({ node }) => node)
          .filter((node) => node === lost.name),
      ),
    );
    const entries = swarm.nodes.filter((node) => node !== lost);
    const client = await swarm.client();
    const question = { name: 'vote', type: 'A' } as const;
    const ongoing = {
      ...usersOf({ swarm, client, entries }, serviceIn(before, 'vote'), VOTE_PORT),
      'client by name': client.sending({
        kind: 'name',
        server: '127.0.0.11',
        question,
        port: 80,
        intervalMs: 500,
      }),
    };

    // Requests are the kernel's business: they pass no manager, whoever leads.
    const times: Record<string, number> = {};
    const traffic = await meanwhile(
      ongoing,
      async () => {
        // Others may lead before its engine is seen to be gone.
        const killed = now('the leader is killed');
        await lost.endEngine('KILL');
        await converge(
          'the others have another leader',
          async () => {
            const lists = await Promise.all(
              swarm.managers.filter(({ up }) => up).map(({ api }) => viewNodes(api)),
            );
            return lists.flatMap((list) => {
              const leaders = leaderIn(list);
              return leaders.length === 1 && leaders[0] !== lost.name
                ? []
                : [`led by ${leaders.join(' and ') || 'nobody'}`];
            });
          },
          PROMISED.leaderElected,
        );
        times['another leads'] = now('another leads') - killed - PROMISED.leaderElected.holdMs;
        measure('convergence-leader-loss', times['another leads']);
        for (let i = 1; i <= 5; i += 1) await swarm.create(service(`new${i}`, { on: ['m3', 'w1'] }));
        times['new services, after that'] = await swarm.settled(PROMISED.tasksMoved);
      },
      (seen) => evidence('requests', seen),
    );
    measureFailures(measure, 'failed-leader-loss', ...Object.values(traffic));
    const after = await swarm.view();
    const holders = await holdersOfAddresses(swarm, after);
    await evidence('before and after', { times, former, before, after, holders });
    for (const [who, samples] of Object.entries(traffic))
      judge(`requests of the ${who}`, allAnswered(samples, 20));
    judge('identities', sameMembers(identities(before), identities(without(after, 'new'))));
    const shared = Object.values(holders)
      .flatMap((one) => Object.entries(one))
      .filter(([, who]) => who.length > 1)
      .map(([address, who]) => `${address}: ${who.join(' and ')}`);
    judge('addresses with more than one holder', sameMembers([], shared));

    const elected = leaderIn(await viewNodes(swarm.manager.api));
    await lost.startEngine();
    times['the former leader is back'] = await converge(
      'the former leader follows',
      async () => {
        const lists = await Promise.all(swarm.managers.map(({ api }) => viewNodes(api)));
        const leaders = [...new Set(lists.map((list) => leaderIn(list).join(' and ') || 'nobody'))];
        if (leaders.length !== 1 || leaders.join().includes(' and '))
          return [`managers say they are led by ${leaders.join(', by ')}`];
        return lists.flatMap((list) => [
          ...unready(
            list,
            swarm.nodes.map(({ name }) => name),
          ),
          ...leaderIn(list)
            .filter((name) => name === lost.name)
            .map((name) => `${name} leads`),
        ]);
      },
      PROMISED.nodeBack,
    );
    times['settled, after that'] = await swarm.settled(PROMISED.reunited);
    await evidence('the former leader is back', {
      times,
      elected,
      nodes: await viewNodes(swarm.manager.api),
    });
  }),
);

function leaderIn(list: readonly ListedNode[]): string[] {
  return list.filter(({ leader }) => leader).map(({ name }) => name);
}

function without(view: SwarmView, prefix: string): SwarmView {
  return { ...view, services: view.services.filter(({ name }) => !name.startsWith(prefix)) };
}
