import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  assume,
  complaint,
  converge,
  EMBEDDED_DNS,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  holdersOfAddresses,
  hostNamesOf,
  meanwhile,
  network,
  pairs,
  type ServiceView,
  sameMembers,
  service,
  serviceIn,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('VIP-003', { disturbs: true, limitMs: 300_000 }, async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const before = await swarm.service('two');
    const image = async () =>
      (await swarm.manager.api.getService('two').inspect()).Spec.TaskTemplate.ContainerSpec.Image;
    const former: string = await image();
    const next = `${former}-next`;
    const [repo = '', tag = ''] = next.split(/:(?=[^:/]*$)/);
    await swarm.everywhere((node) => node.api.getImage(former).tag({ repo, tag }));

    const [scaled, replaced] = [
      (count: number) => (now: ServiceView) => now.tasks.length === count,
      (now: ServiceView, last: ServiceView) =>
        now.tasks.length === 1 && now.tasks[0]?.id !== last.tasks[0]?.id,
    ];
    const steps: [string, () => Promise<void>, (now: ServiceView, last: ServiceView) => boolean][] = [
      ['scaled to 5', () => swarm.scale('two', 5), scaled(5)],
      ['scaled to 1', () => swarm.scale('two', 1), scaled(1)],
      ['updated by force', () => swarm.replaceTasks(before), replaced],
      [
        'on another image',
        () => swarm.update('two', { TaskTemplate: { ContainerSpec: { Image: next } } }),
        replaced,
      ],
      ['rolled back', () => swarm.rollback('two'), replaced],
    ];
    const seen: { step: string; image: string; service: ServiceView }[] = [];
    const walk = async () => {
      for (const [step, act, done] of steps) {
        const last = await swarm.service('two');
        await act();
        let now = last;
        const wrong = async () => {
          now = await swarm.service('two');
          return done(now, last) ? [] : [`${now.tasks.length} tasks run: ${now.tasks.map(({ id }) => id)}`];
        };
        await converge(`two is ${step}`, wrong, { ...OURS.taskReplaced, holdMs: 0 });
        seen.push({ step, image: await image(), service: now });
        judge(`virtual IPs when ${step}`, sameMembers(pairs(before.vips), pairs(now.vips)));
      }
    };
    const question = { name: 'two', type: 'A' } as const;
    const asking = client.sending({
      kind: 'dns',
      server: EMBEDDED_DNS,
      questions: [question],
      intervalMs: 500,
    });
    const { answers } = await meanwhile({ answers: asking }, walk, (all) =>
      evidence('services after each step, and what the name stood for meanwhile', { seen, ...all }),
    );
    const images = seen.map((one) => one.image);
    expect(images, 'images after each step').toEqual([former, former, former, next, former]);
    // With one task, which stops before its successor starts, the name is empty for a while. But it never is another's.
    const heard = answers.flatMap((answer) => (failed(answer) ? [] : answer.answers.map(({ data }) => data)));
    judge('addresses heard', sameMembers([vipOf(before, 'front')], [...new Set(heard)]));
  }),
);

/** 14 addresses: the gateway, a balancer, two services with a task each, and no more than nine other services. */
const NARROW = '10.77.0.0/28';
const NARROW_HOSTS = Array.from({ length: 14 }, (_, i) => `10.77.0.${i + 1}`);
const OTHERS = Array.from({ length: 10 }, (_, i) => `other${i}`);

test(
  ...clause('VIP-004', { disturbs: true }, async ({ swarm, evidence }) => {
    await swarm.createNetwork(network('narrow', { IPAM: { Config: [{ Subnet: NARROW }] } }));
    for (const name of ['asker', 'kept'])
      await swarm.create(service(name, { networks: ['narrow'], on: ['w1'] }));
    await swarm.settled();
    const view = await swarm.view();
    const asker = swarm.inside(first(serviceIn(view, 'asker').tasks));
    const vip = vipOf(serviceIn(view, 'kept'), 'narrow');
    const names = ['kept', 'tasks.kept'];

    await swarm.scale('kept', 0);
    await watch(
      'the names of a service without tasks are empty',
      {
        look: async () => ({ w1: Object.fromEntries(await asker.addresses(names)) }),
        wrong: ({ w1 }) => ({
          w1: names.flatMap((name) => complaint(`records of ${name}`, sameMembers([], w1[name] ?? []))),
        }),
        keep: (heard) => evidence('names without tasks', heard),
      },
      PROMISED.serviceWithdrawn,
    );
    // Addresses are given in turn, so that one which is free may lie there for long. When all others are taken, it would not.
    for (const name of OTHERS) await swarm.create(service(name, { networks: ['narrow'], replicas: 0 }));
    const outOfAddresses = async () => {
      const now = await swarm.view();
      const vips = OTHERS.map((name) => serviceIn(now, name).vips.narrow ?? 'none');
      judge(
        'addresses given to others',
        sameMembers(
          [],
          vips.filter((one) => one === vip),
        ),
      );
      const given = vips.filter((one) => one !== 'none').length;
      return given === OTHERS.length - 1 ? [] : [`${given} of ${OTHERS.length} services have an address`];
    };
    await converge('the network runs out of addresses', outOfAddresses, OURS.addressesTaken);
    const full = await swarm.view();
    const holders = (await holdersOfAddresses(swarm, full)).narrow;
    await evidence('who holds which address', holders);
    const free = NARROW_HOSTS.filter((address) => !holders?.[address]);
    assume('addresses that are free', sameMembers([], free));
    judge(`holders of ${vip}`, sameMembers(['VIP of kept'], holders?.[vip] ?? []));

    for (const name of OTHERS) await swarm.remove(name);
    await swarm.scale('kept', 1);
    const back = async () => {
      const { tasks, vips } = await swarm.service('kept');
      judge('virtual IP with a task again', sameMembers([`narrow=${vip}`], pairs(vips)));
      if (tasks.length === 0) return ['no task runs'];
      const [answer = 'nobody'] = answeredBy(
        await asker.probe({ kind: 'http', to: endpoint(vip, HTTP_PORT), timeoutMs: OURS.connectMs }),
      );
      const heard = await asker.addresses(['kept', 'tasks.kept']);
      const own = tasks.map(({ addresses }) => addresses.narrow ?? 'none');
      return [
        ...complaint('the name', sameMembers([vip], heard.get('kept') ?? [])),
        ...complaint('the name of its tasks', sameMembers(own, heard.get('tasks.kept') ?? [])),
        ...complaint('who answers', sameMembers(hostNamesOf({ name: 'kept', tasks }), [answer])),
      ];
    };
    await converge('the same virtual IP answers again', back, OURS.taskReplaced);
  }),
);
