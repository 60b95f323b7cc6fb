import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  allAnswered,
  answeredBy,
  balancersOverTime,
  converge,
  type DnsSample,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  laidOver,
  meanwhile,
  namesOverTime,
  networkIn,
  paceNow,
  pass,
  type Swarm,
  sameMembers,
  service,
  serviceIn,
  type TaskLife,
  tableOf,
  vipOf,
  weightsOf,
} from '../../fixtures/domain.ts';
import { DRAIN_MS, lifecycle, SECOND } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

/** Port of the services that these clauses create. */
const PORT = 8095;

/** Asks a task of the workload whether it is well, every few seconds: each check is an exec. */
const checked = (more: object) => ({
  TaskTemplate: {
    ContainerSpec: {
      Healthcheck: {
        Test: ['CMD', 'workload', 'health'],
        Interval: 8 * SECOND,
        Timeout: 20 * SECOND,
        ...more,
      },
    },
  },
});

/** Makes a task of the workload say that it is well, or that it is not. */
async function setHealth(
  swarm: Swarm,
  task: Parameters<Swarm['inside']>[0],
  to: 'up' | 'down',
): Promise<number> {
  const own = endpoint('127.0.0.1', HTTP_PORT);
  return first(await swarm.inside(task).probe({ kind: 'http', to: own, path: `/health?set=${to}` })).at;
}

test(
  ...clause('LIFE-002', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const also = checked({ StartPeriod: 600 * SECOND });
    await swarm.create(service('late', { replicas: 2, publish: PORT, env: { HEALTH: 'down' }, also }));
    const tasks = async () => (await swarm.history('late')).toSorted((a, b) => a.slot - b.slot);
    const notUp = async () => {
      const up = (await swarm.lives('late')).filter(({ life }) => life?.pid);
      return up.length === 2 ? [] : [`${up.length} of 2 containers run`];
    };
    await converge('both containers run', notUp, OURS.taskReplaced);
    // A task that is starting has told the managers of no process yet.
    const [one, other] = (await swarm.lives('late'))
      .toSorted((a, b) => a.slot - b.slot)
      .map((task) => ({ ...task, pid: task.life?.pid ?? 0 })) as [TaskLife, TaskLife];

    const view = await swarm.view();
    const late = serviceIn(view, 'late');
    const states: string[][] = [];
    const noteStates = async () => states.push((await tasks()).map(({ state }) => state));
    const run = (due: number) => async () => {
      const { length } = (await swarm.service('late')).tasks;
      return length === due ? [] : [`${length} tasks run`];
    };
    const wellAt: number[] = [];
    /** When the engine of its node found a task well for the first time: an engine remembers its last five checks alone. */
    const foundWellAt: number[] = [];
    const noteCheck = async ({ id }: TaskLife) => {
      const { life } = first((await swarm.lives('late')).filter((one) => one.id === id));
      foundWellAt.push(first((life?.checks ?? []).filter(({ exitCode }) => exitCode === 0)).at);
    };
    // New connections to the virtual IP and to the published port, while one of two tasks is well.
    const ask = () =>
      meanwhile(
        {
          inside: swarm
            .inside(first(serviceIn(view, 'client').tasks))
            .sending({ kind: 'http', to: endpoint(vipOf(late, 'front'), HTTP_PORT) }),
          outside: swarm.outsider.sending({ kind: 'http', to: endpoint(swarm.manager.address, PORT) }),
        },
        () => pass(OURS.quietMs),
        (seen) => evidence('requests while one task is well', seen),
      );
    let requests: Awaited<ReturnType<typeof ask>> | undefined;
    const [front, ingress] = [networkIn(view, 'front'), ingressNetwork(view)];
    const { tables, names } = await meanwhile(
      {
        tables: balancersOverTime(swarm, [front, ingress]),
        names: namesOverTime(swarm, serviceIn(view, 'client'), ['late', 'tasks.late']),
      },
      async () => {
        await pass(OURS.quietMs);
        await noteStates();
        wellAt.push(await setHealth(swarm, one, 'up'));
        await converge('the task that is well runs', run(1), OURS.taskReplaced);
        await noteCheck(one);
        await pass(OURS.quietMs);
        requests = await ask();
        await noteStates();
        wellAt.push(await setHealth(swarm, other, 'up'));
        await converge('the other runs, too', run(2), OURS.taskReplaced);
        await noteCheck(other);
        await pass(PROMISED.namesFollowTasks.withinMs * (await paceNow()));
        await noteStates();
      },
      (all) => evidence('names and tables all the while', all),
    );
    const lives = await tasks();
    await evidence('tasks, their states, and when they were made well', {
      lives,
      states,
      wellAt,
      foundWellAt,
    });
    expect(states, 'states before, when one was made well, and when both were').toEqual([
      ['starting', 'starting'],
      ['running', 'starting'],
      ['running', 'running'],
    ]);
    for (const [from, samples] of Object.entries(requests ?? {})) {
      judge(`requests from ${from}`, allAnswered(samples, 10));
      judge(
        `tasks that answered ${from}`,
        sameMembers(hostNamesOf({ name: 'late', tasks: [one] }), [...new Set(answeredBy(samples))]),
      );
    }
    const heardFirst = (node: string, address: string) =>
      names[node]?.find((sample) => !failed(sample) && addressesIn(sample).includes(address))?.at;
    // Whoever got no answer did not hear that a task is absent.
    for (const [node, samples] of Object.entries(names))
      judge(`questions on ${node} without an answer`, sameMembers([], unansweredIn(samples)), { node });
    const slowest = await paceNow();
    for (const [i, task] of lives.entries()) {
      expect(
        task.changedAt - Number(foundWellAt[i]),
        `ms from the first good check of ${task.containerName} to its running`,
      ).toBeLessThan(PROMISED.wellTaskRunsMs * slowest);
      const seen = [
        ...[front, ingress].flatMap((network) =>
          swarm.nodes.map((node) => {
            const table = tableOf(network, node);
            const weights = weightsOf(tables[table] ?? [], task.addresses[network.name] ?? 'none');
            return { where: `table of ${table}`, at: weights.find(({ weight }) => weight)?.at };
          }),
        ),
        ...Object.keys(names).flatMap((node) => [
          { where: `tasks.late on ${node}`, at: heardFirst(node, task.addresses.front ?? 'none') },
          ...(i === 0 ? [{ where: `late on ${node}`, at: heardFirst(node, vipOf(late, 'front')) }] : []),
        ]),
      ];
      for (const { where, at } of seen) {
        // It runs from its first good check on, which its node's engine tells the managers.
        const late = Number(at) - task.changedAt;
        expect(Number(at) - Number(wellAt[i]), `ms from being made well to ${where}`).toBeGreaterThan(0);
        expect(late, `ms from running to ${where}`).toBeLessThan(
          PROMISED.namesFollowTasks.withinMs * slowest,
        );
      }
    }
  }),
);

function unansweredIn(samples: readonly DnsSample[]): string[] {
  return samples.flatMap((sample) => (failed(sample) ? [`${sample.q}: ${sample.error}`] : []));
}

test(
  ...clause('LIFE-003', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const also = laidOver(
      checked({ Retries: 1, Interval: 15 * SECOND, StartPeriod: 60 * SECOND, StartInterval: 2 * SECOND }),
      { TaskTemplate: { RestartPolicy: { Delay: 0 } } },
    );
    await swarm.create(
      service('frail', { replicas: 2, publish: PORT, env: { DRAIN_MS: String(DRAIN_MS) }, also }),
    );
    const short = laidOver(also, { TaskTemplate: { ContainerSpec: { StopGracePeriod: SECOND } } });
    await swarm.create(service('stuck', { env: { IGNORE_TERM: '1' }, also: short }));
    await swarm.settled();
    const view = await swarm.view();
    const frail = serviceIn(view, 'frail');
    const ill = [first(frail.tasks), first(serviceIn(view, 'stuck').tasks)];
    const ended = async () =>
      Promise.all(
        ill.map(async ({ service: name, id }) =>
          first((await swarm.lives(name)).filter((one) => one.id === id)),
        ),
      );

    const [front, ingress] = [networkIn(view, 'front'), ingressNetwork(view)];
    const { inside, outside, tables, names } = await meanwhile(
      {
        inside: swarm
          .inside(first(serviceIn(view, 'client').tasks))
          .sending({ kind: 'http', to: endpoint(vipOf(frail, 'front'), HTTP_PORT) }),
        outside: swarm.outsider.sending({ kind: 'http', to: endpoint(swarm.manager.address, PORT) }),
        tables: balancersOverTime(swarm, [front, ingress]),
        names: namesOverTime(swarm, serviceIn(view, 'client'), ['tasks.frail', 'tasks.stuck']),
      },
      async () => {
        for (const task of ill) await setHealth(swarm, task, 'down');
        const wrong = async () =>
          (await ended()).filter(({ life }) => !life?.finishedAt).map(({ id }) => `${id} runs`);
        await converge('tasks that are not well end', wrong, PROMISED.illTaskEnds);
        await swarm.settled(OURS.taskReplaced);
      },
      (seen) => evidence('requests, names and tables all the while', seen),
    );
    const tasks = await ended();
    const [graceful, killed] = tasks;
    await evidence('the tasks that were not well', tasks);
    judge('requests from inside', allAnswered(inside, 10));
    judge('requests from outside', allAnswered(outside, 10));
    // A process that ends well when it is told to makes its task complete, whatever it was stopped for.
    expect(`${graceful?.state} ${graceful?.life?.exitCode}`, 'end of the task that heeds its signal').toBe(
      'complete 0',
    );
    expect(`${killed?.state} ${killed?.life?.exitCode}`, 'end of the task that ignores its signal').toBe(
      'failed 137',
    );
    expect(killed?.error, 'why that task failed').toContain('unhealthy');
    const slowest = await paceNow();
    for (const task of tasks) {
      const address = task.addresses.front ?? 'none';
      const failedAt = first((task.life?.checks ?? []).filter(({ exitCode }) => exitCode !== 0)).at;
      const gone = [
        ...[front, ingress]
          .filter(({ name }) => task.addresses[name])
          .flatMap((network) =>
            swarm.nodes.map((node) => {
              const table = tableOf(network, node);
              const weights = weightsOf(tables[table] ?? [], task.addresses[network.name] ?? 'none');
              return {
                where: `the table of ${table}`,
                at: weights.slice(1).some(({ weight }) => weight) ? undefined : weights[1]?.at,
              };
            }),
          ),
        ...Object.entries(names).map(([node, samples]) => {
          const own = samples.filter((sample) => sample.q === (task === killed ? 1 : 0));
          const last = own.findLastIndex(
            (sample) => !failed(sample) && addressesIn(sample).includes(address),
          );
          // Heard before, and then an answer without it: silence would tell nothing.
          const without = own.slice(last + 1).find((sample) => !failed(sample));
          return { where: `the name on ${node}`, at: last < 0 ? undefined : without?.at };
        }),
      ];
      for (const { where, at } of gone) {
        expect(
          Number(at) - failedAt,
          `ms from the failed check of ${task.containerName} to ${where} without it`,
        ).toBeLessThan(PROMISED.illTaskLeavesMs * slowest);
        expect(Number(at), `when ${where} was without ${task.containerName}, before its end`).toBeLessThan(
          Number(task.life?.finishedAt),
        );
      }
    }
  }),
);
