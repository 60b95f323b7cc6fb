import {
  addressesIn,
  addressesOf,
  assume,
  first,
  missProbability,
  permutationHistogram,
  reverseName,
  type Swarm,
  sameMembers,
  serviceIn,
  type TaskView,
  taskOnEachNode,
  tasksIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { names } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(names);

/**
 * How a task is asked for names, foreign ones among them. One on the internal network alone has no server outside, so that older engines
 * say nothing; all at once, that silence costs one time-out.
 */
const allAtOnce = (swarm: Swarm, { node, addresses }: TaskView) => ({
  window: 64,
  mayBeSilent:
    Object.keys(addresses).join() === 'side' && swarm.node(node).generation.unservedQuery === 'silence',
});

test(
  ...clause('DNS-008', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    // The engine keeps these names beside the service's own, in vip mode too; each node's from what gossip told it.
    const onFront = ['client', 'web', 'farm'].map((name) => serviceIn(view, name));
    const heard = await swarm.hear(
      view,
      'front',
      onFront.map(({ name }) => `tasks.${name}`),
    );
    await evidence('services, and what was heard on each node', { view, heard });
    const nodes = swarm.nodes.map(({ name }) => name);
    assume('nodes that were asked', sameMembers(nodes, Object.keys(heard)));
    for (const [node, answers] of Object.entries(heard))
      for (const service of onFront)
        judge(
          `tasks.${service.name} on front`,
          sameMembers(addressesOf(service, 'front'), answers[`tasks.${service.name}`] ?? []),
          { node },
        );

    const asker = await swarm.client();
    for (const { name, count } of [
      { name: 'web', count: 120 },
      { name: 'farm', count: 60 },
    ]) {
      const answers = (await asker.resolve([`tasks.${name}`], { count, window: 8 })).map(addressesIn);
      await evidence(`answers about tasks.${name}`, answers.map((order) => order.join(' ')).join('\n'));
      const tasks = addressesOf(serviceIn(view, name), 'front');
      for (const answer of answers) judge(`records of tasks.${name}`, sameMembers(tasks, answer), asker);
      const orders = permutationHistogram(answers);
      const missedByChance = missProbability(Object.keys(orders).length, count).any;
      await evidence(`orders of tasks.${name}`, { orders, missedByChance });
      const seen = Object.entries(orders).flatMap(([order, times]) => (times > 0 ? [order] : []));
      judge(`orders of tasks.${name}`, sameMembers(Object.keys(orders), seen), asker);
    }
  }),
);

test(
  ...clause('DNS-010', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const [web, farm, rear] = [serviceIn(view, 'web'), serviceIn(view, 'farm'), serviceIn(view, 'rear')];
    const barns = addressesOf(farm, 'front');
    const onBoth: Record<string, string[]> = {
      farm: barns,
      'farm.front': barns,
      'tasks.farm.front': barns,
      FARM: barns,
      'Farm.front': barns,
      'TASKS.Farm.front': barns,
      'farm.back': [],
      'tasks.farm.back': [],
      'farm.side': [],
      'farm.front.back': [],
      rear: [vipOf(rear, 'back')],
      'REAR.back': [vipOf(rear, 'back')],
      'tasks.rear.back': addressesOf(rear, 'back'),
      'rear.front': [],
      'web.front': [vipOf(web, 'front')],
      'WEB.back': [vipOf(web, 'back')],
      'tasks.web.front': addressesOf(web, 'front'),
      'tasks.web.back': addressesOf(web, 'back'),
    };
    const onFront = {
      farm: barns,
      'farm.front': barns,
      'web.front': [vipOf(web, 'front')],
      'web.back': [],
      'tasks.web.back': [],
      'rear.back': [],
    };
    await swarm.upstream();
    // The engine cuts the name at each dot from behind, and looks for the rest on the network named by what it cut off.
    const client = first(serviceIn(view, 'client').tasks);
    const asked = [...web.tasks.map((task) => ({ task, due: onBoth })), { task: client, due: onFront }];
    const heard = await Promise.all(
      asked.map(async ({ task, due }) => {
        const answers = await swarm.inside(task).addresses(Object.keys(due));
        return { task, due, answers: Object.fromEntries(answers) };
      }),
    );
    const shouted = await swarm.inside(client).addresses(['farm.FRONT']);
    await evidence('answers by asker', { heard, 'farm.FRONT': shouted.get('farm.FRONT') });
    for (const { task, due, answers } of heard)
      for (const [name, addresses] of Object.entries(due))
        judge(`${name} asked from ${task.containerName}`, sameMembers(addresses, answers[name] ?? []), task);
  }),
);

test(
  ...clause('DNS-013', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    await swarm.upstream();
    const tasks = tasksIn(view);
    // The tasks of `farm` would go on to the node's server with what their engine does not know: that takes its time.
    const others = { ...view, services: view.services.filter(({ name }) => name !== 'farm') };
    const askers = new Set(['front', 'back', 'side'].flatMap((network) => taskOnEachNode(others, network)));
    // The engine keeps names by address for each network; a virtual IP is no container's address and has none.
    const addresses = view.services.flatMap(({ name, tasks, vips, networks }) =>
      networks.flatMap((network) => [
        ...tasks.map((task) => ({
          network,
          address: task.addresses[network] ?? '',
          due: `${task.containerName}.${network}`,
        })),
        ...[vips[network] ?? []].flat().map((address) => ({ network, address, due: null, vipOf: name })),
      ]),
    );
    const heard = await Promise.all(
      [...askers].map(async (asker) => {
        const answers = await swarm.inside(asker).resolve(
          addresses.map(({ address }) => reverseName(address)),
          { type: 'PTR', ...allAtOnce(swarm, asker) },
        );
        return { asker, answers };
      }),
    );
    await evidence('addresses, and the answers by asker', { tasks, addresses, heard });
    for (const { asker, answers } of heard)
      for (const [i, { network, address, due }] of addresses.entries()) {
        const names = answers
          .filter(({ q }) => q === i)
          .flatMap((answer) => answer.answers.map(({ data }) => data));
        const attached = asker.addresses[network] !== undefined;
        judge(
          `name of ${address} on ${network} asked from ${asker.containerName}`,
          sameMembers(attached && due ? [due] : [], names),
          asker,
        );
      }
  }),
);

test(
  ...clause('DNS-019', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    await swarm.upstream();
    const [web, farm] = [serviceIn(view, 'web'), serviceIn(view, 'farm')];
    const shops = { shop: [vipOf(web, 'front')], 'tasks.shop': addressesOf(web, 'front') };
    const barns = { barn: addressesOf(farm, 'front'), 'tasks.barn': addressesOf(farm, 'front') };
    const depots = { depot: [vipOf(web, 'back')], 'tasks.depot': addressesOf(web, 'back') };
    const due = {
      client: { ...shops, ...barns, 'shop.front': shops.shop, depot: [], 'tasks.depot': [] },
      // On both networks: each alias leads to the network on which it was given.
      web: { ...shops, ...barns, ...depots, 'shop.back': [], 'depot.front': [] },
      rear: { ...depots, 'depot.back': depots.depot, shop: [], 'tasks.shop': [], barn: [], 'tasks.barn': [] },
      aside: { shop: [], 'tasks.shop': [], barn: [], 'tasks.barn': [], depot: [], 'tasks.depot': [] },
    };
    const heard = await Promise.all(
      Object.entries(due).flatMap(([service, names]) =>
        serviceIn(view, service).tasks.map(async (asker) => {
          const answers = await swarm.inside(asker).addresses(Object.keys(names), allAtOnce(swarm, asker));
          return { asker, names, answers: Object.fromEntries(answers) };
        }),
      ),
    );
    await evidence('answers by asker', heard);
    assume(
      'nodes that were asked',
      sameMembers(
        swarm.nodes.map(({ name }) => name),
        [...new Set(heard.map(({ asker }) => asker.node))],
      ),
    );
    for (const { asker, names, answers } of heard)
      for (const [name, addresses] of Object.entries(names))
        judge(
          `${name} asked from ${asker.containerName}`,
          sameMembers(addresses, answers[name] ?? []),
          asker,
        );
  }),
);
