import { PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  type Balancer,
  complaint,
  first,
  markOfVip,
  markRules,
  type NamespaceState,
  networkIn,
  pairs,
  type ServiceView,
  sameMembers,
  service,
  virtualService,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('VIP-010', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    for (const { node, network, markChain, state } of await swarm.balancers(view, ['rules', 'links'])) {
      const known = await swarm.node(node).network(networkIn(view, network).id);
      await evidence(`${network} on ${node}`, { known: known.services, state });
      // A packet to a virtual IP comes in by the balancer that owns the address, and is marked on its way in. What ingress_sbox
      // passes on has been marked by its port before, in another chain: that is not about virtual IPs.
      const rules = markRules(state, network === 'ingress' ? markChain : undefined);
      const marks = rules.map(({ chain, destination, mark }) => `${chain} ${destination}=${mark}`);
      const due = known.services.flatMap(({ vip, mark }) => (vip ? [`${markChain} ${vip}/32=${mark}`] : []));
      judge(`marks on ${network}`, sameMembers(due, marks), { node });
      const vips = view.services.flatMap(({ vips }) => (vips[network] ? [`${vips[network]}/32`] : []));
      judge(
        `marked on ${network}`,
        sameMembers(
          vips,
          rules.map(({ destination }) => destination),
        ),
        { node },
      );
    }
  }),
);

test(
  ...clause('VIP-011', async ({ swarm, evidence }) => {
    const balancers = await swarm.balancers(await swarm.view(), ['ipvs', 'rules']);
    await evidence('marks and IPVS services', balancers);
    for (const { node, network, state } of balancers) {
      // iptables writes 0x103 where ipvsadm writes FWM 259. In ingress_sbox several rules lead to one service.
      const marks = new Set(markRules(state).map(({ mark }) => `FWM ${mark}`));
      const services =
        state.ipvs?.map((one) => (one.kind === 'fwmark' ? `FWM ${one.fwmark}` : one.kind)) ?? [];
      judge(`IPVS services of ${network} with ${first([...marks])}`, sameMembers([...marks], services), {
        node,
      });
    }
  }),
);

test(
  ...clause('VIP-012', async ({ swarm, evidence }) => {
    const look = async () => {
      const view = await swarm.view();
      return { view, balancers: await swarm.balancers(view, ['ipvs', 'rules']) };
    };
    // Masquerading: a task's answer must come back through the balancer that chose it, wherever the task runs.
    const wrongTable = ({ network, markChain, state }: Balancer, service: ServiceView) => {
      const table = virtualService(state, markOfVip(state, service.vips[network] ?? 'none', markChain) ?? 0);
      const servers = table?.realServers.map(
        (one) => `${one.address}:${one.port} ${one.method} ${one.weight}`,
      );
      const due = addressesOf(service, network).map((address) => `${address}:0 Masq 1`);
      const what = `${service.name} on ${network}`;
      return [
        ...complaint(`scheduler of ${what}`, sameMembers(['rr'], [table?.scheduler ?? 'none'])),
        ...complaint(`servers of ${what}`, sameMembers(due, servers ?? [])),
      ];
    };
    await watch(
      'IPVS holds exactly the running tasks',
      {
        look,
        wrong: ({ view, balancers }) =>
          wrongOnEach(
            Object.groupBy(balancers, ({ node }) => node),
            (own = []) =>
              own.flatMap((balancer) =>
                view.services
                  .filter(({ vips }) => vips[balancer.network])
                  .flatMap((service) => wrongTable(balancer, service)),
              ),
          ),
        keep: (seen) => evidence('IPVS and the tasks', seen),
      },
      PROMISED.balancersFollowTasks,
    );
  }),
);

test(
  ...clause('VIP-013', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    // What an engine tells of its networks is what it works by: the same addresses, marks and tasks as in its kernel.
    for (const { node, network, markChain, state } of await swarm.balancers(view, ['ipvs', 'rules'])) {
      const told = (await swarm.node(node).network(networkIn(view, network).id)).services;
      await evidence(`${network} on ${node}`, { told, state });
      const inKernel = markRules(state, markChain).map(({ destination, mark }) => {
        const servers = virtualService(state, mark ?? 0)?.realServers ?? [];
        return entry(
          destination,
          `${mark}`,
          servers.map(({ address }) => address),
        );
      });
      const balanced = told.flatMap(({ vip, mark, tasks }) =>
        vip ? [entry(`${vip}/32`, `${mark}`, Object.values(tasks))] : [],
      );
      judge(`services told of ${network}`, sameMembers(inKernel, balanced), { node });

      const due = view.services
        .filter(({ networks, vips }) => networks.includes(network) || vips[network])
        .map((one) => {
          const tasks = one.tasks.map((task) => `${task.containerName}=${task.addresses[network]}`);
          return entry(one.name, one.vips[network] ?? 'no virtual IP', tasks);
        });
      // Containers that belong to no service are told under no name.
      const named = told.filter(({ name }) => name !== '');
      const seen = named.map(({ name, vip, tasks }) => entry(name, vip ?? 'no virtual IP', pairs(tasks)));
      judge(`tasks told of ${network}`, sameMembers(due, seen), { node });
    }
  }),
);

/** A service as one member: who it is, its number, what is behind it. */
function entry(service: string, number: string, members: readonly string[]): string {
  return `${service} ${number} { ${members.toSorted().join(' ')} }`;
}

test(
  ...clause('VIP-014', { disturbs: true }, async ({ swarm, evidence }) => {
    // Every namespace of a node is looked into: the numbers come from one counter of its engine.
    const marksOf = (namespaces: readonly NamespaceState[]) =>
      [...new Map(namespaces.map((one) => [one.inode, one])).values()].flatMap(({ ipvs = [] }) =>
        ipvs.flatMap((one) => (one.kind === 'fwmark' ? [one.fwmark] : [])),
      );
    const look = () => swarm.everywhere((node) => node.observe(['ipvs', 'rules']));
    const before = await look();
    await evidence('namespaces before', before);
    await swarm.create(service('late', { publish: 8090 }));
    await swarm.settled();
    const after = await look();
    await evidence('namespaces after', after);

    for (const [node, namespaces] of Object.entries(after)) {
      const former = marksOf(before[node] ?? []);
      const marks = marksOf(namespaces);
      judge('marks', sameMembers([...new Set(marks)].map(String), marks.map(String)), { node });
      judge('marks below 256', sameMembers([], marks.filter((mark) => mark < 256).map(String)), { node });
      const fresh = marks.filter((mark) => !former.includes(mark));
      const largest = Math.max(first(former), ...former);
      judge(
        `new marks, of ${first(fresh)} and others, up to ${largest}`,
        sameMembers([], fresh.filter((mark) => mark <= largest).map(String)),
        { node },
      );
    }
    const view = await swarm.view();
    for (const { node, network, markChain, state } of await swarm.balancers(view, ['rules'])) {
      const due = view.services.filter(({ vips }) => vips[network]);
      const marked = due.filter(({ vips }) => markOfVip(state, vips[network] ?? 'none', markChain));
      judge(
        `services with a mark on ${network}`,
        sameMembers(
          due.map(({ name }) => name),
          marked.map(({ name }) => name),
        ),
        { node },
      );
    }
  }),
);
