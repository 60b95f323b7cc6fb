import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  attachments,
  complaint,
  converge,
  endpoint,
  first,
  GATEWAY_BRIDGE,
  HTTP_PORT,
  hostNamesOf,
  markRules,
  type NamespaceState,
  networkIn,
  type Swarm,
  sameMembers,
  serviceIn,
  viewNetworks,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, type Evidence, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('OVERLAY-009', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const idOf = (name: string) => networkIn(before, name).id;
    const move = async (...networks: string[]) => {
      await swarm.update('two', {
        TaskTemplate: { Networks: networks.map((name) => ({ Target: idOf(name) })) },
        // All at once, and what comes after a task has started is no subject here (ns).
        UpdateConfig: { Parallelism: 0, Monitor: 100_000_000 },
      });
      await converge(
        `every task of two is replaced by one on ${networks.join(' and ')}`,
        async () => {
          const { UpdateStatus } = await swarm.manager.api.getService('two').inspect();
          return UpdateStatus?.State === 'completed' ? [] : [`the update is ${UpdateStatus?.State}`];
        },
        OURS.updateDone,
      );
      await swarm.settled();
    };
    const onBoth = await isOn(swarm, ['front', 'back'], evidence);
    await move('front');
    const onFront = await isOn(swarm, ['front'], evidence);
    await move('front', 'back');
    const again = await isOn(swarm, ['front', 'back'], evidence);

    judge(
      'virtual IPs on the network that it never left',
      sameMembers(
        [vipOf(onBoth, 'front')],
        [...new Set([onBoth, onFront, again].map((one) => vipOf(one, 'front')))],
      ),
    );
    const tasks = [onBoth, onFront, again].flatMap((one) => one.tasks.map(({ id }) => id));
    expect(new Set(tasks).size, 'different tasks, each update having replaced them').toBe(tasks.length);
  }),
);

/**
 * The service `two` is on these networks and on no others, by every witness: API, interfaces of its tasks, DNS and traffic of a
 * client that is on one of them alone, and the marks of that network's balancer.
 */
async function isOn(swarm: Swarm, networks: string[], evidence: Evidence) {
  const view = await swarm.view();
  const two = serviceIn(view, 'two');
  const where = `on ${networks.join(' and ')}`;
  // Its port is published through the mesh as well: ingress comes on top.
  judge(
    `networks of its virtual IPs, ${where}`,
    sameMembers([...networks, 'ingress'], Object.keys(two.vips)),
  );
  for (const task of two.tasks) {
    const gateway = (await viewNetworks(swarm.node(task.node).api)).find(
      ({ name }) => name === GATEWAY_BRIDGE,
    );
    const state = await swarm.taskNamespace(task, ['links']);
    const known = [...view.networks, { name: GATEWAY_BRIDGE, subnet: first(gateway?.pools ?? []).subnet }];
    judge(
      `networks of the task's interfaces, ${where}`,
      sameMembers(
        [...networks, 'ingress', GATEWAY_BRIDGE],
        attachments(state, known).flatMap((one) => one.networks),
      ),
      { node: task.node },
    );
  }
  for (const [network, asker] of [
    ['front', first(serviceIn(view, 'client').tasks)],
    ['back', first(serviceIn(view, 'plain').tasks)],
  ] as const) {
    const attached = networks.includes(network);
    const vips = attached ? [vipOf(two, network)] : [];
    await watch(
      `${asker.service} finds two on ${network} if it is there, ${where}`,
      {
        look: async () => {
          const names = await swarm.inside(asker).addresses(['two', 'tasks.two']);
          const samples = attached
            ? await swarm.inside(asker).probe({
                kind: 'http',
                to: endpoint(vipOf(two, network), HTTP_PORT),
                count: two.tasks.length,
              })
            : [];
          const { rules } = await swarm.balancerOf(asker, networkIn(view, network), ['rules']);
          return { names: Object.fromEntries(names), answers: answeredBy(samples), rules };
        },
        wrong: ({ names, answers, rules }) => ({
          [asker.node]: [
            ...complaint('two', sameMembers(vips, names.two ?? [])),
            ...complaint(
              'tasks.two',
              sameMembers(attached ? addressesOf(two, network) : [], names['tasks.two'] ?? []),
            ),
            ...complaint('answers', sameMembers(attached ? hostNamesOf(two) : [], answers)),
            ...complaint('marks', sameMembers(marksDue(), marked(rules))),
          ],
        }),
        keep: ({ names, answers, rules }) =>
          evidence(`two seen by ${asker.service} ${where}`, { names, answers, marks: marked(rules) }),
      },
      PROMISED.namesFollowTasks,
    );

    /** Virtual IPs of any service on this network. */
    function marksDue(): string[] {
      return view.services
        .filter(({ tasks }) => tasks.length > 0)
        .flatMap(({ vips: own }) => own[network] ?? []);
    }
    function marked(rules: NamespaceState['rules']): string[] {
      const state = { name: '', inode: 0, ...(rules && { rules }) };
      return markRules(state, swarm.node(asker.node).generation.vipMark.chain).map(({ destination }) =>
        destination.replace('/32', ''),
      );
    }
  }
  return two;
}
