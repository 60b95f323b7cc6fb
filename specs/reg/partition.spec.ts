import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  allAnswered,
  answeredBy,
  assume,
  clockAt,
  converge,
  endpoint,
  first,
  GOSSIP_PORT,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  meanwhile,
  type SwarmView,
  sameMembers,
  sameOnEveryNode,
  service,
  serviceIn,
  since,
  tasksIn,
  unfinished,
  unready,
  usersOf,
  VXLAN_PORT,
  viewNodes,
  vipOf,
} from '../../fixtures/domain.ts';
import { spread, VOTE_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

test(
  ...clause('REG-011', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const w1 = swarm.node('w1');

    // Gossip drops what w1 told; managers still reach w1, so that its tasks stay and nothing about them is told anew by anyone else.
    await swarm.cut(w1, { ports: [GOSSIP_PORT, VXLAN_PORT] });
    const dropped = await swarm.settled(PROMISED.lossNoticed, { apart: [w1] });
    await evidence('without w1', { dropped, ...(await swarm.agreement({ apart: [w1] })) });
    await swarm.mend();
    const returned = await swarm.settled(PROMISED.namesReturn);
    const after = await swarm.view();
    await evidence('with w1 again', { returned, before, after });
    judge('tasks', sameMembers(places(before), places(after)));
  }),
);

test(
  ...clause('REG-030', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const [m1, w1, w2] = [swarm.node('m1'), swarm.node('w1'), swarm.node('w2')];
    const vote = serviceIn(before, 'vote');
    const beyond = swarm.inside(first(vote.tasks.filter(({ node }) => node === 'w1')));
    const to = endpoint(vipOf(vote, 'front'), HTTP_PORT);
    const users = usersOf({ swarm, client: await swarm.client(), entries: [m1, w2] }, vote, VOTE_PORT);

    // Managers reach w1, so it is ready and gets tasks; gossip does not, so either side knows of its own tasks alone.
    await swarm.cut(w1, { ports: [GOSSIP_PORT] });
    const sides = () =>
      Promise.all([
        swarm.settled(PROMISED.lossNoticed, { apart: [w1] }),
        swarm.settled(PROMISED.isolationNoticed, { apart: [m1, w2] }),
      ]);
    const times: Record<string, unknown> = { split: await sides() };
    const split = await clockAt(swarm.outsider);
    const traffic = await meanwhile(
      { ...users, 'task on w1': beyond.sending({ kind: 'http', to }) },
      async () => {
        await swarm.create(service('late', { replicas: 2, on: ['m1', 'w1'] }));
        times['a service on both sides'] = await converge(
          'the new service runs',
          async () => unfinished(await swarm.view()),
          PROMISED.tasksMoved,
        );
        times['told on each side, after that'] = await sides();
      },
      (seen) => evidence('requests', seen),
    );
    const states = await viewNodes(swarm.manager.api);
    const apart = await swarm.view();
    await swarm.mend();
    times.reunited = await swarm.settled(PROMISED.reunited);
    const view = await swarm.view();
    const peers = await swarm.everywhere(async (node) => (await node.network(ingressNetwork(view).id)).peers);
    await evidence('times, nodes, services and peers', { times, states, before, apart, view, peers });
    judge('nodes that are not ready without gossip', sameMembers([], unready(states, ['m1', 'w1', 'w2'])));
    const sidesOfLate = serviceIn(apart, 'late').tasks.map(({ node }) => node);
    judge('nodes of the service made meanwhile', sameMembers(['m1', 'w1'], sidesOfLate));
    judge(
      'tasks that stay',
      sameMembers(
        places(before),
        places(view).filter((one) => !one.startsWith('late.')),
      ),
    );
    for (const [who, samples] of Object.entries(traffic))
      judge(`requests of the ${who} once each side knew its tasks`, allAnswered(since(samples, split), 20));
    judge(
      'peers on ingress',
      sameOnEveryNode(
        swarm.nodes.map(({ address }) => address),
        peers,
      ),
    );
  }),
);

test(
  ...clause('REG-025', { disturbs: true, limitMs: 900_000 }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const w1 = swarm.node('w1');
    const client = await swarm.client();
    const vote = serviceIn(before, 'vote');
    const near = vote.tasks.filter(({ node }) => node !== 'w1');
    const ask = (tasks: typeof vote.tasks) =>
      client.probe({
        kind: 'http',
        to: tasks.map(({ addresses }) => endpoint(addresses.front ?? 'none', HTTP_PORT)),
        count: 3,
        rounds: true,
        timeoutMs: OURS.connectMs,
      });

    // Only the packets between tasks are lost; gossip and managers go on, and nobody takes anything for gone.
    await swarm.cut(w1, { ports: [VXLAN_PORT] });
    const lost = await ask(vote.tasks.filter(({ node }) => node === 'w1'));
    const kept = await ask(near);
    const apart = await swarm.settled(PROMISED.unshaken);
    const nodes = await viewNodes(swarm.manager.api);
    await evidence('without VXLAN', { lost, kept, apart, nodes, view: await swarm.view() });
    assume('requests to the task on w1', sameMembers(['timeout in connect'], [...new Set(answeredBy(lost))]));
    judge('requests to tasks that VXLAN need not reach on w1', allAnswered(kept, 3 * near.length));
    judge('nodes that are not ready', sameMembers([], unready(nodes, ['m1', 'w1', 'w2'])));

    await swarm.mend();
    const again = await ask(vote.tasks);
    const agree = await swarm.settled(PROMISED.balancersFollowTasks);
    const after = await swarm.view();
    const byVip = await client.probe({
      kind: 'http',
      to: endpoint(vipOf(vote, 'front'), HTTP_PORT),
      count: 2 * addressesOf(vote, 'front').length,
    });
    await evidence('with VXLAN again', { again, agree, byVip, after });
    judge('requests to all tasks', allAnswered(again, 3 * vote.tasks.length));
    judge(
      'tasks that answer behind the virtual IP',
      sameMembers(hostNamesOf(vote), [...new Set(answeredBy(byVip))]),
    );
    judge('tasks that stay', sameMembers(places(before), places(after)));
  }),
);

function places(view: SwarmView): string[] {
  return tasksIn(view).map(({ containerName, node }) => `${containerName} on ${node}`);
}
