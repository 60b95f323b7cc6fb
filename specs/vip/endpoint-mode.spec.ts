import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  complaint,
  converge,
  holdersOfAddresses,
  networkIn,
  networkOf,
  type ServiceView,
  type Swarm,
  sameMembers,
  serviceIn,
  Violation,
  vipOf,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

/** Changes the endpoint mode of services and waits until the updates have replaced every task. */
async function switchMode(
  swarm: Swarm,
  mode: 'vip' | 'dnsrr',
  parallelism: Readonly<Record<string, number>>,
): Promise<ServiceView[]> {
  const names = Object.keys(parallelism);
  const before = await swarm.view();
  for (const [name, Parallelism] of Object.entries(parallelism))
    await swarm.update(name, {
      EndpointSpec: { Mode: mode },
      // What comes after a task has started is no subject here: the update need not watch it for long.
      UpdateConfig: { Parallelism, Monitor: 100_000_000 },
    });
  const wrong = async () => {
    const view = await swarm.view();
    const stories = names.map(async (name) => {
      const { tasks, replicas, id } = serviceIn(view, name);
      const { UpdateStatus } = await swarm.manager.api.getService(id).inspect();
      // Whatever else an update is, such as paused, it never completes.
      const state: string = UpdateStatus?.State ?? 'updating';
      expect(['updating', 'completed'], `the update of ${name} to mode ${mode}`).toContain(state);
      const former = new Set(serviceIn(before, name).tasks.map((task) => task.id));
      const fresh = tasks.filter((task) => !former.has(task.id));
      const done = fresh.length === replicas && tasks.length === replicas;
      return done && state === 'completed'
        ? []
        : [`${name}: ${fresh.length} of ${replicas} tasks are new, the update is ${state}`];
    });
    return (await Promise.all(stories)).flat();
  };
  await converge(`every task is replaced by one in mode ${mode}`, wrong, OURS.updateDone);
  const after = await swarm.view();
  return names.map((name) => serviceIn(after, name));
}

test(
  ...clause('VIP-026', { disturbs: true }, async ({ swarm, evidence }) => {
    const endpointOf = async ({ id }: ServiceView) =>
      (await swarm.manager.api.getService(id).inspect()).Endpoint;
    const view = await swarm.view();
    const front = networkIn(view, 'front');
    const before = serviceIn(view, 'three');
    judge('networks with a virtual IP before', sameMembers(['front'], Object.keys(before.vips)));

    const [without] = await switchMode(swarm, 'dnsrr', { three: 0 });
    const endpoint = await endpointOf(before);
    await evidence('in mode dnsrr', { before, without, endpoint });
    expect(endpoint.VirtualIPs ?? [], 'virtual IPs in mode dnsrr').toEqual([]);
    expect(endpoint.Spec?.Mode ?? 'dnsrr', 'mode of the endpoint').toBe('dnsrr');

    const [after] = await switchMode(swarm, 'vip', { three: 0 });
    const again = await endpointOf(before);
    const holders = (await holdersOfAddresses(swarm, await swarm.view())).front;
    await evidence('in mode vip again', { after, endpoint: again, holders });
    expect(again.Spec?.Mode, 'mode of the endpoint').toBe('vip');
    const vips = after?.vips ?? {};
    judge('networks with a virtual IP', sameMembers(['front'], Object.keys(vips)));
    const vip = vips.front ?? 'none';
    expect(networkOf(vip, [front]), `the network in whose subnet ${vip} lies`).toBe('front');
    judge(`holders of ${vip}`, sameMembers(['VIP of three'], holders?.[vip] ?? []));
  }),
);

test(
  ...clause('VIP-027', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    /** Kept, so that the other direction is judged, too. */
    const violations: Violation[] = [];
    for (const mode of ['dnsrr', 'vip'] as const) {
      // One replica: the old task is gone before the new one comes. Three, one after another: old and new are there together.
      await switchMode(swarm, mode, { client: 1, three: 1 });
      const followed = (what: string, name: string) => {
        const look = async () => {
          const view = await swarm.view();
          const askers = ['client', 'three', 'four'].flatMap((one) => serviceIn(view, one).tasks);
          const heard = askers.map(async (asker) => {
            const names = await swarm.inside(asker).addresses([name]);
            return { node: asker.node, asker: asker.containerName, addresses: names.get(name) ?? [] };
          });
          return { service: serviceIn(view, name), heard: await Promise.all(heard) };
        };
        return watch(
          `${what} to mode ${mode}`,
          {
            look,
            wrong: ({ service, heard }) => {
              const due = mode === 'vip' ? [vipOf(service, 'front')] : addressesOf(service, 'front');
              const byNode = Object.groupBy(heard, ({ node }) => node);
              return wrongOnEach(byNode, (own = []) =>
                own.flatMap(({ asker, addresses }) =>
                  // Sorted: the same answer in another order would be another line of the timeline.
                  complaint(`${name}, asked by ${asker}`, sameMembers(due, addresses.toSorted())),
                ),
              );
            },
            keep: (seen) => evidence(`${name} in mode ${mode}`, seen),
          },
          PROMISED.namesFollowTasks,
        );
      };
      await followed('the name of a single task follows', 'client');
      await followed('the name of three tasks follows', 'three').catch((error: unknown) => {
        if (!(error instanceof Violation)) throw error;
        violations.push(error);
      });
    }
    for (const violation of violations) throw violation;
  }),
);
