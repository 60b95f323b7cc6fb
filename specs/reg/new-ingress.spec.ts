import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  askEveryNode,
  complaint,
  converge,
  failed,
  ingressNetwork,
  network,
  pass,
  removeWithPort,
  type Swarm,
  sameMembers,
  servesEverywhere,
  service,
  stateInWords,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, type Evidence, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('REG-041', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    await removeWithPort(swarm, 'vote', VOTE_PORT);
    await swarm.removeNetwork(ingressNetwork(await swarm.view()).name);
    await swarm.createNetwork(network('mesh', { Ingress: true }));
    // None on the manager: it has no other reason to join the new network than that it is the ingress network.
    await swarm.create(service('vote', { replicas: 2, on: ['w1', 'w2'], publish: VOTE_PORT }));
    await swarm.settled(PROMISED.portAnswers);
    const view = await swarm.view();
    const answers = await servesEverywhere(swarm, view, 'vote', VOTE_PORT);
    await evidence('services, and answers', { view, answers });
    judge('answers that no task of vote gave', sameMembers([], answers.wrong));
  }),
);

/** Room for fourteen: the gateway, a balancer on each node, and the virtual IP and tasks of the services of {@link FULL}. */
const POOL = '10.11.0.0/28';
/** Services that use it up, with their ports; the first has a task on every node. */
const FULL = { wide: VOTE_PORT, one: 8091, two: 8092, three: 8093 };
/** The port of a service that comes too late. */
const LATE_PORT = 8094;

test(
  ...clause('REG-040', { disturbs: true, limitMs: 420_000 }, async ({ swarm, evidence }) => {
    await removeWithPort(swarm, 'vote', VOTE_PORT);
    await swarm.removeNetwork(ingressNetwork(await swarm.view()).name);
    await swarm.createNetwork(network('mesh', { Ingress: true, IPAM: { Config: [{ Subnet: POOL }] } }));
    for (const [name, publish] of Object.entries(FULL))
      await swarm.create(
        service(name, name === 'wide' ? { replicas: 'global', publish } : { on: ['w1'], publish }),
      );
    await swarm.settled();
    await serve(swarm, FULL, 'the pool is used up', evidence);

    await swarm.create(service('late', { on: ['w2'], publish: LATE_PORT }));
    const waits = async () => {
      const records = await swarm.history('late');
      return { records, judgement: sameMembers(['waits nowhere'], records.map(stateInWords)) };
    };
    await converge(
      'the task that found no address waits',
      async () => complaint('tasks of late', (await waits()).judgement),
      OURS.addressesTaken,
    );
    await pass(PROMISED.overlapStaysMs);
    const { records, judgement } = await waits();
    await evidence('tasks of the service that came too late', records);
    judge('tasks of late', judgement);
    const early = await askEveryNode(swarm, LATE_PORT, { timeoutMs: OURS.connectMs });
    await evidence('answers on its port', early);
    const some = swarm.nodes.flatMap(({ name }) => early[name]?.filter((one) => !failed(one)) ?? []);
    judge('answers on the port of a service without tasks', sameMembers([], answeredBy(some)));
    await serve(swarm, FULL, 'another service waits', evidence);

    // A virtual IP and a task are gone: room for the one that waited.
    await removeWithPort(swarm, 'one', FULL.one);
    await converge(
      'the task that waited runs',
      async () =>
        (await swarm.history('late')).flatMap(({ state }) =>
          state === 'running' ? [] : [`late is ${state}`],
        ),
      PROMISED.addressFreed,
    );
    await swarm.settled(PROMISED.portAnswers);
    const { one: _, ...left } = FULL;
    await serve(swarm, { ...left, late: LATE_PORT }, 'addresses were freed', evidence);
  }),
);

/** Each of these services answers on its port of every node, and by its virtual IP. */
async function serve(
  swarm: Swarm,
  services: Readonly<Record<string, number>>,
  when: string,
  evidence: Evidence,
) {
  const view = await swarm.view();
  for (const [name, port] of Object.entries(services)) {
    const answers = await servesEverywhere(swarm, view, name, port);
    await evidence(`answers of ${name}, ${when}`, answers);
    judge(`answers that no task of ${name} gave, ${when}`, sameMembers([], answers.wrong));
  }
}
