import { PROMISED } from '../../fixtures/bounds.ts';
import {
  ingressNetwork,
  network,
  removeWithPort,
  sameMembers,
  servesEverywhere,
  service,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('REG-041', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    await removeWithPort(swarm, 'vote', VOTE_PORT);
    await swarm.removeNetwork(ingressNetwork(await swarm.view()).name);
    await swarm.createNetwork(network('mesh', { Ingress: true }));
    // None on the manager: it has no other reason to join the new network than that it is the ingress network.
    await swarm.create(service('vote', { replicas: 2, on: ['w1', 'w2'], publish: VOTE_PORT }));
    await swarm.settled(PROMISED.portAnswers);
    const view = await swarm.view();
    const answers = await servesEverywhere(swarm, view, 'vote', VOTE_PORT);
    await evidence('services, and answers', { view, answers });
    judge('answers that no task of vote gave', sameMembers([], answers.wrong));
  }),
);
