import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  answerTo,
  converge,
  first,
  identities,
  meanwhile,
  type Node,
  pass,
  sameMembers,
  servesEverywhere,
  serviceIn,
  tasksIn,
  usersOf,
  viewNodes,
} from '../../fixtures/domain.ts';
import { replaceable, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(replaceable, { managers: 1, workers: 1, spares: 2 });

test(
  ...clause('NODE-010', { disturbs: true, limitMs: 1_500_000 }, async ({ swarm, evidence }) => {
    const [m1, w1] = [swarm.node('m1'), swarm.node('w1')];
    const [s1, s2] = [first(swarm.spares), first(swarm.spares.slice(1))];
    const before = await swarm.view();
    const times: Record<string, number> = {};

    /** Does one step while users go on who have nothing to do with the node that goes, and has every witness heard after it. */
    const step = async (
      what: string,
      { stay, empty = [] }: { stay: readonly Node[]; empty?: readonly Node[] },
      action: () => Promise<void>,
    ) => {
      const view = await swarm.view();
      const remaining = stay.map(({ name }) => name);
      const asker = first(serviceIn(view, 'client').tasks.filter(({ node }) => remaining.includes(node)));
      const users = usersOf(
        { swarm, client: swarm.inside(asker), entries: stay },
        serviceIn(view, 'vote'),
        VOTE_PORT,
      );
      const traffic = await meanwhile(
        users,
        async () => {
          await action();
          times[what] = await converge(
            `${what}: every node of the Swarm takes part`,
            async () => {
              const { view: now, problems } = await swarm.agreement();
              const on = (tasks: readonly { node: string }[]) => new Set(tasks.map(({ node }) => node));
              const [clients, any] = [on(serviceIn(now, 'client').tasks), on(tasksIn(now))];
              return [
                ...swarm.nodes
                  .filter((node) => !empty.includes(node) && !clients.has(node.name))
                  .map(({ name }) => `no client runs on ${name}`),
                ...empty.filter(({ name }) => any.has(name)).map(({ name }) => `tasks run on ${name}`),
                ...problems,
              ];
            },
            PROMISED.tasksMoved,
          );
          await pass(OURS.afterwardsMs);
        },
        (seen) => evidence(`${what}: requests`, seen),
      );
      const after = await swarm.view();
      const answers = await servesEverywhere(swarm, after, 'vote', VOTE_PORT);
      const engines = Object.fromEntries(swarm.nodes.map(({ name, engine }) => [name, engine]));
      await evidence(what, { times, engines, view: after, answers });
      for (const [who, samples] of Object.entries(traffic))
        judge(`${what}: requests of the ${who}`, allAnswered(samples, 20));
      judge(`${what}: answers that no task of vote gave`, sameMembers([], answers.wrong));
      judge(`${what}: identities`, sameMembers(identities(before), identities(after)));
    };

    await step('two nodes more', { stay: [m1, w1] }, async () => {
      await swarm.join(s1, 'manager');
      await swarm.join(s2, 'worker');
    });
    await step('the old worker drained', { stay: [m1, s1, s2], empty: [w1] }, () =>
      swarm.setAvailability('w1', 'drain'),
    );
    await step('the old worker gone', { stay: [m1, s1, s2] }, () => swarm.leave(w1));
    await step('the old manager drained', { stay: [s1, s2], empty: [m1] }, () =>
      swarm.setAvailability('m1', 'drain'),
    );
    await step('the old manager gone', { stay: [s1, s2] }, async () => {
      await swarm.setRole(m1, 'worker');
      times['m1 is no manager'] = await converge(
        'm1 is no manager any more',
        () => managing(m1, s1),
        PROMISED.leaderElected,
      );
      await swarm.leave(m1);
    });
  }),
);

/** What keeps a manager from having handed over to another: an engine says by itself whether it is one, and only a Swarm with a leader answers. */
async function managing(former: Node, other: Node): Promise<string[]> {
  const { Swarm } = (await former.api.info()) as { Swarm: { ControlAvailable: boolean } };
  let leaders: string[] = [];
  // Refused for a moment while the Swarm has no leader (swarmkit manager/raftproxy); no answer at all is another matter.
  await answerTo(
    viewNodes(other.api).then((list) => {
      leaders = list.filter(({ leader }) => leader).map(({ name }) => name);
    }),
  );
  return [
    ...(Swarm.ControlAvailable ? [`${former.name} is a manager`] : []),
    ...(leaders.join() === other.name ? [] : [`led by ${leaders.join() || 'nobody'}`]),
  ];
}
