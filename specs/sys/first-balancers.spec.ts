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
    const settings = balancers.map(({ node, network: name, state }) => {
      const due = Object.entries(balancerSettings(swarm.node(node).generation));
      const compared = (wanted: typeof due) =>
        sameMembers(
          pairs(Object.fromEntries(wanted)),
          wanted.map(([key]) => `${key}=${state.sysctls?.[key] ?? 'absent'}`),
        );
      return {
        node,
        of: `${name} on ${node}`,
        balanced: state.ipvs?.length,
        tracking: compared(due.filter(([key]) => key === CONNTRACK)),
        others: compared(due.filter(([key]) => key !== CONNTRACK)),
      };
    });
    // Tracking is set by another way (configureFWMark, in the balancer itself): no defect of the others excuses it.
    for (const { node, of, balanced, tracking } of settings) {
      expect(balanced, `services balanced for ${of}`).toBeGreaterThan(0);
      judge(`connection tracking of ${of}`, tracking, { node });
    }
    for (const { node, of, others } of settings) judge(`settings of ${of}`, others, { node });
  }),
);
