import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  converge,
  endpoint,
  identities,
  now,
  paceNow,
  sameMembers,
  servesEverywhere,
  unreadyAnywhere,
  viewNodes,
} from '../../fixtures/domain.ts';
import { governed, STORE_PORT, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(governed, { managers: 3, workers: 1 });

test(
  ...clause('NODE-008', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const ids = (await viewNodes(swarm.manager.api)).map(({ id, name }) => `${name} ${id}`);
    await Promise.all(swarm.nodes.map((node) => node.endEngine('TERM')));
    await Promise.all(swarm.nodes.map((node) => node.startEngine()));
    const started = now();

    const ready = await converge('all are ready', () => unreadyAnywhere(swarm), PROMISED.swarmBack);
    const settled = await swarm.settled(PROMISED.reunited);
    const whole = now() - started - PROMISED.reunited.holdMs;
    await swarm.cleared(PROMISED.nothingLeft);
    const to = swarm.nodes.flatMap(({ address }) =>
      [VOTE_PORT, STORE_PORT].map((port) => endpoint(address, port)),
    );
    const view = await swarm.view();
    const [mesh, answers] = await Promise.all([
      swarm.outsider.probe({ kind: 'http', to, count: 4, rounds: true }),
      servesEverywhere(swarm, view, 'vote', VOTE_PORT),
    ]);
    const nodes = await viewNodes(swarm.manager.api);
    await evidence('before and after', {
      times: { ready, settled, whole },
      before,
      view,
      nodes,
      mesh,
      answers,
    });
    judge(
      'nodes',
      sameMembers(
        ids,
        nodes.map(({ id, name }) => `${name} ${id}`),
      ),
    );
    judge('identities', sameMembers(identities(before), identities(view)));
    judge('requests to published ports', allAnswered(mesh, to.length * 4));
    judge('answers that no task of vote gave', sameMembers([], answers.wrong));
    expect(whole, 'ms from the start of all engines until all is well').toBeLessThan(
      PROMISED.swarmBack.withinMs * (await paceNow()),
    );
  }),
);
