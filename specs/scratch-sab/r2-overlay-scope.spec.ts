import { PROMISED } from '../../fixtures/bounds.ts';
import {
  complaint,
  ingressNetwork,
  type ListedNetwork,
  type Node,
  sameMembers,
  service,
  viewNetworks,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith } from '../../fixtures/test.ts';
const mnt = (perl: string) => `perl -e 'open F,"</proc/1/ns/mnt" or die; syscall(308,fileno F,0)==0 or die "setns $!"; ${perl}'`;
const umount = (p: string) => mnt(`my $p="/run/docker/netns/${p}"; syscall(166,$p,2)==0 or die "umount $!"`);
const bind = (a: string, b: string) => mnt(`my ($a,$b)=("/run/docker/netns/${a}","/run/docker/netns/${b}"); unless(-e $b){open G,">$b"} my $t="none"; syscall(165,$a,$b,$t,4096,0)==0 or die "mount $!"`);
const inIngress = (c: string) => `nsenter --net=/proc/1/root/run/docker/netns/ingress_sbox ${c}`;


startWith(voting);

clause('OVERLAY-001', { disturbs: true }, async ({ swarm, evidence }) => {
  const c0 = swarm.create.bind(swarm); (swarm as any).create = async (s: any) => c0({ ...s, replicas: 2, on: ['w1', 'w2'] });
  const ingress = ingressNetwork(await swarm.view()).name;
  const [w1, w2] = [swarm.node('w1'), swarm.node('w2')];
  const look = () => swarm.everywhere(({ api }) => viewNetworks(api));

  // A manager reads a network from Raft; a worker is told of it with the first task that needs it.
  await swarm.deploy({ networks: ['fresh'], services: [] });
  const unused = await look();
  await evidence('networks, fresh one unused', unused);
  judgeLists(unused, swarm.managers);

  await swarm.create(service('user', { networks: ['fresh'], on: [w1.name] }));
  await swarm.settled();
  const used = await look();
  await evidence('networks, fresh one used on w1', used);
  judgeLists(used, [...swarm.managers, w1]);

  // Which nodes have an endpoint on a network is told by gossip, on that network alone.
  const users: Record<string, readonly Node[]> = { [ingress]: swarm.nodes, front: [w1, w2], fresh: [w1] };
  await watch(
    'peers are the nodes that use a network',
    {
      look: () =>
        swarm.everywhere(async (node) => {
          const own = Object.keys(users).filter((name) => users[name]?.includes(node));
          return Promise.all(own.map((name) => node.network(name)));
        }),
      wrong: (seen) =>
        wrongOnEach(seen, (networks) =>
          networks.flatMap(({ name, peers }) => {
            const expected = users[name]?.map(({ address }) => address) ?? [];
            return complaint(`peers on ${name}`, sameMembers(expected, peers));
          }),
        ),
      keep: (seen) => evidence('networks where they are used', seen),
    },
    PROMISED.namesFollowTasks,
  );

  /** Every node lists what it uses, with the id that the manager knows it by; `fresh` is known to those alone. */
  function judgeLists(lists: Record<string, ListedNetwork[]>, knowFresh: readonly Node[]): void {
    const ids = new Map(lists[swarm.manager.name]?.map(({ name, id }) => [name, id]));
    for (const node of swarm.nodes) {
      const expected = [ingress, 'front', ...(knowFresh.includes(node) ? ['fresh'] : [])];
      const seen = lists[node.name]?.filter(({ name }) => [ingress, 'front', 'fresh'].includes(name)) ?? [];
      judge(
        `networks that ${node.name} lists`,
        sameMembers(
          expected.map((name) => `${name} ${ids.get(name)} overlay swarm`),
          seen.map(({ name, id, driver, scope }) => `${name} ${id} ${driver} ${scope}`),
        ),
        { node: node.name },
      );
    }
  }
});
