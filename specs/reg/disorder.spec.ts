import {
  assume,
  endpoint,
  HTTP_PORT,
  INGRESS_SANDBOX,
  notWhole,
  sameMembers,
  serviceIn,
  UPLINK,
  vipOf,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

/**
 * What every node's uplink does to what it sends, in the words of tc-netem(8): 3 of 100 packets come so late that they were sent again and
 * the rest of the answer has come, and 2 of 100 come twice.
 */
const DISORDER = 'delay 500ms reorder 97% duplicate 2%';
/** Many connections that end, whose last packets come late or twice, and some that carry hundreds of packets each. */
const REQUESTS = [
  { bytes: 100, count: 100, parallel: 10 },
  { bytes: 256 * 1024, count: 8, parallel: 4 },
];

test(
  ...clause('REG-023', { disturbs: true }, async ({ swarm, evidence }) => {
    const vote = serviceIn(await swarm.view(), 'vote');
    await swarm.everywhere(({ vantage }) =>
      vantage.must(`tc qdisc replace dev ${UPLINK} root netem ${DISORDER}`),
    );

    // Task on w2 -> its balancer -> task on w1; outside -> m1, where none runs -> ingress -> tasks on w1 and w2.
    const ways = [
      { from: await swarm.client(), to: endpoint(vipOf(vote, 'front'), HTTP_PORT) },
      { from: swarm.outsider, to: endpoint(swarm.node('m1').address, VOTE_PORT) },
    ];
    for (const { from, to } of ways)
      for (const { bytes, ...many } of REQUESTS) {
        const samples = await from.probe({
          kind: 'http',
          to,
          path: `/bytes?n=${bytes}`,
          timeoutMs: 20_000,
          ...many,
        });
        await evidence(`answers of ${bytes} bytes from ${to}`, samples);
        judge(
          `answers of ${bytes} bytes from ${to} to ${from.name} that did not come whole`,
          sameMembers([], notWhole(samples, bytes)),
        );
      }

    const seen = await swarm.everywhere(async (node) => ({
      // Column `invalid`: what connection tracking took for part of no connection.
      tracking: await node.within(INGRESS_SANDBOX).must('cat /proc/net/stat/nf_conntrack'),
      uplink: await node.vantage.must(`tc -s qdisc show dev ${UPLINK}`),
    }));
    await evidence('connection tracking in ingress, and the uplinks', seen);
    assume(
      'nodes whose packets were put out of order',
      sameMembers(
        swarm.nodes.map(({ name }) => name),
        swarm.nodes.flatMap(({ name }) => (seen[name]?.uplink.includes('netem') ? [name] : [])),
      ),
    );
  }),
);
