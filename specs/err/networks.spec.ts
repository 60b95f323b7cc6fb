import { PROMISED } from '../../fixtures/bounds.ts';
import {
  complaint,
  converge,
  endpoint,
  failed,
  ingressNetwork,
  inventory,
  type Node,
  network,
  sameMembers,
  viewNetworks,
  viewOwnMembership,
} from '../../fixtures/domain.ts';
import { accepts, refuses } from '../../fixtures/refusals.ts';
import { clause, judge, test } from '../../fixtures/test.ts';

test(
  ...clause('ERR-005', { disturbs: true }, async ({ swarm, evidence }) => {
    const look = () => inventory(swarm.manager.api);
    const create = (name: string, also: object) => () => swarm.createNetwork(network(name, { ...also }));
    const ipam = (Config: object) => ({ IPAM: { Config: [Config] } });
    const ingress = { Ingress: true, ...ipam({ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }) };
    const { id } = ingressNetwork(await swarm.view());
    const ipv6Alone = {
      EnableIPv4: false,
      EnableIPv6: true,
      ...ipam({ Subnet: 'fd00:15::/64' }),
    };

    await refuses(
      [
        {
          what: 'a second ingress',
          ask: create('mesh', ingress),
          status: 409,
          tells: ['already present', id],
        },
        {
          what: 'an attachable ingress',
          ask: create('mesh', { ...ingress, Attachable: true }),
          status: 400,
          tells: ['ingress network cannot be attachable'],
        },
        {
          what: 'an ingress with driver bridge',
          ask: create('mesh', { ...ingress, Driver: 'bridge' }),
          status: 403,
          tells: ['ingress network can only be global scope'],
        },
        {
          what: 'a malformed subnet',
          ask: create('odd', ipam({ Subnet: '10.12.0.0/33' })),
          status: swarm.manager.generation.malformedSubnetStatus,
          tells: ['10.12.0.0/33', 'subnet'],
        },
        {
          what: 'a gateway outside the subnet',
          ask: create('odd', ipam({ Subnet: '10.12.0.0/24', Gateway: '10.13.0.1' })),
          status: 400,
          tells: ['10.13.0.1', 'gateway', '10.12.0.0/24'],
        },
        {
          what: 'a range outside the subnet',
          ask: create('odd', ipam({ Subnet: '10.12.0.0/24', IPRange: '10.13.0.0/28' })),
          status: 400,
          tells: ['10.13.0.0/28', 'range', '10.12.0.0/24'],
        },
        ...(swarm.manager.generation.refusesOverlayWithoutIpv4
          ? [
              {
                what: 'an overlay without IPv4',
                ask: create('odd', ipv6Alone),
                status: 400,
                tells: ['IPv4 cannot be disabled in a Swarm scoped network'],
              },
            ]
          : []),
      ],
      look,
      evidence,
    );

    await accepts(
      [
        { what: 'removal of ingress', ask: () => swarm.removeNetwork('ingress') },
        { what: 'another ingress', ask: create('mesh', ingress) },
        { what: 'a subnet', ask: create('a', ipam({ Subnet: '10.12.0.0/24' })) },
        {
          what: 'a gateway in the subnet',
          ask: create('b', ipam({ Subnet: '10.13.0.0/24', Gateway: '10.13.0.1' })),
        },
        {
          what: 'a range in the subnet',
          ask: create('c', ipam({ Subnet: '10.14.0.0/24', IPRange: '10.14.0.16/28' })),
        },
      ],
      evidence,
    );
    const made = (await viewNetworks(swarm.manager.api)).filter(({ name }) =>
      ['mesh', 'a', 'b', 'c'].includes(name),
    );
    await evidence('networks made', made);
    judge(
      'networks made',
      sameMembers(
        ['mesh ingress', 'a', 'b', 'c'],
        made.map(({ name, ingress: marked }) => (marked ? `${name} ingress` : name)),
      ),
    );
  }),
);

test(
  ...clause('ERR-008', { disturbs: true }, async ({ swarm, evidence }) => {
    const node = swarm.node('w2');
    await leave(node);
    const reached = async () => {
      const [sample] = await swarm.outsider.probe({
        kind: 'http',
        to: endpoint(node.address, 2377),
        timeoutMs: 2000,
      });
      return sample && failed(sample) && sample.phase === 'connect'
        ? `${sample.error} at 2377`
        : 'connected to 2377';
    };
    const look = async () => {
      const [{ id, state }, networks, port] = await Promise.all([
        viewOwnMembership(node.api),
        viewNetworks(node.api),
        reached(),
      ]);
      return [`state ${state}`, `id ${id}`, port, ...networks.map((one) => `network ${one.name} ${one.id}`)];
    };
    const atFirst = await look();
    judge(
      'what the node is before',
      sameMembers(
        ['state inactive', 'id ', 'refused at 2377'],
        atFirst.filter((line) => !line.startsWith('network ')),
      ),
      { node: node.name },
    );
    const init = (settings: object) => () =>
      node.api.swarmInit({ ListenAddr: '0.0.0.0:2377', AdvertiseAddr: node.address, ...settings });
    const pool = { DefaultAddrPool: ['10.20.0.0/16'] };

    await refuses(
      [
        ...[1023, 49_152].map((port) => ({
          what: `data path port ${port}`,
          ask: init({ DataPathPort: port }),
          status: [400, 500],
          tells: ['1024', '49151', String(port)],
        })),
        {
          what: 'subnets of 30 bits',
          ask: init({ ...pool, SubnetSize: 30 }),
          status: [400, 500],
          tells: ['subnet size is out of range', '30'],
        },
        {
          what: 'subnets larger than their pool',
          ask: init({ ...pool, SubnetSize: 15 }),
          status: [400, 500],
          tells: ['10.20.0.0/16', 'too small for pool', '15'],
        },
        {
          what: 'no address to advertise',
          ask: init({ AdvertiseAddr: '0.0.0.0' }),
          status: 400,
          tells: ['advertise address must be', 'non-zero'],
        },
      ],
      look,
      evidence,
    );

    for (const { port, mask } of [
      { port: 1024, mask: 29 },
      { port: 49_151, mask: 26 },
    ]) {
      const what = `data path port ${port}, subnets of ${mask} bits`;
      await accepts([{ what, ask: init({ ...pool, DataPathPort: port, SubnetSize: mask }) }], evidence);
      const own = await viewOwnMembership(node.api);
      await evidence(`membership with ${what}`, own);
      judge(`state with ${what}`, sameMembers(['active true'], [`${own.state} ${own.id !== ''}`]), {
        node: node.name,
      });
      judge(`port of the manager with ${what}`, sameMembers(['connected to 2377'], [await reached()]));
      await converge(
        'ingress has a subnet of the pool',
        async () => {
          const [ingress] = (await viewNetworks(node.api)).filter((one) => one.ingress);
          return complaint(
            `subnets of ingress with ${what}`,
            sameMembers([`10.20.0.0/${mask}`], ingress?.pools.map(({ subnet }) => subnet) ?? []),
          );
        },
        PROMISED.membershipChanged,
      );
      await leave(node);
    }
  }),
);

/** Has a node leave its Swarm, even as the last manager; what it had of it is gone only after the answer. */
async function leave({ name, api }: Node): Promise<void> {
  await api.swarmLeave({ force: true });
  await converge(
    `${name} is in no Swarm`,
    async () => {
      const [{ state }, networks] = await Promise.all([viewOwnMembership(api), viewNetworks(api)]);
      const left = networks.filter(({ scope }) => scope === 'swarm').map((network) => network.name);
      return [
        ...complaint('state', sameMembers(['inactive'], [state])),
        ...complaint('networks of the Swarm', sameMembers([], left)),
      ];
    },
    PROMISED.membershipChanged,
  );
}
