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
} from '../../fixtures/domain.ts';
import { names } from '../../fixtures/stacks.ts';
import { clause, startWith, test } from '../../fixtures/test.ts';

startWith(names);

/** Every alias that is there before or after the updates, and whose it is after them. */
const ALIASES = [
  { network: 'front', name: 'shop', owner: 'client' },
  { network: 'front', name: 'store', owner: 'web' },
  { network: 'back', name: 'depot', owner: null },
  { network: 'back', name: 'shed', owner: 'web' },
] as const;

test(
  ...clause('DNS-020', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const on = (network: string, alias: string) => ({
      Target: networkIn(before, network).id,
      Aliases: [alias],
    });
    // Names that nobody has any more are asked for outside.
    await swarm.upstream();
    // `web` is never without a task meanwhile, so its virtual IP stays, and what names it must be told apart by task.
    await swarm.update('web', {
      UpdateConfig: { Parallelism: 2 },
      TaskTemplate: { Networks: [on('front', 'store'), on('back', 'shed')] },
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

    const look = async () => {
      const view = await swarm.view();
      const heard = async (network: string) => {
        const aliases = ALIASES.filter((one) => one.network === network).map(({ name }) => name);
        return swarm.hear(view, network, [...aliases, ...aliases.map((name) => `tasks.${name}`)]);
      };
      return { view, front: await heard('front'), back: await heard('back') };
    };
    /** What is wrong on each node, alias by alias. */
    const wrong =
      (complaints: (alias: Alias) => string[]) =>
      ({ view, ...heard }: Awaited<ReturnType<typeof look>>) =>
        Object.fromEntries(
          swarm.nodes.map(({ name: node }) => [
            node,
            ALIASES.flatMap(({ network, name, owner }) => {
              const answers = heard[network][node];
              if (!answers) return [];
              const service = owner && serviceIn(view, owner);
              const users = view.services.filter((one) => ['web', 'client'].includes(one.name));
              return complaints({
                name,
                vips: service ? [vipOf(service, network)] : [],
                tasks: service ? addressesOf(service, network) : [],
                anyVip: users.flatMap((one) => one.vips[network] ?? []),
                told: { vips: answers[name] ?? [], tasks: answers[`tasks.${name}`] ?? [] },
              });
            }),
          ]),
        );

    await watch(
      'tasks stand behind the aliases that their services have now, and no stranger behind any',
      {
        look,
        wrong: wrong(({ name, tasks, anyVip, told }) => [
          ...complaint(`records of tasks.${name}`, sameMembers(tasks.toSorted(), told.tasks.toSorted())),
          ...complaint(
            `strangers under ${name}`,
            sameMembers(
              [],
              told.vips.filter((one) => !anyVip.includes(one)),
            ),
          ),
        ]),
        keep: (seen) => evidence('tasks, and what was heard on each node', seen),
      },
      PROMISED.namesFollowTasks,
    );
    await watch(
      'aliases stand for the services that have them now',
      {
        look,
        wrong: wrong(({ name, vips, told }) =>
          complaint(`records of ${name}`, sameMembers(vips.toSorted(), told.vips.toSorted())),
        ),
        keep: (seen) => evidence('services, and what was heard on each node', seen),
      },
      PROMISED.aliasesFollow,
    );
  }),
);

/** An alias once the services are updated, and what one node says of it. */
interface Alias {
  name: string;
  /** What it is to stand for. */
  vips: string[];
  tasks: string[];
  /** What it may have stood for before. */
  anyVip: string[];
  told: { vips: string[]; tasks: string[] };
}
