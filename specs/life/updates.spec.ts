import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  allAnswered,
  answeredBy,
  assume,
  complaint,
  converge,
  endpoint,
  failed,
  fewestAtOnce,
  first,
  HTTP_PORT,
  hostNamesOf,
  markOfVip,
  meanwhile,
  now,
  pass,
  type Swarm,
  sameMembers,
  serversOf,
  serviceIn,
  vipOf,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { measureFailures } from '../../fixtures/measure.ts';
import { lifecycle, SECOND, SOLO_PORT, WEB_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

/** Waits until an update has come to this end. */
async function updated(swarm: Swarm, name: string, end: string): Promise<void> {
  const wrong = async () => {
    const { update } = await swarm.record(name);
    return update?.state === end ? [] : [`it is ${update?.state}: ${update?.message}`];
  };
  await converge(`the update of ${name} is ${end}`, wrong, OURS.updated);
}

test(
  ...clause('LIFE-006', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    // Two pauses between three tasks; with two there would be one.
    await swarm.scale('records', 3);
    await swarm.settled();
    const before = await swarm.view();
    const [web, records] = [serviceIn(before, 'web'), serviceIn(before, 'records')];
    assume('how web is updated', {
      ok: (await swarm.record('web')).spec.UpdateConfig === undefined,
      expected: 'as the engine does by default',
      seen: 'a configuration of its own',
    });
    const delayMs = 5000;
    await Promise.all([
      swarm.replaceTasks(web),
      swarm.update('records', {
        UpdateConfig: { Parallelism: 1, Delay: (delayMs / 1000) * SECOND },
        TaskTemplate: { ForceUpdate: 1 },
      }),
    ]);
    await Promise.all(['web', 'records'].map((name) => updated(swarm, name, 'completed')));
    const after = await swarm.view();
    for (const { name, tasks: old, vips } of [web, records]) {
      const lives = await swarm.lives(name);
      await evidence(`tasks of ${name}`, lives);
      const isOld = ({ id }: { id: string }) => old.some((task) => task.id === id);
      const fresh = lives.filter((task) => !isOld(task)).toSorted((a, b) => a.createdAt - b.createdAt);
      judge(
        `tasks of ${name} that are new`,
        sameMembers(
          serviceIn(after, name).tasks.map(({ id }) => id),
          fresh.map(({ id }) => id),
        ),
      );
      expect(serviceIn(after, name).vips, `virtual IPs of ${name}`).toEqual(vips);

      // The old task of a slot has ended before the new one begins, and no other has been touched meanwhile.
      for (const { slot, life } of fresh) {
        const former = lives.find((task) => isOld(task) && task.slot === slot);
        expect(
          Number(life?.startedAt) - Number(former?.life?.finishedAt),
          `ms from the end of the old task to the start of the new one in ${name}.${slot}`,
        ).toBeGreaterThanOrEqual(0);
      }
      const serving = lives.map((task) =>
        isOld(task) ? { from: 0, until: task.life?.finishedAt } : { from: task.changedAt },
      );
      const span = {
        from: first(fresh).createdAt,
        until: Math.max(...fresh.map(({ changedAt }) => changedAt)),
      };
      expect(fewestAtOnce(serving, span), `fewest tasks of ${name} at once`).toBe(old.length - 1);
      // A new task is made in the moment in which its predecessor is told to stop.
      const pauses = fresh.slice(1).map(({ createdAt }, i) => createdAt - Number(fresh[i]?.changedAt));
      for (const pause of pauses)
        expect(
          pause,
          `ms from one task of ${name} that runs to the next that is replaced`,
        ).toBeGreaterThanOrEqual(name === 'records' ? delayMs : 0);
    }
  }),
);

test(
  ...clause('LIFE-007', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence, measure }) => {
    const view = await swarm.view();
    const web = serviceIn(view, 'web');
    const to = endpoint(vipOf(web, 'front'), HTTP_PORT);
    const [one, other] = serviceIn(view, 'client').tasks;
    const seen = await meanwhile(
      {
        // By the balancer of the client's node to a task anywhere, and by a node's ingress to one.
        one: swarm.inside(first(one ? [one] : [])).sending({ kind: 'http', to }),
        other: swarm.inside(first(other ? [other] : [])).sending({ kind: 'http', to }),
        outside: swarm.outsider.sending({
          kind: 'http',
          to: swarm.nodes.map(({ address }) => endpoint(address, WEB_PORT)),
        }),
      },
      async () => {
        const UpdateConfig = { Order: 'start-first', Parallelism: 1, Monitor: SECOND };
        const started = now();
        await swarm.update('web', { UpdateConfig, TaskTemplate: { ForceUpdate: 1 } });
        await updated(swarm, 'web', 'completed');
        await swarm.settled(OURS.taskReplaced);
        measure('convergence-update', now() - started - OURS.taskReplaced.holdMs);
        await pass(OURS.quietMs);
      },
      (requests) => evidence('requests during the update', requests),
    );
    measureFailures(measure, 'failed-update', seen.one, seen.other, seen.outside);
    const after = await swarm.service('web');
    const lives = await swarm.lives('web');
    await evidence('tasks', lives);
    for (const { slot, life } of lives.filter(({ id }) => after.tasks.some((task) => task.id === id))) {
      const former = lives.find((task) => task.slot === slot && web.tasks.some(({ id }) => id === task.id));
      expect(
        Number(former?.life?.finishedAt) - Number(life?.startedAt),
        `ms for which both tasks of web.${slot} lived`,
      ).toBeGreaterThan(0);
    }
    for (const [from, samples] of Object.entries(seen)) {
      judge(`requests from ${from}`, allAnswered(samples, 50));
      judge(
        `tasks that answered ${from}, old and new`,
        sameMembers([...hostNamesOf(web), ...hostNamesOf(after)], [...new Set(answeredBy(samples))]),
      );
    }
  }),
);

test(
  ...clause('LIFE-008', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    await swarm.scale('web', 5);
    await swarm.settled();
    const view = await swarm.view();
    const web = serviceIn(view, 'web');
    const { requests } = await meanwhile(
      {
        requests: swarm
          .inside(first(serviceIn(view, 'client').tasks))
          .sending({ kind: 'http', to: endpoint(vipOf(web, 'front'), HTTP_PORT) }),
      },
      async () => {
        // One failure of five is within the ratio, two are not. The delay gives the managers time to hear of a failure before
        // they turn to the next task: without it both happen at once, and chance decides how many more are stopped.
        const UpdateConfig = { Parallelism: 1, Delay: 3 * SECOND, MaxFailureRatio: 0.25 };
        await swarm.update('web', {
          UpdateConfig,
          TaskTemplate: { ContainerSpec: { Image: 'swarmproof.invalid/no-such-image:1' } },
        });
        await updated(swarm, 'web', 'paused');
        await pass(OURS.quietMs);
      },
      (seen) => evidence('requests', seen),
    );
    const record = await swarm.record('web');
    const lives = await swarm.lives('web');
    await evidence('the service and its tasks', { record, lives });
    expect(record.update?.state, 'state of the update, some time later').toBe('paused');
    const remaining = (await swarm.service('web')).tasks;
    const old = web.tasks.map(({ id }) => id);
    expect(remaining.length, 'tasks that remain').toBe(3);
    judge(
      'tasks that remain, of the old',
      sameMembers(
        [],
        remaining.map(({ id }) => id).filter((id) => !old.includes(id)),
      ),
    );
    judge('requests', allAnswered(requests, 20));

    const left = { ...web, tasks: remaining };
    expect((await swarm.service('web')).vips, 'virtual IPs').toEqual(web.vips);
    await watch(
      'the balancers of all nodes lead to the tasks that remain',
      {
        look: async () => {
          const balancers = await swarm.balancers(view, ['ipvs', 'rules']);
          return balancers.filter(({ network }) => web.vips[network]);
        },
        wrong: (balancers) =>
          wrongOnEach(
            Object.groupBy(balancers, ({ node }) => node),
            (mine = []) =>
              mine.flatMap(({ network, markChain, state }) => {
                const servers = serversOf(state, markOfVip(state, vipOf(web, network), markChain));
                return complaint(
                  `servers of web on ${network}`,
                  sameMembers(addressesOf(left, network), servers),
                );
              }),
          ),
        keep: (seen) => evidence('balancers', seen),
      },
      PROMISED.balancersFollowTasks,
    );
    await swarm.cleared(PROMISED.nothingLeft);
    const client = await swarm.client();
    const samples = await client.probe({
      kind: 'http',
      to: endpoint(vipOf(web, 'front'), HTTP_PORT),
      count: 12,
    });
    await evidence('answers in the end', samples);
    judge('tasks that answer in the end', sameMembers(hostNamesOf(left), [...new Set(answeredBy(samples))]));
  }),
);

test(
  ...clause('LIFE-009', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const [newPort, failingPort] = [8096, 8097];
    const look = async () => {
      const client = await swarm.client();
      const [record, service, ports, names] = await Promise.all([
        swarm.record('solo'),
        swarm.service('solo'),
        swarm.outsider.probe({
          kind: 'http',
          to: [SOLO_PORT, newPort, failingPort].map((port) => endpoint(swarm.manager.address, port)),
          timeoutMs: 2000,
        }),
        client.addresses(['solo', 'only', 'never']),
      ]);
      const image = await swarm
        .node(first(service.tasks).node)
        .api.getContainer(first(service.tasks).container)
        .inspect();
      return {
        spec: record.spec,
        update: record.update?.state,
        networks: Object.keys(first(service.tasks).addresses).toSorted(),
        open: ports.filter((sample) => !failed(sample)).map(({ to }) => to),
        vips: service.vips,
        names: Object.fromEntries(names),
        image: image.Config.Image,
      };
    };
    type Look = Awaited<ReturnType<typeof look>>;
    const seen: Record<string, Look> = {};
    const note = async (what: string) => {
      await swarm.settled(OURS.taskReplaced);
      seen[what] = await look();
      await evidence(what, seen[what]);
      return seen[what] as Look;
    };
    /** All that a rollback restores; how far the update is, and the address on a network that was left meanwhile, are no part of it. */
    const restored = ({ update: _, vips: { own: __, ...vips }, ...rest }: Look) => ({ ...rest, vips });

    const published = (port: number) => ({
      PublishedPort: port,
      TargetPort: HTTP_PORT,
      Protocol: 'tcp',
      PublishMode: 'ingress',
    });
    const original = await note('as deployed');
    const { Id: image } = await swarm.manager.api.getImage(original.image).inspect();
    // Everything that a rollback is said to restore is another now: image, port, networks and names.
    const networks = (original.spec.TaskTemplate as { Networks: { Target: string }[] }).Networks;
    const front = (await swarm.view()).networks.find(({ name }) => name === 'front')?.id;
    await swarm.update('solo', {
      UpdateConfig: { Parallelism: 1, Monitor: SECOND },
      RollbackConfig: { Parallelism: 1, Monitor: SECOND },
      TaskTemplate: {
        ContainerSpec: { Image: image },
        Networks: networks
          .filter(({ Target }) => Target === front)
          .map(({ Target }) => ({ Target, Aliases: ['only'] })),
      },
      EndpointSpec: { Ports: [published(newPort)] },
    });
    await updated(swarm, 'solo', 'completed');
    const newer = await note('updated');
    expect(newer.image, 'image of the update').toBe(image);
    expect(newer.networks, 'networks of the update').toEqual(['front', 'ingress']);
    expect(newer.names.only, 'what the new alias leads to').toEqual([newer.vips.front]);
    expect(newer.open, 'port of the update').toEqual([endpoint(swarm.manager.address, newPort)]);

    await swarm.rollback('solo');
    await updated(swarm, 'solo', 'rollback_completed');
    const back = await note('rolled back');
    expect(restored(back), 'the service after a rollback').toEqual(restored(original));
    expect(back.vips.own, 'virtual IP on the network that was left and joined again').toBeDefined();

    await swarm.rollback('solo');
    await updated(swarm, 'solo', 'rollback_completed');
    expect(restored(await note('rolled back again')), 'the service after a second rollback').toEqual(
      restored(newer),
    );

    // What fails is its image; ports, networks and names had changed with it, and are restored, too.
    await swarm.update('solo', {
      UpdateConfig: { FailureAction: 'rollback' },
      TaskTemplate: {
        ContainerSpec: { Image: 'swarmproof.invalid/no-such-image:1' },
        Networks: networks.map(({ Target }) => ({ Target, Aliases: ['never'] })),
      },
      EndpointSpec: { Ports: [published(failingPort)] },
    });
    await updated(swarm, 'solo', 'rollback_completed');
    expect(restored(await note('rolled back by a failure')), 'the service after a failed update').toEqual(
      restored(newer),
    );
  }),
);
