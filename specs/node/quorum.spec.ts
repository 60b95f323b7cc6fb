import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  answerTo,
  converge,
  EMBEDDED_DNS,
  first,
  HTTP_PORT,
  meanwhile,
  now,
  pass,
  refusedAs,
  sameMembers,
  service,
  serviceIn,
  unreadyAnywhere,
  usersOf,
} from '../../fixtures/domain.ts';
import { governed, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(governed, { managers: 3, workers: 1 });

test(
  ...clause('NODE-007', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const [m1, m2, m3, w1] = ['m1', 'm2', 'm3', 'w1'].map((name) => swarm.node(name));
    if (!m1 || !m2 || !m3 || !w1) throw new Error('not the nodes that were asked for');
    const client = await swarm.client();
    const vote = serviceIn(before, 'vote');
    const { Spec, Version } = await m3.api.getService(vote.id).inspect();

    // What is left is one manager of three, which cannot decide anything: names, balancers and tasks are as they were told last.
    const answers: Record<string, Awaited<ReturnType<typeof answerTo>>> = {};
    const onManager = first(vote.tasks.filter(({ node }) => node === m3.name));
    const question = { name: 'vote', type: 'A' } as const;
    const byName = {
      kind: 'name',
      server: EMBEDDED_DNS,
      question,
      port: HTTP_PORT,
      intervalMs: 500,
    } as const;
    const traffic = await meanwhile(
      {
        ...usersOf({ swarm, client, entries: [m3, w1] }, vote, VOTE_PORT),
        'client by name': client.sending(byName),
        'task on the manager by name': swarm.inside(onManager).sending(byName),
      },
      async () => {
        const started = now();
        await Promise.all([m1, m2].map((node) => node.endEngine('KILL')));
        const scaled = { ...Spec, Mode: { Replicated: { Replicas: 3 } }, version: Version.Index };
        const requests = {
          'create a service': swarm.create(service('late', { on: ['m3', 'w1'] })),
          'scale a service': m3.api.getService(vote.id).update(scaled as never),
          'create a network': swarm.createNetwork({ name: 'late', also: {} }),
        };
        await Promise.all(
          Object.entries(requests).map(async ([what, request]) => {
            answers[what] = await answerTo(request);
          }),
        );
        await pass(Math.max(0, WITHOUT_QUORUM_MS - (now() - started)));
      },
      (seen) => evidence('requests without a quorum', seen),
    );
    const heard = await client.addresses(['vote', 'tasks.vote']);
    await evidence('answers of the API, and names', { answers, heard: Object.fromEntries(heard) });
    for (const [what, answer] of Object.entries(answers))
      judge(`request to ${what}`, refusedAs(NO_MAJORITY, answer));
    for (const [who, samples] of Object.entries(traffic))
      judge(`requests of the ${who}`, allAnswered(samples, who.endsWith('name') ? 20 : 100));
    judge('vote', sameMembers([vote.vips.front ?? 'none'], heard.get('vote') ?? []));
    judge(
      'tasks.vote',
      sameMembers(
        vote.tasks.map(({ addresses }) => addresses.front ?? 'none'),
        heard.get('tasks.vote') ?? [],
      ),
    );

    await Promise.all([m1, m2].map((node) => node.startEngine()));
    const ready = await converge('all are ready', () => unreadyAnywhere(swarm), PROMISED.nodeBack);
    // What was refused is done now, and serves.
    await swarm.scale('vote', 3);
    await swarm.createNetwork({ name: 'later', also: {} });
    await swarm.create(service('later', { on: ['m3', 'w1'], networks: ['later'] }));
    const settled = await swarm.settled(PROMISED.reunited);
    const after = await swarm.view();
    await evidence('with a quorum again', { times: { ready, settled }, after });
    expect(serviceIn(after, 'vote').tasks, 'tasks of vote').toHaveLength(3);
    expect(serviceIn(after, 'later').tasks, 'tasks of a service that was created').toHaveLength(1);
  }),
);

/** A request runs out of time until the manager knows that it is alone, and is told why from then on. */
const NO_MAJORITY = {
  status: [500, 503],
  tells: [/deadline exceeded|more than half of the managers are online/],
};

/** How long traffic is watched without a quorum. */
const WITHOUT_QUORUM_MS = 30_000;
