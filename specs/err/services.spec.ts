import { PROMISED } from '../../fixtures/bounds.ts';
import {
  acceptedBy,
  answeredBy,
  answerTo,
  attachContainer,
  complaint,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  inventory,
  namespaceOf,
  network,
  type Swarm,
  sameMembers,
  service,
  serviceIn,
  viewNetworks,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { accepts, refuses } from '../../fixtures/refusals.ts';
import { TWO_PORT, virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

/** A port that no service has, and the next ones. */
const FREE_PORT = 8090;

test(
  ...clause('ERR-001', { disturbs: true }, async ({ swarm, evidence }) => {
    const look = () => inventory(swarm.manager.api);
    const at = (mode: 'ingress' | 'host', published = FREE_PORT) => ({ published, target: HTTP_PORT, mode });
    const create = (name: string, ports: ReturnType<typeof at>[]) => () =>
      swarm.create(service(name, { endpointMode: 'dnsrr', replicas: 0, publish: ports }));
    const update = (name: string, published: number, mode: 'ingress' | 'host') => () =>
      swarm.update(name, {
        EndpointSpec: {
          Mode: 'dnsrr',
          Ports: [{ Protocol: 'tcp', TargetPort: HTTP_PORT, PublishedPort: published, PublishMode: mode }],
        },
      });
    const mode = { Ports: [{ Protocol: 'tcp', TargetPort: HTTP_PORT, PublishedPort: FREE_PORT }] };
    const refusal = { status: 400, tells: ['ingress mode', 'dnsrr'] };

    await refuses(
      [
        { what: 'a port in the mesh', ask: create('mesh', [at('ingress')]), ...refusal },
        {
          what: 'one of two ports in the mesh',
          ask: create('both', [at('host'), at('ingress', FREE_PORT + 1)]),
          ...refusal,
        },
        {
          what: 'a port published as the engine likes',
          ask: () =>
            swarm.create(
              service('either', { endpointMode: 'dnsrr', replicas: 0, also: { EndpointSpec: mode } }),
            ),
          ...refusal,
        },
        {
          what: 'dnsrr for a published service',
          ask: () => swarm.update('two', { EndpointSpec: { Mode: 'dnsrr' } }),
          ...refusal,
        },
        {
          what: 'a port in the mesh for a dnsrr service',
          ask: update('plain', FREE_PORT, 'ingress'),
          ...refusal,
        },
      ],
      look,
      evidence,
    );

    await accepts(
      [
        { what: 'a port in host mode', ask: create('hosted', [at('host')]) },
        { what: 'dnsrr for a service published in host mode', ask: update('two', TWO_PORT, 'host') },
        { what: 'a port in host mode for a dnsrr service', ask: update('plain', FREE_PORT + 1, 'host') },
      ],
      evidence,
    );
    const modes = (await swarm.view()).services.map(({ name, endpointMode }) => `${name} ${endpointMode}`);
    const due = ['client vip', 'two dnsrr', 'three vip', 'four vip', 'plain dnsrr', 'hosted dnsrr'];
    judge('services and their endpoint modes', sameMembers(due, modes));
  }),
);

test(
  ...clause('ERR-002', { disturbs: true }, async ({ swarm, evidence }) => {
    type Port = { published?: number; protocol?: 'tcp' | 'udp'; mode?: 'ingress' | 'host' };
    const create =
      (name: string, ...ports: Port[]) =>
      () =>
        swarm.create(
          service(name, { replicas: 0, publish: ports.map((port) => ({ target: HTTP_PORT, ...port })) }),
        );
    const taken = (port: number, owner: string, mode: string) => ({
      status: 400,
      tells: [`'${port}'`, 'already in use by service', `'${owner}'`, mode],
    });
    const duplicates = { status: 400, tells: ['duplicate published ports'] };
    const [hostPort, freePort, twinPort] = [FREE_PORT, FREE_PORT + 1, FREE_PORT + 2];

    await accepts(
      [
        { what: 'a port in host mode', ask: create('hosted', { published: hostPort, mode: 'host' }) },
        { what: 'a port of the engine’s choice', ask: create('chosen', {}) },
      ],
      evidence,
    );
    await allocated(swarm, 'hosted', 'chosen');
    const chosen = first((await swarm.service('chosen')).ports).published;

    await refuses(
      [
        {
          what: 'ingress against ingress',
          ask: create('a', { published: TWO_PORT }),
          ...taken(TWO_PORT, 'two', 'ingress port'),
        },
        {
          what: 'host against ingress',
          ask: create('a', { published: TWO_PORT, mode: 'host' }),
          ...taken(TWO_PORT, 'two', 'ingress port'),
        },
        {
          what: 'ingress against host',
          ask: create('a', { published: hostPort }),
          ...taken(hostPort, 'hosted', 'host-published port'),
        },
        {
          what: 'ingress against a chosen port',
          ask: create('a', { published: chosen }),
          ...taken(chosen, 'chosen', 'ingress port'),
        },
        {
          what: 'update against ingress',
          ask: () =>
            swarm.update('three', {
              EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: HTTP_PORT, PublishedPort: TWO_PORT }] },
            }),
          ...taken(TWO_PORT, 'two', 'ingress port'),
        },
        {
          what: 'one number twice',
          ask: create('a', { published: freePort }, { published: freePort }),
          ...duplicates,
        },
        {
          what: 'one number in both modes',
          ask: create('a', { published: freePort }, { published: freePort, mode: 'host' }),
          ...duplicates,
        },
      ],
      () => inventory(swarm.manager.api),
      evidence,
    );

    await accepts(
      [
        {
          what: 'the number with another protocol',
          ask: create('udp', { published: TWO_PORT, protocol: 'udp' }),
        },
        {
          what: 'one number with two protocols',
          ask: create('twins', { published: twinPort }, { published: twinPort, protocol: 'udp' }),
        },
        { what: 'host against host', ask: create('too', { published: hostPort, mode: 'host' }) },
        { what: 'the removal of the owner', ask: () => swarm.remove('two') },
        { what: 'ingress where ingress was', ask: create('a', { published: TWO_PORT }) },
      ],
      evidence,
    );
  }),
);

test(
  ...clause('ERR-003', { disturbs: true }, async ({ swarm, evidence }) => {
    const nowhere = { TaskTemplate: { Placement: { Constraints: ['node.hostname==nowhere'] } } };
    await swarm.create(service('everywhere', { replicas: 'global', also: nowhere }));
    await allocated(swarm, 'everywhere');
    const unknown = { status: 400, tells: ['invalid resolution mode', 'random'] };
    const otherMode = { status: 501, tells: ['mode change is not allowed'] };

    await refuses(
      [
        {
          what: 'a service in a mode that does not exist',
          ask: () =>
            swarm.create(service('odd', { replicas: 0, also: { EndpointSpec: { Mode: 'random' } } })),
          ...unknown,
        },
        {
          what: 'an update to a mode that does not exist',
          ask: () => swarm.update('two', { EndpointSpec: { Mode: 'random' } }),
          ...unknown,
        },
        {
          what: 'global instead of replicated',
          ask: () => swarm.update('two', (spec) => ({ ...spec, Mode: { Global: {} } })),
          ...otherMode,
        },
        {
          what: 'replicated instead of global',
          ask: () =>
            swarm.update('everywhere', (spec) => ({ ...spec, Mode: { Replicated: { Replicas: 1 } } })),
          ...otherMode,
        },
        {
          what: 'another name',
          ask: () => swarm.update('two', { Name: 'zwei' }),
          status: 501,
          tells: ['renaming services is not supported'],
        },
      ],
      () => inventory(swarm.manager.api),
      evidence,
    );

    const line = async () =>
      first((await inventory(swarm.manager.api)).filter((one) => one.startsWith('service two ')));
    const version = (of: string) => Number(/ version (\d+)/.exec(of)?.[1]);
    const before = await line();
    await accepts(
      [{ what: 'another label', ask: () => swarm.update('two', { Labels: { colour: 'blue' } }) }],
      evidence,
    );
    const after = await line();
    await evidence('two before and after a valid update', { before, after });
    expect(version(after), 'version of two after a valid update').toBeGreaterThan(version(before));
    const others = (of: string) => of.split(', ').slice(1);
    judge('virtual IPs and ports of two after a valid update', sameMembers(others(before), others(after)));
  }),
);

test(
  ...clause('ERR-004', { disturbs: true }, async ({ swarm, evidence }) => {
    const w1 = swarm.node('w1');
    await swarm.createNetwork(network('corner', { Driver: 'bridge' }));
    const create =
      (...networks: string[]) =>
      () =>
        swarm.create(service('guest', { replicas: 0, networks }));
    const explicit = { status: 400, tells: ['cannot be explicitly attached', '"ingress"'] };
    const local = (name: string) => ({ status: 403, tells: [name, 'cannot be used with services', 'swarm'] });

    await refuses(
      [
        { what: 'a service on ingress', ask: create('ingress'), ...explicit },
        { what: 'a service on an overlay and ingress', ask: create('front', 'ingress'), ...explicit },
        {
          what: 'an update to ingress',
          ask: () => swarm.update('three', { TaskTemplate: { Networks: [{ Target: 'ingress' }] } }),
          ...explicit,
        },
        { what: 'a service on a bridge of the manager', ask: create('corner'), ...local('corner') },
        { what: 'a service on docker_gwbridge', ask: create('docker_gwbridge'), ...local('docker_gwbridge') },
      ],
      () => inventory(swarm.manager.api),
      evidence,
    );

    await accepts([{ what: 'a service on two overlays', ask: create('front', 'back') }], evidence);
    const env = { PORT_BASE: '10000', CONTAINER_NAME: 'hosted' };
    await swarm.create(
      service('hosted', { networks: ['host'], endpointMode: 'default', on: [w1.name], env }),
    );
    const state = async () =>
      (await swarm.history('hosted')).map(({ state, error }) => `${state} ${error ?? ''}`);
    await converge(
      'a task on the network host runs',
      async () =>
        (await state()).join().startsWith('running') ? [] : [`its tasks: ${(await state()).join()}`],
      PROMISED.taskRuns,
    );
    const { container } = first(await swarm.history('hosted'));
    const { State } = await w1.api.getContainer(container).inspect();
    const [own, node] = await Promise.all([State.Pid, 1].map((pid) => namespaceOf(w1.toolbox, pid)));
    // The node's own address: no mesh, no translation, since the workload listens in the node's namespace.
    const samples = await swarm.outsider.probe({
      kind: 'http',
      to: endpoint(w1.address, 10_000 + HTTP_PORT),
    });
    await evidence('a task on the network host', { own, node, samples });
    expect(own, 'network namespace of a task on host').toBe(node);
    judge('who answers at the address of the node', sameMembers(['hosted'], answeredBy(samples)));
  }),
);

test(
  ...clause('ERR-006', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const [two, plain] = [serviceIn(view, 'two'), serviceIn(view, 'plain')];
    await swarm.createNetwork(network('open', { Attachable: true }));
    const { manager } = swarm;
    const loner = await attachContainer(swarm, manager, { name: 'loner', network: 'open' });
    const remove = (name: string) => () => swarm.removeNetwork(name);
    const inUse = (by: string) => ({ status: 400, tells: [new RegExp(`is in use by ${by}$`)] });

    await refuses(
      [
        {
          what: 'removal of a network of services',
          ask: remove('back'),
          ...inUse(`service (${two.id}|${plain.id})`),
        },
        { what: 'removal of a network of a container', ask: remove('open'), ...inUse(`task ${loner.task}`) },
        {
          what: 'removal of ingress',
          ask: remove('ingress'),
          status: 400,
          tells: ['ingress network cannot be removed', two.id],
        },
      ],
      () => inventory(swarm.manager.api),
      evidence,
    );

    await Promise.all([
      swarm.remove('two'),
      swarm.remove('plain'),
      manager.api.getContainer(loner.id).remove({ force: true }),
    ]);
    const freed = ['back', 'open', 'ingress'];
    const becomesRemovable = (name: string) =>
      converge(
        `${name} can be removed`,
        async () => complaint('answer', acceptedBy(await answerTo(remove(name)()))),
        PROMISED.networkFreed,
      );
    await becomesRemovable('back');
    await becomesRemovable('open');
    // A node whose tasks are still on their way out keeps an ingress that is removed meanwhile, for good (moby daemon/network.go,
    // releaseIngress, tries once): the manager does not look at tasks, so whoever removes it has to wait for them.
    const leftovers = async () => {
      const containers = await swarm.everywhere(({ api }) => api.listContainers({ all: true }));
      return Object.entries(containers).flatMap(([node, own]) =>
        own.flatMap(({ Names }) =>
          Names.filter((name) => name.startsWith('/two.')).map((name) => `${node}: ${name}`),
        ),
      );
    };
    await converge('the containers of two are gone', leftovers, PROMISED.networkGone);
    await becomesRemovable('ingress');
    await watch(
      'removed networks are listed nowhere',
      {
        look: () => swarm.everywhere(({ api }) => viewNetworks(api)),
        wrong: (lists) =>
          wrongOnEach(lists, (networks) => {
            const left = networks.map(({ name }) => name).filter((name) => freed.includes(name));
            return complaint('removed networks', sameMembers([], left));
          }),
        keep: (lists) => evidence('networks after the removal', lists),
      },
      PROMISED.networkGone,
    );
  }),
);

test(
  ...clause('ERR-007', { disturbs: true }, async ({ swarm, evidence }) => {
    const { manager } = swarm;
    const worker = swarm.node('w1');
    const refusal = { status: 503, tells: ['not a swarm manager'] };
    const creating = [
      {
        what: 'a service',
        ask: () => swarm.create(service('from-worker', { replicas: 0 }), worker),
        ...refusal,
      },
      {
        what: 'an overlay',
        ask: () => swarm.createNetwork(network('over-worker'), worker),
        status: 403,
        tells: ['node', 'manager'],
      },
      {
        what: 'a bridge of swarm scope',
        ask: () =>
          swarm.createNetwork(network('bridge-worker', { Driver: 'bridge', Scope: 'swarm' }), worker),
        status: 403,
        tells: ['from a worker node', 'manager'],
      },
    ];

    await refuses(
      [
        ...creating,
        { what: 'the list of services', ask: () => worker.api.listServices(), ...refusal },
        { what: 'the list of nodes', ask: () => worker.api.listNodes(), ...refusal },
        { what: 'removal of a service', ask: () => worker.api.getService('three').remove(), ...refusal },
      ],
      async () => [
        ...(await inventory(manager.api)),
        ...(await viewNetworks(worker.api)).map(({ name, id }) => `network ${name} ${id} of ${worker.name}`),
      ],
      evidence,
    );

    await swarm.setRole(worker, 'manager');
    await converge(
      'the worker is a manager once promoted',
      async () =>
        complaint('answer to the list of nodes', acceptedBy(await answerTo(worker.api.listNodes()))),
      PROMISED.promoted,
    );
    await accepts(creating, evidence);
    const made = (await inventory(manager.api))
      .filter((line) => line.includes('-worker '))
      .map((line) => line.split(' ')[1] ?? '');
    judge(
      'what the first manager lists of it',
      sameMembers(['from-worker', 'over-worker', 'bridge-worker'], made),
    );
  }),
);

/** Waits until services have all that the manager gives them, which raises their version: only then nothing changes by itself. */
async function allocated(swarm: Swarm, ...names: readonly string[]): Promise<void> {
  const without = async () => {
    const { services } = await swarm.view();
    const done = services.filter(({ networks, vips }) => networks.every((network) => vips[network]));
    return names
      .filter((name) => !done.some((one) => one.name === name))
      .map((name) => `${name} has no virtual IP`);
  };
  await converge('new services have their virtual IPs', without, PROMISED.networkAllocated);
}
