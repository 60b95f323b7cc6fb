import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  converge,
  failed,
  meanwhile,
  sameMembers,
  servesEverywhere,
  serviceIn,
  tasksIn,
  unready,
  usersOf,
  viewNodes,
} from '../../fixtures/domain.ts';
import { spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('REG-003', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const workers = [swarm.node('w1'), swarm.node('w2')];

    // Both forget what they knew and tell anew what they have, while the service that is on both is replaced under way. By default
    // the update would rest as soon as a new task ends with its engine.
    await Promise.all([
      swarm.update('vote', {
        UpdateConfig: { Parallelism: 1, FailureAction: 'continue' },
        TaskTemplate: { ForceUpdate: 1 },
      }),
      ...workers.map(async (node) => {
        await node.endEngine('KILL');
        await node.startEngine();
      }),
    ]);
    const former = tasksIn(before).filter(({ service, node }) => service === 'vote' || node !== 'm1');
    const ready = await converge(
      'both are ready, and their tasks are others',
      async () => {
        const now = tasksIn(await swarm.view()).map(({ id }) => id);
        const left = former.filter(({ id }) => now.includes(id));
        const nodes = await viewNodes(swarm.manager.api);
        return [
          ...unready(nodes, ['w1', 'w2']),
          ...left.map(({ containerName }) => `${containerName} is listed`),
        ];
      },
      PROMISED.tasksMoved,
    );
    const settled = await swarm.settled(PROMISED.reunited);
    const after = await swarm.view();
    const requests = await servesEverywhere(swarm, after, 'vote', VOTE_PORT);
    await evidence('times, services and requests', { ready, settled, before, after, requests });
    judge('requests that no task of vote answered', sameMembers([], requests.wrong));
  }),
);

test(
  ...clause('REG-055', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const w1 = swarm.node('w1');
    const entries = swarm.nodes.filter((node) => node !== w1);
    const client = await swarm.client();

    // Tasks and kernel of w1 go on; its engine answers neither peers nor managers, so that peers take w1 for dead.
    const times: Record<string, number> = {};
    const traffic = await meanwhile(
      usersOf({ swarm, client, entries }, serviceIn(before, 'vote'), VOTE_PORT),
      async () => {
        await w1.freezeEngine();
        times['w1 taken for dead'] = await swarm.settled(PROMISED.lossNoticed, { apart: [w1] });
        await w1.thawEngine();
        times['w1 part of it again'] = await swarm.settled(PROMISED.namesReturn);
      },
      (seen) => evidence('requests', seen),
    );
    const after = await swarm.view();
    const requests = await servesEverywhere(swarm, after, 'vote', VOTE_PORT);
    await evidence('times, services and requests', { times, before, after, requests });
    for (const [who, samples] of Object.entries(traffic)) {
      expect(samples.length, `requests of the ${who}`).toBeGreaterThan(20);
      const failures = samples.filter(failed).length;
      const most = Math.ceil(OURS.failuresAtLoss * samples.length);
      expect(failures, `failures of ${samples.length} requests of the ${who}`).toBeLessThanOrEqual(most);
    }
    judge('requests that no task of vote answered', sameMembers([], requests.wrong));
  }),
);
