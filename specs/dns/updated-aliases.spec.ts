import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  complaint,
  converge,
  networkIn,
  sameMembers,
  serviceIn,
  vipOf,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { names } from '../../fixtures/stacks.ts';
import { clause, startWith, test } from '../../fixtures/test.ts';

startWith(names);

test(
  ...clause('DNS-020', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const on = (network: string, alias: string) => ({
      Target: networkIn(before, network).id,
      Aliases: [alias],
    });
    // `web` is never without a task meanwhile, so its virtual IP stays, and what names it must be told apart by task.
    await swarm.update('web', {
      UpdateConfig: { Parallelism: 2 },
      TaskTemplate: { Networks: [on('front', 'store'), on('back', 'depot')] },
    });
    await swarm.update('client', { TaskTemplate: { Networks: [on('front', 'shop')] } });
    const former = ['web', 'client'].flatMap((name) => serviceIn(before, name).tasks.map(({ id }) => id));
    const replaced = async () => {
      const { services } = await swarm.view();
      return services.flatMap(({ name, replicas, tasks }) => {
        const old = tasks.filter(({ id }) => former.includes(id)).length;
        return old === 0 && tasks.length === replicas
          ? []
          : [`${name}: ${tasks.length} of ${replicas} tasks, ${old} of them old`];
      });
    };
    await converge('all tasks are replaced', replaced, OURS.taskReplaced);

    await watch(
      'aliases stand for the services that have them now',
      {
        look: async () => {
          const view = await swarm.view();
          return {
            view,
            heard: await swarm.hear(view, 'front', ['shop', 'tasks.shop', 'store', 'tasks.store']),
          };
        },
        wrong: ({ view, heard }) => {
          const [web, client] = [serviceIn(view, 'web'), serviceIn(view, 'client')];
          const due = {
            shop: [vipOf(client, 'front')],
            'tasks.shop': addressesOf(client, 'front'),
            store: [vipOf(web, 'front')],
            'tasks.store': addressesOf(web, 'front'),
          };
          return wrongOnEach(heard, (answers) =>
            Object.entries(due).flatMap(([name, addresses]) =>
              complaint(
                `records of ${name}`,
                sameMembers(addresses.toSorted(), (answers[name] ?? []).toSorted()),
              ),
            ),
          );
        },
        keep: (seen) => evidence('services, and what was heard on each node', seen),
      },
      PROMISED.namesFollowTasks,
    );
  }),
);
