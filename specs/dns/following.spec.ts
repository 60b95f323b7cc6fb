import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  assume,
  comesAndGoesOnce,
  complaint,
  converge,
  EMBEDDED_DNS,
  failed,
  first,
  meanwhile,
  type ServiceView,
  type Swarm,
  sameMembers,
  serviceIn,
  type TaskView,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { names } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(names);

/** The names by which `farm` is asked for: its own ones, and those of its alias. */
const OWN_NAMES = ['farm', 'tasks.farm'];
const FARM = [...OWN_NAMES, 'barn', 'tasks.barn'];

const onFront = ({ tasks }: ServiceView) => tasks.flatMap(({ addresses }) => addresses.front ?? []);

/** Has a task on each node, which is there all the while, ask for names again and again, each every so often; by node. */
async function askers(swarm: Swarm, names: readonly string[], everyMs: number) {
  const { tasks } = await swarm.service('web');
  assume(
    'nodes that are asked from',
    sameMembers(
      swarm.nodes.map(({ name }) => name),
      tasks.map(({ node }) => node),
    ),
  );
  const questions = names.map((name) => ({ name, type: 'A' }) as const);
  return Object.fromEntries(
    tasks.map((task) => [
      task.node,
      // One after another: the answers are in the order in which the engine gave them.
      swarm.inside(task).sending({
        kind: 'dns',
        server: EMBEDDED_DNS,
        questions,
        intervalMs: Math.floor(everyMs / names.length),
        window: 1,
      }),
    ]),
  );
}

/** When a task was told to end, by its own log (epoch ms). */
async function stopSignal(swarm: Swarm, task: TaskView): Promise<number> {
  const events = (await swarm.logs(task)).map((line) => JSON.parse(line) as { at: number; signal?: string });
  return first(events.filter(({ signal }) => signal === 'TERM')).at;
}

test(
  ...clause('DNS-017', { disturbs: true }, async ({ swarm, evidence }) => {
    // Whatever no task is named by any more is asked for outside, and must not keep the next query waiting.
    await swarm.upstream();
    const had = new Set<string>();
    const scaled = async (replicas: number) => {
      await swarm.scale('farm', replicas);
      const tasksRun = async () => {
        const farm = await swarm.service('farm');
        for (const address of onFront(farm)) had.add(address);
        return farm.tasks.length === replicas ? [] : [`${farm.tasks.length} of ${replicas} tasks run`];
      };
      await converge(`${replicas} tasks of farm run`, tasksRun, OURS.taskReplaced);
      await watch(
        `names stand for ${replicas} tasks`,
        {
          look: async () => {
            const view = await swarm.view();
            const others = { ...view, services: view.services.filter(({ name }) => name !== 'farm') };
            return { farm: serviceIn(view, 'farm'), heard: await swarm.hear(others, 'front', FARM) };
          },
          wrong: ({ farm, heard }) =>
            wrongOnEach(heard, (answers) =>
              FARM.flatMap((name) =>
                complaint(`records of ${name}`, sameMembers(onFront(farm), answers[name] ?? [])),
              ),
            ),
          keep: (seen) => evidence(`tasks and answers at ${replicas}`, seen),
        },
        PROMISED.namesFollowTasks,
      );
    };
    for (const address of onFront(await swarm.service('farm'))) had.add(address);

    const seen = await meanwhile(
      await askers(swarm, OWN_NAMES, 250),
      async () => {
        for (const replicas of [5, 2, 0]) await scaled(replicas);
      },
      (samples) => evidence('answers all the while', { had: [...had], samples }),
    );
    assume('tasks that there were', sameMembers(['5'], [String(had.size)]));
    for (const [node, samples] of Object.entries(seen))
      for (const [q, name] of OWN_NAMES.entries()) {
        const answers = samples.filter((one) => one.q === q);
        judge(
          `queries for ${name} without answer`,
          sameMembers(
            [],
            answers.filter(failed).map(({ error }) => error),
          ),
          { node },
        );
        const told = answers.map((one) => (failed(one) ? [] : addressesIn(one)));
        judge(
          `addresses under ${name} that no task had`,
          sameMembers(
            [],
            told.flat().filter((one) => !had.has(one)),
          ),
          { node },
        );
        judge(`addresses under ${name} over time`, comesAndGoesOnce(told), { node });
      }
  }),
);

test(
  ...clause('DNS-018', { disturbs: true }, async ({ swarm, evidence }) => {
    const everyMs = 100;
    // Whatever no task is named by any more is asked for outside, and must not keep the next query waiting.
    await swarm.upstream();
    const { tasks: former } = await swarm.service('farm');
    const haveEnded = async () => {
      const records = await swarm.history('farm');
      const states = former.map(({ id }) => records.find((record) => record.id === id)?.state ?? 'gone');
      return states.every((state) => state === 'shutdown') ? [] : [`former tasks: ${states.join(', ')}`];
    };
    // The agent takes the task out of DNS, waits for the others to hear of it, and only then stops the container.
    const seen = await meanwhile(
      await askers(swarm, OWN_NAMES, everyMs),
      async () => {
        await swarm.update('farm', { UpdateConfig: { Parallelism: 0 }, TaskTemplate: { ForceUpdate: 1 } });
        await converge('the former tasks have ended', haveEnded, OURS.taskReplaced);
      },
      (samples) => evidence('answers all the while', { former, samples }),
    );
    const signals = await Promise.all(
      former.map(async (task) => ({ task, at: await stopSignal(swarm, task) })),
    );
    const margins = signals.flatMap(({ task, at }) =>
      Object.entries(seen).flatMap(([node, samples]) =>
        OWN_NAMES.map((name, q) => {
          const { ownNode, otherNodes } = PROMISED.leavesDnsBeforeSignalMs;
          const due = node === task.node ? ownNode : otherNodes;
          const answers = samples.flatMap((one) =>
            failed(one) || one.q !== q ? [] : { at: one.at, told: addressesIn(one) },
          );
          const holding = answers.filter(({ told }) => told.some((one) => one === task.addresses.front));
          return {
            task: task.containerName,
            node,
            name,
            due,
            answersInThatTime: answers.filter((one) => one.at >= at - due && one.at < at).length,
            heard: holding.length,
            lastHeardMsBefore: Math.round(at - Math.max(...holding.map((one) => one.at))),
          };
        }),
      ),
    );
    await evidence('how long before its signal each task was last heard of', { signals, margins });
    for (const { task, node, name, due, answersInThatTime, heard, lastHeardMsBefore } of margins) {
      const sees = heard > 0 && answersInThatTime >= due / everyMs / 3;
      assume(
        `queries for ${name} on ${node}`,
        sameMembers(['enough'], [sees ? 'enough' : `${heard}, ${answersInThatTime}`]),
      );
      expect(
        lastHeardMsBefore,
        `time from ${task} last told as ${name} on ${node} to its signal (ms)`,
      ).toBeGreaterThanOrEqual(due);
    }
  }),
);
