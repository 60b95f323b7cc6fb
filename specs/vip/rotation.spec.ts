import { OURS } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  assume,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  markRules,
  type NamespaceState,
  networkIn,
  OWN_PORTS,
  sameMembers,
  serviceIn,
  strictRotation,
  vipOf,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('VIP-015', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const client = first(serviceIn(view, 'client').tasks);
    for (const name of ['two', 'three', 'four']) {
      const service = serviceIn(view, name);
      const vip = vipOf(service, 'front');
      const look = () => swarm.balancerOf(client, networkIn(view, 'front'), ['ipvs', 'connections']);
      const before = await look();
      // The balancer of the client's own node has the address and takes turns; behind it, VXLAN where the task is elsewhere.
      const samples = await swarm
        .inside(client)
        .probe({ kind: 'http', to: endpoint(vip, HTTP_PORT), count: 20, sourcePort: OWN_PORTS['VIP-015'] });
      const after = await look();
      await evidence(`connections to ${name}`, { samples, before, after });

      const clients = ({ connections = [] }: NamespaceState) =>
        connections
          .filter(({ virtual }) => virtual.address === vip)
          .map((one) => endpoint(one.client.address, one.client.port));
      const known = new Set([...clients(before), ...samples.map(({ source }) => source)]);
      assume(
        `connections of others to ${name}`,
        sameMembers(
          [],
          clients(after).filter((one) => !known.has(one)),
        ),
      );
      judge(
        `tasks of ${name} that answer in turn`,
        strictRotation(answeredBy(samples), hostNamesOf(service)),
        client,
      );
    }
  }),
);

test(
  ...clause('VIP-020', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const client = first(serviceIn(view, 'client').tasks);
    const three = serviceIn(view, 'three');
    const vip = vipOf(three, 'front');
    const read = async () => {
      const state = await swarm.balancerOf(client, networkIn(view, 'front'), ['stats', 'rules']);
      const rule = markRules(state).find(({ destination }) => destination === `${vip}/32`);
      const ipvs = state.stats?.find((one) => one.kind === 'fwmark' && one.fwmark === rule?.mark);
      return { packets: rule?.packets, connections: ipvs?.stats.connections, servers: ipvs?.realServers };
    };
    const standingStill = async () => {
      let last = await read();
      const moving = async () => {
        const former = last;
        last = await read();
        return JSON.stringify(last) === JSON.stringify(former) ? [] : ['they still move'];
      };
      await converge('counters stand still', moving, OURS.countersStandStill);
      return last;
    };

    const before = await standingStill();
    // Every SYN passes the mark rule and makes one entry in IPVS; what follows on the connection is marked, too.
    const samples = await swarm
      .inside(client)
      .probe({ kind: 'http', to: endpoint(vip, HTTP_PORT), count: 12, sourcePort: OWN_PORTS['VIP-020'] });
    const after = await standingStill();
    await evidence('counters and connections', { before, samples, after });
    const made = (one: typeof before, address: string) =>
      one.servers?.find((server) => server.address === address)?.stats.connections ?? Number.NaN;
    expect(Number(after.packets) - Number(before.packets), 'packets marked').toBeGreaterThanOrEqual(12);
    const counted = Number(after.connections) - Number(before.connections);
    judge('connections counted', sameMembers(['12'], [`${counted}`]), client);
    const due = addressesOf(three, 'front').map((address) => `${address} 4`);
    const shares = after.servers?.map(
      ({ address }) => `${address} ${made(after, address) - made(before, address)}`,
    );
    judge('connections counted by task', sameMembers(due, shares ?? []), client);
  }),
);
