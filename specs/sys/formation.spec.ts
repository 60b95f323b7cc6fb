import { PROMISED } from '../../fixtures/bounds.ts';
import {
  complaint,
  GATEWAY_BRIDGE,
  HOST,
  INGRESS_SANDBOX,
  type ListedNetwork,
  type ListedNode,
  mountedNamespaces,
  type Node,
  sameMembers,
  viewNetworks,
  viewNodes,
  viewOwnMembership,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { clause, test } from '../../fixtures/test.ts';

// A bare Swarm: whatever is here came with it.

test(
  ...clause('SYS-001', async ({ swarm, evidence }) => {
    // No packet of ours: managers tell what Raft holds, every engine what it was told when it joined.
    await watch(
      'every manager lists all members as ready, and one as leader',
      {
        look: () =>
          swarm.everywhere(async ({ api, role }) => ({
            own: await viewOwnMembership(api),
            list: role === 'manager' ? await viewNodes(api) : null,
          })),
        wrong: (seen) => {
          const members = Object.values(seen).flatMap(({ own }) => own.id || []);
          return wrongOnEach(seen, ({ own, list }) => [
            ...complaint('its own state', sameMembers(['active'], [own.state])),
            ...(list ? wrongInList(list, members) : []),
          ]);
        },
        keep: (seen) => evidence('what each node says', seen),
      },
      PROMISED.membersReady,
    );
  }),
);

function wrongInList(list: readonly ListedNode[], members: readonly string[]): string[] {
  const ids = list.map(({ id }) => id);
  const states = list.map(({ name, state, availability }) => `${name} is ${state} and ${availability}`);
  const leaders = list.filter(({ leader }) => leader).map(({ name }) => name);
  return [
    ...complaint('listed nodes', sameMembers(members, ids)),
    ...states.filter((state) => !state.endsWith(' is ready and active')),
    ...(leaders.length === 1 ? [] : [`leaders: expected one, saw ${leaders.join(', ') || 'none'}`]),
  ];
}

test(
  ...clause('SYS-002', async ({ swarm, evidence }) => {
    // The way of a packet to a published port, before there is any: docker_gwbridge, ingress_sbox, the ingress overlay.
    await watch(
      'every member has ingress and docker_gwbridge',
      {
        look: () => swarm.everywhere(equipment),
        wrong: (seen) => {
          const ingress = seen[swarm.manager.name]?.networks.find((network) => network.ingress);
          return wrongOnEach(seen, (member) => lacking(member, ingress?.id ?? 'of the manager'));
        },
        keep: (seen) => evidence('networks, links and namespaces', seen),
      },
      PROMISED.membersEquipped,
    );
  }),
);

async function equipment(node: Node) {
  return {
    networks: await viewNetworks(node.api),
    links: (await node.namespace(HOST, ['links'])).links ?? [],
    namespaces: await mountedNamespaces(node.toolbox),
  };
}

function lacking(member: Awaited<ReturnType<typeof equipment>>, ingressId: string): string[] {
  const kinds = (of: readonly ListedNetwork[]) => of.map(({ driver, scope }) => `${driver} ${scope}`);
  const marked = member.networks.filter(({ ingress }) => ingress);
  const gateways = member.networks.filter(({ name }) => name === GATEWAY_BRIDGE);
  const bridges = member.links.filter(
    ({ name, kind, up }) => name === GATEWAY_BRIDGE && kind === 'bridge' && up,
  );
  const sandboxes = member.namespaces.filter((name) => name === INGRESS_SANDBOX);
  return [
    ...complaint(
      'networks marked as ingress',
      sameMembers(
        [ingressId],
        marked.map(({ id }) => id),
      ),
    ),
    ...complaint('kind of ingress', sameMembers(['overlay swarm'], kinds(marked))),
    ...complaint(`networks called ${GATEWAY_BRIDGE}`, sameMembers(['bridge local'], kinds(gateways))),
    ...complaint(
      'bridge of that name',
      sameMembers(
        [GATEWAY_BRIDGE],
        bridges.map(({ name }) => name),
      ),
    ),
    ...complaint('namespace of ingress', sameMembers([INGRESS_SANDBOX], sandboxes)),
  ];
}
