import { PROMISED } from '../../fixtures/bounds.ts';
import {
  chosen,
  converge,
  now,
  randomWalk,
  type Step,
  type Swarm,
  sameMembers,
  servesEverywhere,
  serviceIn,
  tasksIn,
} from '../../fixtures/domain.ts';
import { seedOf } from '../../fixtures/seed.ts';
import { spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, type Evidence, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

/** Ours: the bounds of all steps together, with room for a slow lab. */
const LIMIT_MS = 1_200_000;

/** What an operator does all day, and what happens to tasks. */
const DAILY = ['scale', 'update', 'kill', 'drain'] as const;
type Deed = (typeof DAILY)[number] | 'restart';

test(
  ...clause('REG-004', { disturbs: true, limitMs: LIMIT_MS }, async ({ swarm, evidence }) => {
    const seed = seedOf('REG-004');
    for (const [i, step] of randomWalk(DAILY, seed, STEPS).entries())
      await stepped(swarm, step, `step ${i + 1} of SEED=${seed}`, evidence);
  }),
);

/** Each deed once: two minutes or three. */
const STEPS = DAILY.length;

test(
  ...clause('REG-013', { disturbs: true, limitMs: LIMIT_MS }, async ({ swarm, evidence, soakMs }) => {
    const seed = seedOf('REG-013');
    const until = now() + soakMs;
    let steps = 0;
    for (const step of randomWalk<Deed>([...DAILY, 'restart'], seed, MOST_STEPS)) {
      // However short the time is: a walk of no step would judge nothing.
      if (steps > 0 && now() > until) break;
      steps += 1;
      await stepped(swarm, step, `step ${steps} of SEED=${seed}`, evidence);
    }
    await evidence('steps', { seed, steps });
  }),
);

/** More than fit into any night. */
const MOST_STEPS = 10_000;

/** Does one thing, waits until it is done, and has every witness compared and every task asked from everywhere. */
async function stepped(
  swarm: Swarm,
  { deed, pick }: Step<Deed>,
  where: string,
  evidence: Evidence,
): Promise<void> {
  const { what, replaced } = await DEEDS[deed](swarm, pick);
  const name = `${where}: ${what}`;
  const took = await converge(
    name,
    async () => {
      const { view, problems } = await swarm.agreement();
      const left = tasksIn(view).filter(({ id }) => replaced.includes(id));
      return [...left.map(({ containerName }) => `${containerName} is listed`), ...problems];
    },
    PROMISED.reunited,
  );
  await swarm.cleared(PROMISED.nothingLeft);
  const view = await swarm.view();
  const requests = await servesEverywhere(swarm, view, 'vote', VOTE_PORT);
  await evidence(where, { what, took, view, requests });
  judge(`${name}: requests that no task of vote answered`, sameMembers([], requests.wrong));
}

/** What is done, told in words, and the ids of the tasks that must be gone afterwards. */
const DEEDS: Record<Deed, (swarm: Swarm, pick: number) => Promise<{ what: string; replaced: string[] }>> = {
  async scale(swarm, pick) {
    const name = chosen(['vote', 'pair'], pick);
    const { replicas: former } = await swarm.service(name);
    const others = [1, 2, 3, 4].filter((one) => one !== former);
    const replicas = chosen(others, Math.floor(pick / 2));
    await swarm.scale(name, replicas);
    return { what: `${name} scaled from ${former} to ${replicas}`, replaced: [] };
  },
  async update(swarm, pick) {
    const name = chosen(['vote', 'pair', 'agent', 'store'], pick);
    const { tasks } = await swarm.service(name);
    await swarm.replaceTasks({ name });
    return { what: `tasks of ${name} replaced`, replaced: tasks.map(({ id }) => id) };
  },
  async kill(swarm, pick) {
    const task = chosen(tasksIn(await swarm.view()), pick);
    await swarm.kill(task);
    return { what: `${task.containerName} on ${task.node} killed`, replaced: [task.id] };
  },
  async drain(swarm) {
    // w1 alone: what may run there may run elsewhere, too.
    const tasks = tasksIn(await swarm.view()).filter(({ node }) => node === 'w1');
    const drained = !serviceIn(await swarm.view(), 'agent').tasks.some(({ node }) => node === 'w1');
    await swarm.setAvailability('w1', drained ? 'active' : 'drain');
    return {
      what: drained ? 'w1 active again' : 'w1 drained',
      replaced: drained ? [] : tasks.map(({ id }) => id),
    };
  },
  async restart(swarm, pick) {
    const node = chosen(swarm.workers, pick);
    const tasks = tasksIn(await swarm.view()).filter((task) => task.node === node.name);
    await node.endEngine(chosen(['TERM', 'KILL'], pick));
    await node.startEngine();
    return { what: `engine of ${node.name} restarted`, replaced: tasks.map(({ id }) => id) };
  },
};
