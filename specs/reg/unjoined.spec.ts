import {
  addressesAt,
  answeredBy,
  askEachOther,
  endpoint,
  HTTP_PORT,
  type Node,
  networkIn,
  type PlainContainer,
  runContainer,
  sameMembers,
  serviceIn,
  stack,
  unanswered,
  vxlanIds,
} from '../../fixtures/domain.ts';
import { endToEndSecret, unjoined } from '../../fixtures/stacks.ts';
import { clause, type Evidence, judge, startWith, test } from '../../fixtures/test.ts';
import { bothWays, listen, MANAGEMENT, ways } from '../../fixtures/underlay.ts';

// Failures that come with the way in which a Swarm is founded, joined or left.
startWith(stack(), unjoined);

test(
  ...clause('REG-033', { disturbs: true }, async ({ swarm: lab, evidence }) => {
    const nodes = lab.everyone;
    const containers: Record<string, PlainContainer[]> = {};
    const start = (name: string) =>
      lab.everywhere(async (node) => {
        const also = { NetworkingConfig: { EndpointsConfig: { [HOME]: { Aliases: [`${name}-too`] } } } };
        const container = await runContainer(node, { name, network: HOME, also });
        containers[node.name] = [...(containers[node.name] ?? []), container];
      }, nodes);
    const judgeNames = async (when: string) => {
      for (const node of nodes) await namesAtHome(when, node, containers[node.name] ?? [], evidence);
    };

    // From a container to the engine's DNS server in its own namespace, and over the bridge: no Swarm is on that way.
    await lab.everywhere(({ api }) => api.createNetwork({ Name: HOME, Driver: 'bridge' }), nodes);
    await start('left');
    await start('right');
    await judgeNames('before there is a Swarm');
    const swarm = await lab.foundOfSpares();
    await start('guest');
    await judgeNames('as members');
    for (const node of [...swarm.nodes].toReversed()) await swarm.leave(node, { force: true });
    await start('late');
    await judgeNames('after leaving');
  }),
);

const HOME = 'home';

/** Every container hears the addresses of all others by their names and aliases, and is answered there. */
async function namesAtHome(
  when: string,
  node: Node,
  containers: readonly PlainContainer[],
  evidence: Evidence,
) {
  const addresses = await addressesAt(node, HOME);
  for (const asker of containers) {
    const others = containers.filter(({ name }) => name !== asker.name);
    const namesOf = ({ name }: PlainContainer) => [name, `${name}-too`];
    const heard = await asker.inside.addresses(others.flatMap(namesOf));
    const to = others.map(({ name }) => endpoint(addresses.get(name) ?? '', HTTP_PORT));
    const answers = await asker.inside.probe({ kind: 'http', to });
    await evidence(`${when}: ${asker.name} on ${node.name}`, { heard: [...heard], answers });
    judge(
      `who answers ${asker.name} ${when}`,
      sameMembers(
        others.map(({ id }) => id.slice(0, 12)),
        answeredBy(answers),
      ),
      { node: node.name },
    );
    judge(
      `names that ${asker.name} hears ${when}`,
      sameMembers(
        others.flatMap((one) => namesOf(one).map((name) => `${name} ${addresses.get(one.name)}`)),
        [...heard].flatMap(([name, all]) => all.map((address) => `${name} ${address}`)),
      ),
      { node: node.name },
    );
  }
}

test(
  ...clause('REG-048', { disturbs: true, limitMs: 420_000 }, async ({ swarm: lab, evidence }) => {
    const plugs = await lab.cable({ name: 'swarmproof-data', subnet: '192.168.84.0/24' });
    const data = ({ name }: Node) => plugs[name]?.address ?? 'none';
    const swarm = await lab.foundOfSpares({ each: (node) => ({ DataPathAddr: data(node) }) });
    await swarm.deploy(endToEndSecret);
    await swarm.settled();
    const view = await swarm.view();
    const secret = networkIn(view, 'secret');

    // As on a plain overlay, but with ESP around the VXLAN, by the interface for data.
    const passes = await listen(lab, { filter: `ip and not (${MANAGEMENT})` }, ({ name }) => [
      plugs[name]?.link ?? '',
    ]);
    const questions = await askEachOther(swarm, serviceIn(view, 'ends').tasks, secret.name);
    await evidence('questions on the encrypted overlay', questions);
    const passed = await passes.end(evidence);
    judge('questions that were not answered', sameMembers([], unanswered(questions)));
    const vnis = vxlanIds(await swarm.manager.network(secret.id)).map(String);
    for (const { node, packets } of passed) {
      const esp = packets.filter((packet) => packet.esp);
      judge(
        `what passes encrypted on ${node}`,
        sameMembers(bothWays(swarm.nodes, data, ['esp']), ways(esp)),
        {
          node,
        },
      );
      const readable = packets.filter(({ vxlan }) => vxlan && vnis.includes(`${vxlan.vni}`));
      judge(`what of the encrypted overlay can be read on ${node}`, sameMembers([], ways(readable)), {
        node,
      });
    }
  }),
);
