import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  acceptedBy,
  answerTo,
  complaint,
  converge,
  ECHO_PORT,
  endNamespace,
  endpoint,
  failed,
  first,
  HOST,
  HTTP_PORT,
  meanwhile,
  namespacesInUse,
  network,
  removeAndStop,
  sameMembers,
  service,
  serviceIn,
  together,
  vipOf,
} from '../../fixtures/domain.ts';
import { AT_ONCE, spread } from '../../fixtures/stacks.ts';
import { clause, expect, startWith, test } from '../../fixtures/test.ts';

startWith(spread, { spares: 1 });

/** Ports under which `brief` is published. */
const BRIEF = { http: 8085, echo: 8086 };
/** Held for longer than anything here takes, unless their end is killed. */
const HELD = { kind: 'hold', count: 3, ms: 60_000, everyMs: 1000 } as const;
/** Enough that something is under way at any time, though most of it hangs. */
const SPARSE = { intervalMs: 1000, timeoutMs: 3000 } as const;

test(
  ...clause('REG-053', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const inUse = () => swarm.everywhere(({ toolbox }) => namespacesInUse(toolbox));
    const before = await inUse();

    // A network of its own, whose balancers go with it while IPVS there and connection tracking still hold connections.
    await swarm.createNetwork(network('short'));
    await swarm.create(service('asker', { networks: ['short'], on: ['w2'], also: AT_ONCE }));
    await swarm.create(
      service('brief', {
        replicas: 3,
        networks: ['short'],
        publish: [
          { published: BRIEF.http, target: HTTP_PORT },
          { published: BRIEF.echo, target: ECHO_PORT },
          { published: BRIEF.echo, target: ECHO_PORT, protocol: 'udp' },
        ],
        also: AT_ONCE,
      }),
    );
    await swarm.settled();
    const view = await swarm.view();
    const brief = serviceIn(view, 'brief');
    const asker = swarm.inside(first(serviceIn(view, 'asker').tasks));
    const vip = (port: number) => endpoint(vipOf(brief, 'short'), port);
    const entries = (port: number) => swarm.nodes.map(({ address }) => endpoint(address, port));

    const { held } = await meanwhile(
      {
        held: together({
          'virtual IP': asker.sending({ ...HELD, to: vip(ECHO_PORT) }),
          mesh: swarm.outsider.sending({ ...HELD, to: entries(BRIEF.echo) }),
        }),
        requests: together({
          'virtual IP': asker.sending({ ...SPARSE, kind: 'http', to: vip(HTTP_PORT) }),
          mesh: swarm.outsider.sending({ ...SPARSE, kind: 'http', to: entries(BRIEF.http) }),
        }),
        datagrams: together({
          'virtual IP': asker.sending({ ...SPARSE, kind: 'udp', to: vip(ECHO_PORT) }),
          mesh: swarm.outsider.sending({ ...SPARSE, kind: 'udp', to: entries(BRIEF.echo) }),
        }),
      },
      async () => {
        const killed = brief.tasks.map(({ id }) => id);
        await Promise.all(brief.tasks.map((task) => swarm.kill(task)));
        await converge(
          'the killed tasks are replaced',
          async () => {
            const running = (await swarm.history('brief')).filter(({ state }) => state === 'running');
            const anew = running.filter(({ id }) => !killed.includes(id));
            return anew.length === killed.length ? [] : [`${anew.length} of ${killed.length} run`];
          },
          OURS.taskReplaced,
        );
        await removeAndStop(swarm, 'brief');
      },
      (seen) => evidence('traffic', seen),
    );
    for (const [where, samples] of Object.entries(held))
      expect(
        samples.filter((sample) => !failed(sample) && sample.event === 'echo').length,
        `lines echoed on held connections by ${where}`,
      ).toBeGreaterThan(0);
    await removeAndStop(swarm, 'asker');
    await converge(
      'the network can be removed',
      async () => complaint('answer', acceptedBy(await answerTo(swarm.removeNetwork('short')))),
      PROMISED.networkFreed,
    );

    // By inode, whatever the files are called: nothing but what was there before is in use.
    let seen = before;
    await converge(
      'each node uses the namespaces it used before',
      async () => {
        seen = await inUse();
        return Object.entries(seen).flatMap(([node, inodes]) =>
          complaint(`namespaces in use on ${node}`, sameMembers(before[node] ?? [], inodes)),
        );
      },
      PROMISED.networkGone,
    );
    await evidence('namespaces in use', { before, after: seen });
    // And the kernel has got over all of them: it frees one that ends after them.
    const ended = await swarm.everywhere(({ toolbox }) => endNamespace(toolbox));
    const took = await converge(
      'the kernel frees a namespace that has ended',
      async () => {
        const hosts = await swarm.everywhere((node) => node.namespace(HOST, ['links']));
        return Object.entries(hosts).flatMap(([node, { links = [] }]) =>
          links.flatMap(({ name }) => (name === ended[node] ? [`${name} is still there on ${node}`] : [])),
        );
      },
      PROMISED.namespaceFreed,
    );
    await evidence('freed', { took });
  }),
);
