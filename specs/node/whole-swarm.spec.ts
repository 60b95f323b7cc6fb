import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  converge,
  endpoint,
  HTTP_PORT,
  identities,
  sameMembers,
  serviceIn,
  unreadyAnywhere,
  viewNodes,
  vipOf,
} from '../../fixtures/domain.ts';
import { governed, STORE_PORT, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(governed, { managers: 3, workers: 1 });

test(
  ...clause('NODE-008', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const ids = (await viewNodes(swarm.manager.api)).map(({ id, name }) => `${name} ${id}`);
    await Promise.all(swarm.nodes.map((node) => node.endEngine('TERM')));
    await Promise.all(swarm.nodes.map((node) => node.startEngine()));

    const ready = await converge('all are ready', () => unreadyAnywhere(swarm), PROMISED.swarmBack);
    const settled = await swarm.settled(PROMISED.reunited);
    const to = swarm.nodes.flatMap(({ address }) =>
      [VOTE_PORT, STORE_PORT].map((port) => endpoint(address, port)),
    );
    const view = await swarm.view();
    const [mesh, vip] = await Promise.all([
      swarm.outsider.probe({ kind: 'http', to, count: 4, rounds: true }),
      (await swarm.client()).probe({
        kind: 'http',
        to: endpoint(vipOf(serviceIn(view, 'vote'), 'front'), HTTP_PORT),
        count: 8,
      }),
    ]);
    const nodes = await viewNodes(swarm.manager.api);
    await evidence('before and after', { times: { ready, settled }, before, view, nodes, mesh, vip });
    judge(
      'nodes',
      sameMembers(
        ids,
        nodes.map(({ id, name }) => `${name} ${id}`),
      ),
    );
    judge('identities', sameMembers(identities(before), identities(view)));
    judge('requests to published ports', allAnswered(mesh, to.length * 4));
    judge('requests to the virtual IP', allAnswered(vip, 8));
  }),
);
