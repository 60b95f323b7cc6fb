import { endpoint, failed, strictRotation } from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith } from '../../fixtures/test.ts';

startWith(voting);

clause('MESH-002', async ({ swarm, evidence }) => {
  const vote = await swarm.service('vote');
  const tasks = vote.tasks.map(({ container }) => container.slice(0, 12));

  // m1 runs no task: published port -> DNAT into ingress_sbox -> mark -> IPVS -> VXLAN -> task. Each entry node has its own turn.
  for (const node of swarm.nodes) {
    const samples = await swarm.outsider.probe({ kind: 'http', to: endpoint(node.address, VOTE_PORT), count: 4 * tasks.length });
    await evidence(`answers through ${node.name}`, samples);
    const answers = samples.map((sample) => (failed(sample) ? sample.error : (sample.container ?? 'not the workload')));
    judge(`tasks that answer in turn through ${node.name}`, strictRotation(answers, tasks), { node: node.name });
  }
});
