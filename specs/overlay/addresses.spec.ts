import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  answerTo,
  complaint,
  converge,
  endpoint,
  HTTP_PORT,
  holdersOfAddresses,
  hostNamesOf,
  network,
  networkIn,
  pass,
  refusedAs,
  type Swarm,
  type SwarmView,
  sameMembers,
  service,
  serviceIn,
  stateInWords,
  type TaskRecord,
  unansweredVips,
  viewNetworks,
  vipOf,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, type Evidence, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('OVERLAY-007', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = await swarm.view();
    const { subnet } = networkIn(before, 'front');
    const onFront = async (view: SwarmView) =>
      (await holdersOfAddresses(swarm, { ...view, networks: [networkIn(view, 'front')] })).front;
    const holders = await onFront(before);
    const made = {
      same: subnet,
      part: subnet.replace('0/24', '64/26'),
      disjoint: '10.88.0.0/24',
    };
    const answers: Record<string, Awaited<ReturnType<typeof answerTo>>> = {};
    for (const [name, Subnet] of Object.entries(made))
      answers[name] = await answerTo(swarm.createNetwork(network(name, { IPAM: { Config: [{ Subnet }] } })));
    const accepted = Object.keys(made).filter((name) => answers[name]?.accepted);
    expect(accepted, 'networks accepted').toContain('disjoint');
    // No engine that was read refuses here, so no status is known. A refusal for another reason says nothing of the overlap.
    for (const [name, answer] of Object.entries(answers))
      if (!answer.accepted)
        judge(`answer to ${name}`, refusedAs({ status: [400, 403, 409, 500], tells: ['overlap'] }, answer));
    for (const name of accepted) await swarm.create(service(`on-${name}`, { networks: [name], on: ['w1'] }));

    // The task on the disjoint network is created last and runs; the others have had at least as long.
    await converge(
      'a task on a disjoint network runs',
      async () =>
        complaint(
          'states',
          sameMembers(
            ['running'],
            (await swarm.history('on-disjoint')).map(({ state }) => state),
          ),
        ),
      PROMISED.taskRuns,
    );
    await pass(PROMISED.overlapStaysMs);
    const networks = (await viewNetworks(swarm.manager.api)).filter(({ name }) => name in made);
    const records = await Promise.all(
      accepted.map(async (name) => [name, await swarm.history(`on-${name}`)] as const),
    );
    await evidence('answers, networks, and tasks on them', { answers, networks, tasks: records });
    judge(
      'networks with addresses',
      sameMembers(
        [`disjoint ${made.disjoint}`],
        networks.flatMap(({ name, pools }) => pools.map((pool) => `${name} ${pool.subnet}`)),
      ),
    );
    for (const [name, tasks] of records.filter(([one]) => one !== 'disjoint'))
      judge(
        `tasks on the overlapping network ${name}`,
        sameMembers(['waits nowhere'], tasks.map(stateInWords)),
      );

    const after = await swarm.view();
    judge(
      'addresses on the first network, with who holds them',
      sameMembers(lines(holders), lines(await onFront(after))),
    );
    const client = await swarm.client();
    const vote = serviceIn(after, 'vote');
    const [vip, tasks] = [vipOf(vote, 'front'), hostNamesOf(vote)];
    const heard = await client.addresses(['vote', 'tasks.vote']);
    const samples = await client.probe({
      kind: 'http',
      to: endpoint(vip, HTTP_PORT),
      count: 2 * tasks.length,
    });
    await evidence('names and answers on the first network', { heard: [...heard], samples });
    judge('what vote stands for', sameMembers([vip], heard.get('vote') ?? []));
    judge(
      'what tasks.vote stands for',
      sameMembers(addressesOf(vote, 'front'), heard.get('tasks.vote') ?? []),
    );
    judge('tasks that answer on the first network', sameMembers(tasks, [...new Set(answeredBy(samples))]));
  }),
);

function lines(holders: Readonly<Record<string, string[]>> | undefined): string[] {
  return Object.entries(holders ?? {}).map(([address, who]) => `${address} ${who.join(' and ')}`);
}

test(
  ...clause('OVERLAY-008', { disturbs: true }, async ({ swarm, evidence }) => {
    // Eight addresses less the first and last: gateway, balancer of w1, virtual IP and task of each service. Nothing is left.
    const pool = '10.99.0.0/29';
    await swarm.createNetwork(network('tight', { IPAM: { Config: [{ Subnet: pool }] } }));
    await swarm.create(service('first', { networks: ['tight'], on: ['w1'] }));
    await swarm.create(service('second', { networks: ['tight'], on: ['w1'] }));
    await swarm.settled();
    const full = await addressesOn(swarm, 'two services of one task', evidence);
    expect(Object.keys(full).length, 'addresses in use').toBe(6);

    await swarm.scale('second', 3);
    await converge(
      'tasks that found no address wait',
      async () =>
        complaint(
          'tasks of second',
          sameMembers(['1 × runs', '2 × waits nowhere'], counted(await swarm.history('second'))),
        ),
      OURS.addressesTaken,
    );
    await pass(PROMISED.overlapStaysMs);
    const waiting = await swarm.history('second');
    await evidence('tasks of the second service, two of them without an address', waiting);
    judge('tasks of second', sameMembers(['1 × runs', '2 × waits nowhere'], counted(waiting)));
    judge(
      'addresses, with who holds them',
      sameMembers(lines(full), lines(await addressesOn(swarm, 'two tasks wait', evidence))),
    );
    judge('virtual IPs that do not answer', sameMembers([], await unansweredVips(swarm, 'tight')));

    // A service that goes gives back two addresses, its task's and its virtual IP: both tasks can start.
    await swarm.remove('first');
    await converge(
      'the tasks that waited run',
      async () =>
        complaint('tasks of second', sameMembers(['3 × runs'], counted(await swarm.history('second')))),
      PROMISED.addressFreed,
    );
    await swarm.settled();
    const freed = await addressesOn(swarm, 'one service of three tasks', evidence);
    expect(Object.keys(freed).length, 'addresses in use').toBe(6);
    judge('virtual IPs that do not answer', sameMembers([], await unansweredVips(swarm, 'tight')));
  }),
);

/** Who holds which address of the small network; nobody shares one. */
async function addressesOn(
  swarm: Swarm,
  when: string,
  evidence: Evidence,
): Promise<Record<string, string[]>> {
  const view = await swarm.view();
  const own = { ...view, networks: [networkIn(view, 'tight')] };
  const holders = (await holdersOfAddresses(swarm, own)).tight ?? {};
  await evidence(`addresses, ${when}`, holders);
  judge(
    `addresses held twice, ${when}`,
    sameMembers(
      [],
      lines(holders).filter((line) => line.includes(' and ')),
    ),
  );
  return holders;
}

function counted(records: readonly TaskRecord[]): string[] {
  const wanted = records.filter(({ desired }) => desired === 'running');
  const kinds = wanted.map((one) => (one.state === 'running' ? 'runs' : stateInWords(one)));
  return [...new Set(kinds)].map((kind) => `${kinds.filter((one) => one === kind).length} × ${kind}`);
}
