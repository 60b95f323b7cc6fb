import { OURS } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  answeredBy,
  attachments,
  carries,
  EMBEDDED_DNS,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  hostNamesOf,
  marker,
  networkIn,
  packetLine,
  type ServiceView,
  sameMembers,
  serveOutside,
  serviceIn,
  type TaskView,
  vipOf,
} from '../../fixtures/domain.ts';
import { overlays } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(overlays);

test(
  ...clause('ISO-001', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const [apart, ends] = [serviceIn(view, 'apart'), serviceIn(view, 'ends')];
    const [client, stranger] = [first(serviceIn(view, 'client').tasks), first(apart.tasks)];
    const namesOf = ({ name, tasks }: ServiceView, ...more: string[]) => [
      ...[name, `tasks.${name}`, ...more],
      ...tasks.flatMap(({ containerName, container }) => [containerName, container.slice(0, 12)]),
    ];
    const addressesOf = (service: ServiceView, network: string) => [
      vipOf(service, network),
      ...service.tasks.map(({ addresses }) => addresses[network] ?? 'none'),
    ];
    const ask = async (from: TaskView, names: string[], addresses: string[]) => {
      const inside = swarm.inside(from);
      const [answers, samples] = await Promise.all([
        inside.probe({
          kind: 'dns',
          server: EMBEDDED_DNS,
          questions: names.map((name) => ({ name, type: 'A' })),
          window: names.length,
          // What the engine does not know it asks elsewhere, where nobody answers: it gives up after its own time.
          timeoutMs: OURS.upstreamGivenUpMs,
        }),
        inside.probe({
          kind: 'http',
          to: addresses.map((address) => endpoint(address, HTTP_PORT)),
          parallel: addresses.length,
          timeoutMs: OURS.connectMs,
        }),
      ]);
      const resolved = answers.map((one) => ({
        name: names[one.q] ?? '',
        addresses: failed(one) ? [one.error] : addressesIn(one),
      }));
      return { resolved, answered: answeredBy(samples), samples };
    };

    // `apart` is on narrow alone, with the alias; client and `ends` are on front alone. On w2 all three share a node.
    for (const [from, service, network, insider, names] of [
      [client, apart, 'narrow', stranger, namesOf(apart, 'aside', 'tasks.aside')],
      [stranger, ends, 'front', client, namesOf(ends)],
    ] as const) {
      const addresses = addressesOf(service, network);
      const [outside, inside] = await Promise.all([
        ask(from, names, addresses),
        ask(insider, names, addresses),
      ]);
      await evidence(`${service.name} asked from another network and from its own`, { outside, inside });
      const resolving = (seen: typeof outside) => seen.resolved.filter((one) => one.addresses.length > 0);
      const own = (one: { addresses: string[] }) =>
        one.addresses.every((address) => addresses.includes(address));
      judge(
        `names of ${service.name} that its own network knows`,
        sameMembers(
          names,
          resolving(inside)
            .filter(own)
            .map(({ name }) => name),
        ),
      );
      judge(
        `names of ${service.name} that another network knows`,
        sameMembers(
          [],
          resolving(outside).map((one) => `${one.name}: ${one.addresses}`),
        ),
      );
      const tasks = hostNamesOf(service);
      expect(
        inside.answered.filter((answer) => tasks.includes(answer)).length,
        `addresses of ${service.name} that answer on its own network`,
      ).toBe(addresses.length);
      judge(
        `addresses of ${service.name} that are reached from another network`,
        sameMembers(
          [],
          // A connection that stands and then tells nothing has reached somebody, too.
          outside.samples.filter((one) => !failed(one) || one.phase !== 'connect').map(({ to }) => to),
        ),
      );
    }
  }),
);

test(
  ...clause('ISO-003', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const inner = serviceIn(view, 'inner');
    const client = first(serviceIn(view, 'client').tasks);
    await serveOutside(swarm);
    const outside = endpoint(swarm.outsider.address, HTTP_PORT);

    const networks = [...view.networks];
    for (const task of inner.tasks) {
      const state = await swarm.taskNamespace(task, ['links', 'routes']);
      await evidence(`links and routes of ${task.containerName}`, state);
      const { node } = task;
      judge(
        'networks of the task',
        sameMembers(
          ['inside'],
          attachments(state, networks).flatMap((one) => one.networks),
        ),
        {
          node,
        },
      );
      const routes = state.routes?.map(({ to, via }) => (via ? `${to} via ${via}` : to)) ?? [];
      judge('routes of the task', sameMembers([networkIn(view, 'inside').subnet], routes), { node });
    }

    // A name nobody has: asked from the client it leaves the engine towards the node's own name server, from `inner` it must not.
    const asked = { inner: marker(), client: marker() };
    const ask = (task: TaskView, label: string) =>
      swarm.inside(task).probe({
        kind: 'dns',
        server: EMBEDDED_DNS,
        questions: [{ name: `${label}.example.com`, type: 'A' }],
        timeoutMs: OURS.upstreamGivenUpMs,
      });
    const task = inner.tasks.find(({ node }) => node === client.node) ?? first(inner.tasks);
    const capture = await swarm.node(client.node).vantage.listen({ filter: 'udp or tcp port 53' });
    const answers = await Promise.all([ask(task, asked.inner), ask(client, asked.client)]);
    const packets = await capture.stop();
    const leaving = (label: string) => packets.filter((packet) => carries(packet, label)).map(packetLine);
    const queries = { inner: leaving(asked.inner), client: leaving(asked.client) };
    const reached = await Promise.all(
      [client, ...inner.tasks].map((from) =>
        swarm.inside(from).probe({ kind: 'http', to: outside, timeoutMs: OURS.connectMs }),
      ),
    );
    await evidence('asked of the outside', { answers, queries, reached });
    const [[fromClient] = [], ...fromInner] = reached;
    expect(fromClient && !failed(fromClient), 'a host outside answers an ordinary network').toBe(true);
    expect(
      fromInner.flat().map((sample) => (failed(sample) ? sample.error : 'answered')),
      'a host outside, from each task of an internal network',
    ).toEqual(inner.tasks.map(() => 'unreachable'));

    // Between its own tasks nothing is missing: names, virtual IP, and the way to the other node.
    for (const from of inner.tasks) {
      const vip = vipOf(inner, 'inside');
      const names = await swarm.inside(from).addresses(['inner', 'tasks.inner']);
      judge('what inner stands for', sameMembers([vip], names.get('inner') ?? []), { node: from.node });
      const tasks = inner.tasks.map(({ addresses }) => addresses.inside ?? 'none');
      judge('what tasks.inner stands for', sameMembers(tasks, names.get('tasks.inner') ?? []), {
        node: from.node,
      });
      const samples = await swarm
        .inside(from)
        .probe({ kind: 'http', to: endpoint(vip, HTTP_PORT), count: inner.tasks.length });
      await evidence(`answers of the virtual IP to ${from.containerName}`, samples);
      judge('tasks that answer on the virtual IP', sameMembers(hostNamesOf(inner), answeredBy(samples)), {
        node: from.node,
      });
    }

    // Last, since a known defect is in this alone.
    expect(queries.client.length, 'queries of an ordinary network that leave the engine').toBeGreaterThan(0);
    judge('queries of an internal network that leave the engine', sameMembers([], queries.inner));
  }),
);
