import { balancerSettings, network, pairs, sameMembers, service, unloadIpvs } from '../../fixtures/domain.ts';
import { clause, expect, judge, test } from '../../fixtures/test.ts';

const CONNTRACK = 'net.ipv4.vs.conntrack';

test(
  ...clause('SYS-014', { disturbs: true }, async ({ swarm, evidence, skip }) => {
    if (!swarm.labLogs) skip('kernel-of-others: IPVS is unloaded only from the kernel of a guest of ours');
    // As after a boot: every node has its ingress sandbox, and nobody has used IPVS yet.
    // All nodes of the lab share a kernel, so the first has done it for all; whoever does the same elsewhere does it on each.
    for (const node of swarm.nodes) await unloadIpvs(node);
    await swarm.createNetwork(network('front'));
    await swarm.create(service('vote', { publish: 8080, on: ['w1'] }));
    await swarm.settled();

    const balancers = await swarm.balancers(await swarm.view(), ['ipvs', 'sysctls']);
    await evidence('balancers of a kernel that got IPVS for them', balancers);
    const wrong: { name: string; node: string; judgement: ReturnType<typeof sameMembers> }[] = [];
    for (const { node, network: name, state } of balancers) {
      expect(state.ipvs?.length, `services balanced for ${name} on ${node}`).toBeGreaterThan(0);
      const { [CONNTRACK]: tracking = '', ...others } = balancerSettings(swarm.node(node).generation);
      const seen = (keys: readonly string[]) =>
        keys.map((key) => `${key}=${state.sysctls?.[key] ?? 'absent'}`);
      // Set by another way (configureFWMark, in the balancer itself), and so a promise of its own.
      judge(
        `connection tracking of ${name} on ${node}`,
        sameMembers([`${CONNTRACK}=${tracking}`], seen([CONNTRACK])),
        { node },
      );
      wrong.push({ name, node, judgement: sameMembers(pairs(others), seen(Object.keys(others))) });
    }
    for (const { name, node, judgement } of wrong)
      judge(`settings of ${name} on ${node}`, judgement, { node });
  }),
);
