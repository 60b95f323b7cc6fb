import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  complaint,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  network,
  networkIn,
  sameMembers,
  service,
  serviceIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { clause, expect, judge, test } from '../../fixtures/test.ts';

test(
  ...clause('OVERLAY-015', { disturbs: true }, async ({ swarm, evidence }) => {
    const subnets = [{ Subnet: '10.77.0.0/24' }, { Subnet: 'fd00:77::/64' }];
    await swarm.createNetwork(network('six', { EnableIPv6: true, IPAM: { Config: subnets } }));
    await swarm.create(service('pair', { networks: ['six'], replicas: 2, on: ['w1', 'w2'] }));
    const run = async () => {
      const { tasks } = await swarm.service('pair');
      return tasks.length === 2 ? [] : [`${tasks.length} of 2 tasks run`];
    };
    await converge('both tasks run', run, OURS.taskReplaced);
    // Nothing that has an address of IPv6 is balanced, and the nodes would never agree on it (OVERLAY-017).
    const drawn = await swarm.service('pair');
    judge(
      'addresses of another family',
      sameMembers(
        [],
        [vipOf(drawn, 'six'), ...addressesOf(drawn, 'six')].filter((one) => one.includes(':')),
      ),
    );
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
      judge(
        'tasks that answer on the virtual IP',
        sameMembers(hostNamesOf(pair), answeredBy(samples)),
        where,
      );
    }
  }),
);

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
