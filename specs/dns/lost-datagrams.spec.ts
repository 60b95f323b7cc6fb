import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  assume,
  converge,
  first,
  GOSSIP_PORT,
  sameMembers,
  service,
  serviceIn,
  taskOnEachNode,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { roundRobin, SECOND } from '../../fixtures/stacks.ts';
import { clause, startWith, test } from '../../fixtures/test.ts';

startWith(roundRobin);

test(
  ...clause('DNS-026', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const m1 = swarm.node('m1');
    await swarm.create(
      service('lingering', {
        endpointMode: 'dnsrr',
        env: { IGNORE_TERM: '1' },
        on: ['m1'],
        also: { TaskTemplate: { ContainerSpec: { StopGracePeriod: 600 * SECOND } } },
      }),
    );
    await swarm.settled(OURS.taskReplaced);
    const view = await swarm.view();
    const task = first(serviceIn(view, 'lingering').tasks);
    const others = { ...view, services: view.services.filter(({ name }) => name !== 'lingering') };
    // A node that nobody asks from would hold whatever it may.
    assume(
      'nodes that are asked from',
      sameMembers(
        swarm.nodes.map(({ name }) => name),
        taskOnEachNode(others, 'front').map(({ node }) => node),
      ),
    );
    const hear = () => swarm.hear(others, 'front', ['lingering']);
    const named = (heard: Awaited<ReturnType<typeof hear>>) =>
      wrongOnEach(heard, ({ lingering = [] }) => lingering.map((address) => `lingering is ${address}`));

    await swarm.cut(m1, { ports: [GOSSIP_PORT], protocols: ['udp'] });
    await swarm.scale('lingering', 0);
    await converge(
      'm1 itself names the task no longer',
      async () => named(await hear()).m1 ?? [],
      PROMISED.namesFollowTasks,
    );
    await watch(
      'no node names a task that is being stopped',
      { look: hear, wrong: named, keep: (seen) => evidence('what each node hears', seen) },
      PROMISED.toldByFullExchange,
    );
    const { State } = await m1.api.getContainer(task.container).inspect();
    assume('the task meanwhile', sameMembers(['runs'], [State.Running ? 'runs' : State.Status]));
  }),
);
