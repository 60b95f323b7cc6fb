import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  clockAt,
  converge,
  endpoint,
  meanwhile,
  now,
  paceNow,
  pass,
  type Swarm,
  sameMembers,
  serviceIn,
  since,
  tasksIn,
  unfinished,
  unready,
  usersOf,
  viewNodes,
} from '../../fixtures/domain.ts';
import { measureFailures } from '../../fixtures/measure.ts';
import { AGENT_PORT, STORE_PORT, spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('NODE-003', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence, measure }) => {
    const before = await swarm.view();
    const w1 = swarm.node('w1');
    const entries = swarm.nodes.filter((node) => node !== w1);
    const client = await swarm.client();

    // Nobody says good-bye: peers miss its gossip, managers its heartbeats. Until then every third request goes to a task there.
    const times: Record<string, number> = {};
    let noticed = Number.NaN;
    const traffic = await meanwhile(
      usersOf({ swarm, client, entries }, serviceIn(before, 'vote'), VOTE_PORT),
      async () => {
        // The cable first: what dies tells nobody, not even by refusing connections.
        const started = now();
        await swarm.cut(w1);
        const lost = w1.lose();
        [times['names and balancers rid of w1'] = 0, times['w1 down'] = 0] = await Promise.all([
          swarm.settled(PROMISED.lossNoticed, { apart: [w1] }),
          converge(
            'w1 is down',
            async () => ((await unreadyIn(swarm)).includes('w1 is down') ? [] : ['w1 is not down']),
            PROMISED.lossNoticed,
          ),
        ]);
        await lost;
        noticed = await clockAt(swarm.outsider);
        times['tasks moved, after that'] = await swarm.settled(PROMISED.tasksMoved);
        times['from the loss until all is well'] = now() - started - PROMISED.tasksMoved.holdMs;
        measure('convergence-node-loss', times['from the loss until all is well']);
        await swarm.cleared(PROMISED.nothingLeft);
      },
      (seen) => evidence('requests', seen),
    );
    measureFailures(measure, 'failed-node-loss', traffic.client, traffic.outsider);
    const after = await swarm.view();
    await evidence('times in ms, and services', { times, before, after });
    expect(times['from the loss until all is well'], 'ms from the loss until all is well').toBeLessThan(
      PROMISED.tasksMoved.withinMs * (await paceNow()),
    );
    judge('tasks left behind on w1', sameMembers([], namesOn('w1', after)));
    for (const [who, samples] of Object.entries(traffic))
      judge(`requests of the ${who} once the loss was noticed`, allAnswered(since(samples, noticed), 20));
  }),
);

test(
  ...clause('NODE-004', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const w1 = swarm.node('w1');
    const before = await viewNodes(swarm.manager.api);
    const started = now();
    await swarm.cut(w1);

    // Both sides go on: w1 keeps its tasks, since nobody can tell it to end them, and the others start as many anew.
    await converge(
      'the others do without w1',
      async () => {
        const { problems } = await swarm.agreement({ apart: [w1] });
        const view = await swarm.view();
        return [...unfinished(view), ...namesOn('w1', view).map((name) => `${name} runs on w1`), ...problems];
      },
      PROMISED.tasksMoved,
    );
    await pass(Math.max(0, PARTITION_MS - (now() - started)));
    await evidence('while it is cut off', await swarm.view());

    await swarm.mend();
    const ready = await converge('w1 is ready', () => unreadyIn(swarm), PROMISED.nodeBack);
    const reunited = await swarm.settled(PROMISED.reunited);
    await swarm.cleared(PROMISED.nothingLeft);
    const answers = await swarm.outsider.probe({
      kind: 'http',
      to: [VOTE_PORT, AGENT_PORT, STORE_PORT].map((port) => endpoint(w1.address, port)),
      count: 6,
      rounds: true,
    });
    const [view, nodes, containers] = await Promise.all([
      swarm.view(),
      viewNodes(swarm.manager.api),
      w1.api.listContainers(),
    ]);
    await evidence('after it is back', { times: { ready, reunited }, view, nodes, containers, answers });
    judge('nodes', sameMembers(before.map(identity), nodes.map(identity)));
    // What it ran while it was away is ended: nobody lists it any more.
    const own = tasksIn(view).filter(({ node }) => node === 'w1');
    const running = containers.map(({ Id }) => Id);
    judge(
      'containers on w1',
      sameMembers(
        own.map(({ container }) => container),
        running,
      ),
      { node: 'w1' },
    );
    judge('requests to its published ports', allAnswered(answers, 18), { node: 'w1' });
  }),
);

/** Long enough for a manager to call a node down, and to have its tasks run elsewhere. */
const PARTITION_MS = 60_000;

function namesOn(node: string, view: Awaited<ReturnType<Swarm['view']>>): string[] {
  return tasksIn(view)
    .filter((task) => task.node === node)
    .map(({ containerName }) => containerName);
}

async function unreadyIn(swarm: Swarm): Promise<string[]> {
  const names = swarm.nodes.map(({ name }) => name);
  return unready(await viewNodes(swarm.manager.api), names);
}

function identity({ id, name, role }: { id: string; name: string; role: string }): string {
  return `${name} ${id} ${role}`;
}
