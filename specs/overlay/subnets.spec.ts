import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  answerTo,
  attachments,
  blocksOf,
  complaint,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  type Node,
  network,
  networkIn,
  overlap,
  pass,
  type Swarm,
  sameMembers,
  service,
  serviceIn,
  viewNetworks,
  viewOwnMembership,
  vipOf,
} from '../../fixtures/domain.ts';
import { clause, type Evidence, judge, test } from '../../fixtures/test.ts';

/** Swarm's pool, and the length of its blocks, unless it is initialised with others. */
const DEFAULT_POOL = { pool: '10.0.0.0/8', mask: 24 };

test(
  ...clause('OVERLAY-006', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const { manager } = swarm;
    const { defaultIngressSubnet } = manager.generation;
    const [one = '', two = '', three = '', four = '', five = ''] = freeBlocks(
      DEFAULT_POOL,
      defaultIngressSubnet,
    );
    const asked = {
      ahead: { Subnet: four, Gateway: four.replace('0/24', '9') },
      wide: { Subnet: '10.77.0.0/16', Gateway: '10.77.3.3' },
      clash: { Subnet: one.replace('0/24', '128/25') },
    };
    const given = (name: keyof typeof asked) => network(name, { IPAM: { Config: [asked[name]] } });

    for (const spec of [
      network('first'),
      network('second'),
      given('ahead'),
      given('wide'),
      given('clash'),
      network('third'),
      network('fifth'),
    ])
      await swarm.createNetwork(spec);
    await blocksAre(
      'blocks of the default pool',
      manager,
      {
        ingress: defaultIngressSubnet,
        first: one,
        second: two,
        ahead: `${asked.ahead.Subnet} by ${asked.ahead.Gateway}`,
        wide: `${asked.wide.Subnet} by ${asked.wide.Gateway}`,
        third: three,
        fifth: five,
      },
      evidence,
    );

    await swarm.create(service('user', { networks: ['wide'], on: ['w1'] }));
    await swarm.settled();
    const view = await swarm.view();
    const task = first(serviceIn(view, 'user').tasks);
    const state = await swarm.taskNamespace(task, ['links']);
    await evidence('interfaces of a task on the wide network', state);
    const own = attachments(state, [networkIn(view, 'wide')]).filter(({ networks }) =>
      networks.includes('wide'),
    );
    judge(
      'addresses of a task on the wide network',
      sameMembers(
        [`${task.addresses.wide}/16`],
        own.flatMap(({ addresses }) => addresses),
      ),
      { node: task.node },
    );
    judge(
      'networks in which its address lies',
      sameMembers(
        [asked.wide.Subnet],
        Object.values(asked)
          .map(({ Subnet }) => Subnet)
          .filter((subnet) => overlap(subnet, `${task.addresses.wide}/32`)),
      ),
    );

    await smallPool(swarm, swarm.node('w2'), evidence);
  }),
);

/** A node leaves and initialises a Swarm of its own whose pool has four blocks: ingress has one, three networks the others. */
async function smallPool(swarm: Swarm, node: Node, evidence: Evidence): Promise<void> {
  await swarm.leave(node);
  await converge(
    `${node.name} has nothing to do with a Swarm`,
    async () => [
      ...complaint('state', sameMembers(['inactive'], [(await viewOwnMembership(node.api)).state])),
      ...(await viewNetworks(node.api)).flatMap(({ name, scope }) =>
        scope === 'swarm' ? [`network ${name}`] : [],
      ),
    ],
    PROMISED.membershipChanged,
  );
  const small = { pool: '10.20.0.0/24', mask: 26 };
  const [ingress, a, b, c] = blocksOf(small.pool, small.mask);
  const own = await swarm.found(node, { DefaultAddrPool: [small.pool], SubnetSize: small.mask });
  for (const name of ['a', 'b', 'c']) await own.createNetwork(network(name));
  await blocksAre('blocks of a pool of four', node, { ingress, a, b, c }, evidence);

  // One more network finds none, and a task on it stays new: it is pending once all its networks are allocated (swarmkit
  // manager/allocator/network.go, allocatedStatusMessage).
  const use = (name: string) => own.create(service(`on-${name}`, { networks: [name] }));
  for (const name of ['a', 'b', 'c']) await use(name);
  await own.settled();
  await own.createNetwork(network('d'));
  await use('d');
  const tasks = async () =>
    (await own.history('on-d')).map((task) => `${task.state} on ${task.node || 'no node'}`);
  const wait = (seen: string[]) => sameMembers(['new on no node'], seen);
  await converge(
    'a task on a network without a block waits',
    async () => complaint('tasks on d', wait(await tasks())),
    OURS.addressesTaken,
  );
  await pass(PROMISED.overlapStaysMs);
  const waiting = await tasks();
  await evidence('tasks on a network without a block', waiting);
  judge('tasks on a network without a block', wait(waiting));
  await blocksAre('blocks of a full pool', node, { ingress, a, b, c }, evidence);
  await serveThemselves(own, ['a', 'b', 'c'], 'while d waits', evidence);

  // The block of a network that goes is the one that the other waited for.
  await own.remove('on-b');
  await converge(
    'a network of the full pool can be removed',
    async () => {
      const answer = await answerTo(own.removeNetwork('b'));
      return answer.accepted ? [] : [answer.reason];
    },
    PROMISED.networkFreed,
  );
  await blocksAre('blocks of a full pool once one was freed', node, { ingress, a, c, d: b }, evidence);
  await own.settled(PROMISED.addressFreed);
  await serveThemselves(own, ['a', 'c', 'd'], 'once d has a block', evidence);
}

/** The one task on each of these networks answers itself by its service's virtual IP. */
async function serveThemselves(
  swarm: Swarm,
  networks: readonly string[],
  when: string,
  evidence: Evidence,
): Promise<void> {
  const view = await swarm.view();
  for (const name of networks) {
    const on = serviceIn(view, `on-${name}`);
    const to = endpoint(vipOf(on, name), HTTP_PORT);
    const samples = await swarm.inside(first(on.tasks)).probe({ kind: 'http', to });
    await evidence(`answers on ${name}, ${when}`, samples);
    judge(`who answers on ${name}, ${when}`, sameMembers(hostNamesOf(on), answeredBy(samples)));
  }
}

/** The overlays of a Swarm have these subnets, and a gateway that was asked for; those that may have none are left out. */
async function blocksAre(
  what: string,
  { name: node, api }: Node,
  due: Record<string, string | undefined>,
  evidence: Evidence,
): Promise<void> {
  let seen: Awaited<ReturnType<typeof viewNetworks>> = [];
  try {
    await converge(
      what,
      async () => {
        seen = (await viewNetworks(api)).filter(
          ({ driver, scope }) => driver === 'overlay' || scope === 'swarm',
        );
        const blocks = seen.flatMap(({ name, pools }) =>
          pools.map(
            ({ subnet, gateway }) =>
              `${name} ${subnet}${due[name]?.includes(' by ') ? ` by ${gateway}` : ''}`,
          ),
        );
        return complaint(
          `on ${node}`,
          sameMembers(
            Object.entries(due).map(([name, block]) => `${name} ${block}`),
            blocks,
          ),
        );
      },
      PROMISED.networkAllocated,
    );
  } finally {
    await evidence(what, seen);
  }
}

/** The blocks of a pool that have nothing in common with one that is taken, in order. */
function* freeBlocks({ pool, mask }: typeof DEFAULT_POOL, taken: string): Generator<string, void> {
  for (const block of blocksOf(pool, mask)) if (!overlap(block, taken)) yield block;
}
