import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  askEveryNode,
  complaint,
  endpoint,
  failed,
  HTTP_PORT,
  hostNamesOf,
  meanwhile,
  removeAndStop,
  sameMembers,
  service,
  serviceIn,
  strictRotation,
  tracesOfPort,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('MESH-015', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    await removeAndStop(swarm, 'vote');
    await watch(
      'no node knows the port any more',
      {
        look: () => tracesOfPort(swarm, VOTE_PORT),
        wrong: (seen) =>
          wrongOnEach(seen, ({ answers, rules, listeners, marks, ipvs }) => [
            ...complaint('requests', sameMembers(['refused in connect'], [...new Set(answers)])),
            ...complaint('rules', sameMembers([], rules)),
            ...complaint('sockets', sameMembers([], listeners)),
            ...complaint('marks', sameMembers([], marks)),
            ...complaint('IPVS services', sameMembers([], ipvs)),
          ]),
        keep: (seen) => evidence('traces of the port after the removal', seen),
      },
      PROMISED.portCloses,
    );

    // The counts of who uses a port must have come down to nothing, or it is not opened anew.
    await swarm.create(service('next', { publish: VOTE_PORT, on: ['w1'] }));
    await watch(
      'another service runs',
      {
        look: () => swarm.service('next'),
        wrong: ({ tasks }) => ({ w1: tasks.length === 1 ? [] : ['no task yet'] }),
        keep: (seen) => evidence('the other service', seen),
      },
      OURS.taskReplaced,
    );
    const tasks = hostNamesOf(await swarm.service('next'));
    await watch(
      'every node answers on the port for another service',
      {
        look: () => askEveryNode(swarm, VOTE_PORT, { count: 2, timeoutMs: OURS.connectMs }),
        wrong: (seen) =>
          wrongOnEach(seen, (samples) =>
            complaint('answers', sameMembers(tasks, [...new Set(answeredBy(samples))])),
          ),
        keep: (seen) => evidence('answers of the other service', seen),
      },
      PROMISED.portAnswers,
    );
  }),
);

test(
  ...clause('MESH-016', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    // Asked at m1, which runs no task: two generations of the service overlap there with one address and one DNAT rule.
    const to = endpoint(swarm.manager.address, VOTE_PORT);
    for (const [what, numbers] of [
      ['is added', [VOTE_PORT, ADDED_PORT]],
      ['is taken away', [VOTE_PORT]],
    ] as const) {
      const old = (await swarm.service('vote')).tasks.map(({ id }) => id);
      const { requests } = await meanwhile(
        {
          requests: swarm.outsider.sending({
            kind: 'http',
            to,
            intervalMs: 200,
            timeoutMs: OURS.connectMs,
          }),
        },
        async () => {
          const Ports = numbers.map((number) => ({
            PublishedPort: number,
            TargetPort: HTTP_PORT,
            Protocol: 'tcp',
          }));
          // Only a healthy task is balanced: without a check requests would reach tasks that do not listen yet, which is no fault
          // of the port.
          await swarm.update('vote', {
            UpdateConfig: { Order: 'start-first' },
            EndpointSpec: { Ports },
            TaskTemplate: { ContainerSpec: { Healthcheck: HEALTH_CHECK } },
          });
          await watch(
            'two new tasks run in place of the old ones',
            {
              look: () => swarm.history('vote'),
              wrong: (tasks) => ({
                [swarm.manager.name]: [
                  ...complaint(
                    'running tasks',
                    sameMembers(
                      ['2'],
                      [
                        String(
                          tasks.filter(({ id, state }) => state === 'running' && !old.includes(id)).length,
                        ),
                      ],
                    ),
                  ),
                  ...tasks
                    .filter(({ id, state }) => state === 'running' && old.includes(id))
                    .map(({ id }) => `${id} still runs`),
                ],
              }),
              keep: (seen) => evidence(`tasks when a port ${what}`, seen),
            },
            { ...OURS.taskReplaced, holdMs: OURS.afterwardsMs },
          );
        },
        (seen) => evidence(`requests while a port ${what}`, seen),
      );
      const gaps = requests.filter((request, i) => failed(request) && failed(requests[i + 1] ?? {})).length;
      judge(
        `requests that failed, and the next one, too, while a port ${what}`,
        sameMembers(['0'], [String(gaps)]),
      );

      const tasks = hostNamesOf(await swarm.service('vote'));
      for (const number of numbers) {
        await watch(
          `every node answers on port ${number} for all tasks in turn after a port ${what}`,
          {
            look: () => askEveryNode(swarm, number, { count: 2 * tasks.length, timeoutMs: OURS.connectMs }),
            wrong: (seen) =>
              wrongOnEach(seen, (samples) =>
                complaint('tasks that answer in turn', strictRotation(answeredBy(samples), tasks)),
              ),
            keep: (seen) => evidence(`answers on port ${number} after a port ${what}`, seen),
          },
          PROMISED.balancersFollowTasks,
        );
      }
    }
  }),
);

/** Asks the workload itself (workload.pl), once a second; in the API's own unit, ns. */
const HEALTH_CHECK = { Test: ['CMD', '/usr/bin/workload', 'health'], Interval: 1e9, Retries: 30 };

/** Published beside the first for a while. */
const ADDED_PORT = 8085;

test(
  ...clause('MESH-017', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = hostNamesOf(await swarm.service('vote'));
    await swarm.setAvailability('w2', 'drain');
    await watch(
      'the tasks of the drained node run elsewhere',
      {
        look: () => swarm.view(),
        wrong: (view) => {
          const { tasks } = serviceIn(view, 'vote');
          const there = view.services.flatMap((one) => one.tasks).filter(({ node }) => node === 'w2');
          return {
            w2: there.map(({ containerName }) => `${containerName} still runs`),
            w1: tasks.length === 2 ? [] : [`${tasks.length} tasks run`],
          };
        },
        keep: (seen) => evidence('services after the drain', seen),
      },
      OURS.taskReplaced,
    );
    const tasks = hostNamesOf(await swarm.service('vote'));
    await evidence('tasks before and after', { before, tasks });
    // w2 runs nothing and takes nothing, and m1 never did; still what enters there crosses ingress to w1, task after task.
    await watch(
      'every node answers for all tasks in turn',
      {
        look: () => askEveryNode(swarm, VOTE_PORT, { count: 2 * tasks.length, timeoutMs: OURS.connectMs }),
        wrong: (seen) =>
          wrongOnEach(seen, (samples) =>
            complaint('tasks that answer in turn', strictRotation(answeredBy(samples), tasks)),
          ),
        keep: (seen) => evidence('answers after the drain', seen),
      },
      PROMISED.balancersFollowTasks,
    );
  }),
);
