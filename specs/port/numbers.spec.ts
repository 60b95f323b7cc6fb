import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  askEveryNode,
  assume,
  complaint,
  first,
  HTTP_PORT,
  hostNamesOf,
  type ServiceView,
  type Swarm,
  sameMembers,
  service,
  watch,
  workloadUnderAnotherName,
} from '../../fixtures/domain.ts';
import { PUBLISHED, publishing } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(publishing);

/** Ports that the managers give by themselves (swarmkit manager/allocator/portallocator.go, dynamicPortStart and -End). */
const DYNAMIC = { first: 30_000, last: 32_767 };

test(
  ...clause('PORT-001', async ({ swarm, evidence }) => {
    const many = await swarm.service('many');
    const numbers = many.ports.map(({ published }) => published);
    const chosen = numbers.filter((port) => !PUBLISHED.many.some((fixed) => fixed === port));
    await evidence('the service', many);
    const seen = await Promise.all(
      numbers.map(async (port) => ({ port, answers: await askEveryNode(swarm, port, { count: 2 }) })),
    );
    await evidence('answers by port and node', seen);

    judge(
      'fixed ports',
      sameMembers(PUBLISHED.many.map(String), numbers.filter((port) => !chosen.includes(port)).map(String)),
    );
    judge("distinct ports of the engine's choice", sameMembers(['2'], [String(new Set(chosen).size)]));
    for (const port of chosen) {
      expect(port, "port of the engine's choice").toBeGreaterThanOrEqual(DYNAMIC.first);
      expect(port, "port of the engine's choice").toBeLessThanOrEqual(DYNAMIC.last);
    }
    judge(
      'what the API says of each',
      sameMembers(
        numbers.map((port) => `tcp ${port}->${HTTP_PORT} ingress`),
        many.ports.map(spelled),
      ),
    );
    for (const { port, answers } of seen) {
      for (const [node, samples] of Object.entries(answers))
        judge(
          `answers on port ${port} of ${node}`,
          sameMembers(hostNamesOf(many), [...new Set(answeredBy(samples))]),
          { node },
        );
    }
  }),
);

/** A published port in one line. */
function spelled({ protocol, published, target, mode }: ServiceView['ports'][number]): string {
  return `${protocol} ${published}->${target} ${mode}`;
}

test(
  ...clause('PORT-002', { disturbs: true }, async ({ swarm, evidence }) => {
    // A manager that chose anew would take another number: those that `many` gives back are lower.
    await swarm.create(service('kept', { publish: [{ target: HTTP_PORT }], on: ['w1'], also: AT_ONCE }));
    const start = await replaced(swarm, 1, []);
    await swarm.remove('many');
    const ports = start.ports.map(spelled);
    const [port] = start.ports;
    await evidence('the port at first', ports);
    assume(
      'lower numbers are free',
      sameMembers(['free'], [port && port.published > DYNAMIC.first ? 'free' : 'none']),
    );

    const steps: Record<string, () => Promise<void>> = {
      'scaled to two tasks': () => swarm.scale('kept', 2),
      'all tasks replaced': () => swarm.replaceTasks({ name: 'kept' }),
      'another image': async () => {
        const image = await workloadUnderAnotherName(swarm);
        await swarm.update('kept', { TaskTemplate: { ContainerSpec: { Image: image } } });
      },
    };
    let old = start.tasks.map(({ id }) => id);
    for (const [what, change] of Object.entries(steps)) {
      await change();
      const now = await replaced(swarm, 2, what.startsWith('scaled') ? [] : old);
      await evidence(`the service, ${what}`, now);
      judge(`ports of the service, ${what}`, sameMembers(ports, now.ports.map(spelled)));
      old = now.tasks.map(({ id }) => id);
    }

    const tasks = hostNamesOf(await swarm.service('kept'));
    await watch(
      'every node answers on the kept port',
      {
        look: () =>
          askEveryNode(swarm, first(start.ports).published, { count: 2, timeoutMs: OURS.connectMs }),
        wrong: (seen) =>
          Object.fromEntries(
            Object.entries(seen).map(([node, samples]) => [
              node,
              complaint('answers', sameMembers(tasks, [...new Set(answeredBy(samples))])),
            ]),
          ),
        keep: (seen) => evidence('answers at the end', seen),
      },
      PROMISED.portAnswers,
    );
  }),
);

/** Updates replace all tasks at once: how they go on is no subject here. */
const AT_ONCE = { UpdateConfig: { Parallelism: 0 }, TaskTemplate: { RestartPolicy: { Delay: 0 } } };

/** Waits until so many tasks run, none of them an old one. @returns the service then. */
async function replaced(swarm: Swarm, count: number, old: readonly string[]): Promise<ServiceView> {
  let service: ServiceView | undefined;
  await watch(
    `${count} new tasks run`,
    {
      look: () => swarm.service('kept'),
      wrong: ({ tasks }) => ({
        [swarm.manager.name]: [
          ...complaint('running tasks', sameMembers([String(count)], [String(tasks.length)])),
          ...tasks.filter(({ id }) => old.includes(id)).map(({ id }) => `${id} still runs`),
        ],
      }),
      keep: async (seen) => {
        service = seen;
      },
    },
    OURS.taskReplaced,
  );
  return first(service ? [service] : []);
}
