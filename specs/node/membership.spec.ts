import { PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  answeredBy,
  converge,
  endpoint,
  first,
  hostNamesOf,
  meanwhile,
  runStandalone,
  type SwarmView,
  sameMembers,
  serviceIn,
  tasksIn,
  usersOf,
  viewNetworks,
  viewStandalone,
} from '../../fixtures/domain.ts';
import { AGENT_PORT, STORE_PORT, spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('NODE-001', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const w1 = swarm.node('w1');
    const alone = await runStandalone(w1);
    const standing = await viewStandalone(w1, alone);
    const before = await swarm.view();
    const client = await swarm.client();

    // A task is taken out of names and balancers first, and stopped 2 s later: nobody is sent to one that is ending. A packet that
    // enters at w1 itself still finds its way, to tasks that are elsewhere now.
    const users = usersOf({ swarm, client, entries: swarm.nodes }, serviceIn(before, 'vote'), VOTE_PORT);
    const traffic = await meanwhile(
      users,
      async () => {
        await swarm.setAvailability('w1', 'drain');
        await converge(
          'what ran on w1 runs elsewhere',
          async () => {
            const { view, problems } = await swarm.agreement();
            return [...on('w1', view).map(({ containerName }) => `${containerName} runs on w1`), ...problems];
          },
          PROMISED.tasksMoved,
        );
      },
      (seen) => evidence('requests', seen),
    );
    const drained = await swarm.view();
    const stillStanding = await viewStandalone(w1, alone);
    await evidence('drained', { before, drained, standing, stillStanding });
    for (const [who, samples] of Object.entries(traffic))
      judge(`requests of the ${who}`, allAnswered(samples, 20));
    expect(stillStanding, 'container that no service made').toEqual({ ...Object(standing), running: true });

    await swarm.setAvailability('w1', 'active');
    await swarm.scale('vote', 4);
    await converge(
      'w1 takes new tasks',
      async () => {
        const { view, problems } = await swarm.agreement();
        return on('w1', view).length > 0 ? problems : ['no task runs on w1'];
      },
      PROMISED.tasksMoved,
    );
    const active = await swarm.view();
    await evidence('active again', active);
    const former = tasksIn(drained).map(place);
    judge(
      'tasks that stay',
      sameMembers(
        former,
        tasksIn(active)
          .map(place)
          .filter((one) => former.includes(one)),
      ),
    );
    // The scheduler prefers the node with the fewest tasks of a service; a global one wants a task there in any case.
    const fresh = tasksIn(active).filter((task) => !former.includes(place(task)));
    judge(
      'new tasks',
      sameMembers(
        ['agent on w1', 'vote on w1'],
        fresh.map(({ service, node }) => `${service} on ${node}`),
      ),
    );
  }),
);

test(
  ...clause('NODE-009', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const spare = first(swarm.spares);
    const before = await swarm.view();
    const ports = { vote: VOTE_PORT, store: STORE_PORT };
    await swarm.join(spare, 'worker');

    // Neither has a task there: ingress_sbox of the new node -> IPVS -> VXLAN to a task elsewhere.
    const answering = await converge(
      'the new node answers on published ports',
      async () => {
        const answers = await Promise.all(
          Object.entries(ports).map(async ([name, port]) => {
            const to = endpoint(spare.address, port);
            const samples = await swarm.outsider.probe({ kind: 'http', to, count: 3, timeoutMs: 2000 });
            const tasks = hostNamesOf(serviceIn(before, name));
            return answeredBy(samples)
              .filter((answer) => !tasks.includes(answer))
              .map((answer) => `${name}: ${answer}`);
          }),
        );
        return answers.flat();
      },
      PROMISED.portAnswers,
    );
    const agent = await converge(
      'the global service has a task there',
      async () =>
        on(spare.name, await swarm.view()).some(({ service }) => service === 'agent') ? [] : ['no agent'],
      PROMISED.tasksMoved,
    );
    const named = await swarm.settled(PROMISED.namesFollowTasks);
    const [networks, served] = await Promise.all([
      viewNetworks(spare.api),
      swarm.outsider.probe({ kind: 'http', to: endpoint(spare.address, AGENT_PORT), count: 8 }),
    ]);
    await evidence('joined', {
      times: { answering, agent, named },
      networks,
      served,
      view: await swarm.view(),
    });
    judge('overlays there', sameMembers(['front', 'ingress'], overlays(networks)), { node: spare.name });
    judge('requests to the agents by way of it', allAnswered(served, 8), { node: spare.name });

    // m1 and the new node are the only ones it may run on.
    await swarm.scale('store', 2);
    await swarm.settled(PROMISED.tasksMoved);
    const grown = await swarm.view();
    const then = await viewNetworks(spare.api);
    await evidence('with a task of another network', { networks: then, grown });
    judge(
      'nodes of store',
      sameMembers(
        ['m1', spare.name],
        serviceIn(grown, 'store').tasks.map(({ node }) => node),
      ),
    );
    judge('overlays there then', sameMembers(['back', 'front', 'ingress'], overlays(then)), {
      node: spare.name,
    });
  }),
);

function on(node: string, view: SwarmView) {
  return tasksIn(view).filter((task) => task.node === node);
}

function place({ containerName, node }: { containerName: string; node: string }): string {
  return `${containerName} on ${node}`;
}

function overlays(networks: Awaited<ReturnType<typeof viewNetworks>>): string[] {
  return networks.filter(({ driver }) => driver === 'overlay').map(({ name }) => name);
}
