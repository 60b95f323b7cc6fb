import { PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesOf,
  answeredBy,
  complaint,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  lbNamespace,
  markOfVip,
  markRules,
  networkIn,
  pairs,
  removeInTurn,
  sameMembers,
  serversOf,
  serviceIn,
  vipOf,
  watch,
} from '../../fixtures/domain.ts';
import { FORTY, manyServices } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(manyServices);

test(
  ...clause('SCALE-004', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const street = networkIn(view, 'street');
    const services = FORTY.map((name) => serviceIn(view, name));
    const clients = serviceIn(view, 'client').tasks;
    const vips = services.map((service) => vipOf(service, 'street'));
    const heard = await swarm.hear(view, 'street', FORTY);
    const answers = await swarm.everywhere((node) =>
      swarm
        .inside(first(clients.filter((task) => task.node === node.name)))
        .probe({ kind: 'http', to: vips.map((vip) => endpoint(vip, HTTP_PORT)), parallel: 8 }),
    );
    const balancers = (await swarm.balancers(view, ['ipvs', 'rules'])).filter(
      ({ network }) => network === 'street',
    );
    await evidence('services, names, answers and balancers', { services, heard, answers, balancers });

    judge('virtual IPs, each of one service', sameMembers([...new Set(vips)], vips));
    for (const { name: node } of swarm.nodes) {
      const names = pairs(Object.fromEntries(services.map(({ name }, i) => [name, vips[i] ?? 'none'])));
      const told = Object.entries(heard[node] ?? {}).map(
        ([name, addresses]) => `${name}=${addresses.join('+')}`,
      );
      judge('virtual IPs by name', sameMembers(names, told), { node });
      const tasks = services.map((service, i) => `${vips[i]}:${HTTP_PORT} ${hostNamesOf(service)}`);
      const answered = (answers[node] ?? []).map((sample) => `${sample.to} ${answeredBy([sample])}`);
      judge('tasks that answer for virtual IPs', sameMembers(tasks, answered), { node });

      const { state, markChain } = first(balancers.filter((one) => one.node === node));
      const marks = services.map((service) => markOfVip(state, vipOf(service, 'street'), markChain));
      judge('marks, each of one service', sameMembers([...new Set(marks)].map(String), marks.map(String)), {
        node,
      });
      const due = services.map(
        ({ name, ...service }) => `${name} ${addressesOf({ name, ...service }, 'street')}`,
      );
      const servers = services.map(({ name }, i) => `${name} ${serversOf(state, marks[i])}`);
      judge('servers by service', sameMembers(due, servers), { node });
    }

    await removeInTurn(swarm, FORTY);
    const client = serviceIn(view, 'client');
    const kept = vipOf(client, 'street');
    await watch(
      'nothing is left of forty removed services',
      {
        look: async () => ({
          balancers: await swarm.everywhere((node) =>
            node.namespace(lbNamespace(street, node.generation), ['ipvs', 'rules', 'links']),
          ),
          heard: await swarm.hear({ ...view, services: [client] }, 'street', [
            ...FORTY,
            ...FORTY.map((name) => `tasks.${name}`),
          ]),
        }),
        wrong: ({ balancers: now, heard: names }) =>
          Object.fromEntries(
            Object.entries(now).map(([node, state]) => [
              node,
              [
                ...complaint(
                  'addresses with a mark',
                  sameMembers(
                    [`${kept}/32`],
                    markRules(state).map(({ destination }) => destination),
                  ),
                ),
                ...complaint(
                  'IPVS services',
                  sameMembers(
                    [`FWM ${markOfVip(state, kept, swarm.node(node).generation.vipMark.chain)}`],
                    (state.ipvs ?? []).map((one) => (one.kind === 'fwmark' ? `FWM ${one.fwmark}` : one.kind)),
                  ),
                ),
                ...complaint(
                  'virtual IPs',
                  sameMembers(
                    [],
                    vips.filter((vip) =>
                      state.links?.some(({ addresses }) => addresses.some(({ address }) => address === vip)),
                    ),
                  ),
                ),
                ...Object.entries(names[node] ?? {}).flatMap(([name, addresses]) =>
                  addresses.map((one) => `${name} is ${one}`),
                ),
              ],
            ]),
          ),
        keep: (seen) => evidence('what is left', seen),
      },
      PROMISED.crowdRemoved,
    );
  }),
);
