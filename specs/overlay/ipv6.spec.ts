import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  assume,
  complaint,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  network,
  networkIn,
  type Swarm,
  sameMembers,
  service,
  serviceIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { clause, expect, judge, test } from '../../fixtures/test.ts';

test(
  ...clause('OVERLAY-015', { disturbs: true }, async ({ swarm, evidence }) => {
    // Of four addresses of IPv6 the network takes one and the gateway one; on each node a balancer and a task take the others.
    const subnets = [{ Subnet: '10.77.0.0/24' }, { Subnet: 'fd00:77::/126' }];
    await swarm.createNetwork(network('six', { EnableIPv6: true, IPAM: { Config: subnets } }));
    const takers = await takeAll(swarm, 2);
    await swarm.create(service('pair', { networks: ['six'], replicas: 2, on: ['w1', 'w2'] }));
    const run = async () => {
      const { tasks } = await swarm.service('pair');
      return tasks.length === 2 ? [] : [`${tasks.length} of 2 tasks run`];
    };
    await converge('both tasks run', run, OURS.taskReplaced);
    const drawn = await swarm.service('pair');
    assume(
      'addresses of another family',
      sameMembers(
        [],
        [vipOf(drawn, 'six'), ...addressesOf(drawn, 'six')].filter((one) => one.includes(':')),
      ),
    );
    await Promise.all(takers.map((name) => swarm.remove(name)));
    await swarm.settled();
    const view = await swarm.view();
    const pair = serviceIn(view, 'pair');
    const created = await swarm.manager.api.getNetwork('six').inspect();
    const { Endpoint } = await swarm.manager.api.getService('pair').inspect();
    await evidence('network and service', { created, Endpoint });
    expect(created.EnableIPv6, 'the network is one with IPv6').toBe(true);
    const vips: { Addr: string }[] = Endpoint.VirtualIPs;
    judge(
      'virtual IPs',
      sameMembers(
        [`${vipOf(pair, 'six')}/24`],
        vips.map(({ Addr }) => Addr),
      ),
    );

    for (const task of pair.tasks) {
      const where = { node: task.node };
      const inside = swarm.inside(task);
      const names = ['pair', 'tasks.pair'];
      const heard = await inside.addresses(names);
      const aaaa = await inside.resolve(names, { type: 'AAAA' });
      const { ipvs = [] } = await swarm.balancerOf(task, networkIn(view, 'six'), ['ipvs']);
      const samples = await inside.probe({
        kind: 'http',
        to: endpoint(vipOf(pair, 'six'), HTTP_PORT),
        count: pair.tasks.length,
      });
      await evidence(`answers and IPVS on ${task.node}`, { heard: [...heard], aaaa, ipvs, samples });
      judge('addresses of pair', sameMembers([vipOf(pair, 'six')], heard.get('pair') ?? []), where);
      judge(
        'addresses of tasks.pair',
        sameMembers(addressesOf(pair, 'six'), heard.get('tasks.pair') ?? []),
        where,
      );
      // With IPv6 the engine asks servers outside for a name with a dot that it has no such record of: the code is theirs.
      judge(
        'answers to AAAA',
        sameMembers(
          ['pair NOERROR', 'tasks.pair'],
          aaaa.map(({ questions, rcode, answers }) => {
            const { name } = first(questions);
            const code = name.includes('.') ? [] : [rcode];
            return [name, ...code, ...answers.map(({ type }) => type)].join(' ');
          }),
        ),
        where,
      );
      judge(
        'real servers, by the family of their service',
        sameMembers(
          addressesOf(pair, 'six').map((address) => `ipv4 ${address}`),
          ipvs.flatMap((one) =>
            one.realServers.map(
              ({ address }) => `${one.kind === 'fwmark' ? one.family : one.kind} ${address}`,
            ),
          ),
        ),
        where,
      );
      const six = ipvs.flatMap((one) =>
        one.kind === 'fwmark' && one.family === 'ipv6' ? [`FWM ${one.fwmark}`] : [],
      );
      judge('IPVS services of IPv6, with or without servers', sameMembers([], six), where);
      judge(
        'tasks that answer on the virtual IP',
        sameMembers(hostNamesOf(pair), answeredBy(samples)),
        where,
      );
    }
  }),
);

/**
 * Has services without tasks take the addresses of IPv6 that the manager gives: which family a virtual IP or a task gets is left
 * to chance (OVERLAY-017), and what has one of IPv6 is not balanced. What comes after them has IPv4.
 *
 * @param free how many there are.
 * @returns names of the services.
 */
async function takeAll(swarm: Swarm, free: number): Promise<string[]> {
  const names: string[] = [];
  const given = async () => {
    const { services } = await swarm.view();
    return new Map(services.map(({ name, vips }) => [name, vips.six ?? '']));
  };
  let taken = 0;
  while (taken < free && names.length < MOST_TAKERS) {
    const more = Array.from({ length: 16 }, (_, i) => `taker${names.length + i}`);
    await Promise.all(more.map((name) => swarm.create(service(name, { networks: ['six'], replicas: 0 }))));
    names.push(...more);
    await converge(
      'each has a virtual IP',
      async () => {
        const vips = await given();
        taken = [...vips.values()].filter((vip) => vip.includes(':')).length;
        return names.filter((name) => !vips.get(name)).map((name) => `${name} has none`);
      },
      PROMISED.networkAllocated,
    );
  }
  return names;
}

/** One in eight gets an address of IPv6 (of a Go map's two entries the second comes first so often): fewer than two of so many, 1 of 25,000 times. */
const MOST_TAKERS = 96;

test(
  ...clause('OVERLAY-017', { disturbs: true }, async ({ swarm, evidence }) => {
    // Two addresses of IPv4, of which the gateway has one. Services without tasks need no more than a virtual IP each.
    const subnets = [{ Subnet: '10.77.0.0/30' }, { Subnet: 'fd00:77::/64' }];
    await swarm.createNetwork(network('six', { EnableIPv6: true, IPAM: { Config: subnets } }));
    const names = ['one', 'two', 'three'];
    for (const name of names) await swarm.create(service(name, { networks: ['six'], replicas: 0 }));
    const look = async () =>
      Promise.all(
        names.map(async (name): Promise<string[]> => {
          const { Endpoint } = await swarm.manager.api.getService(name).inspect();
          return (Endpoint?.VirtualIPs ?? []).flatMap(({ Addr }: { Addr?: string }) => Addr || []);
        }),
      );
    let given: string[] = [];
    await converge(
      'one service has the virtual IP that is left, the others wait',
      async () => {
        given = (await look()).flat();
        return complaint('virtual IPs', sameMembers(['10.77.0.2/30'], given));
      },
      PROMISED.networkAllocated,
    ).finally(() => evidence('virtual IPs', given));
  }),
);
