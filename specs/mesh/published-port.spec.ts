import { PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  endpoint,
  hostNamesOf,
  OWN_PORTS,
  strictRotation,
  watch,
} from '../../fixtures/domain.ts';
import { VOTE_PORT, voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('MESH-001', async ({ swarm, evidence }) => {
    const tasks = hostNamesOf(await swarm.service('vote'));
    const entries = swarm.nodes.map(({ name, address }) => ({ name, to: endpoint(address, VOTE_PORT) }));
    const sources = [...swarm.nodes.map(({ vantage }) => vantage), swarm.outsider];

    // From elsewhere through nat PREROUTING, from the node itself through OUTPUT: DNAT into ingress_sbox -> IPVS -> task, over
    // VXLAN where that runs on another node. m1 runs none.
    await watch(
      'every node answers on the published port',
      {
        look: () =>
          Promise.all(
            sources.map(async (source) => ({
              from: source.name,
              samples: await source.probe({
                kind: 'http',
                to: entries.map(({ to }) => to),
                count: 2,
                rounds: true,
              }),
            })),
          ),
        wrong: (seen) =>
          Object.fromEntries(
            entries.map(({ name, to }) => [
              name,
              seen.flatMap(({ from, samples }) =>
                answeredBy(samples.filter((sample) => sample.to === to))
                  .filter((answer) => !tasks.includes(answer))
                  .map((answer) => `asked from ${from}: ${answer}`),
              ),
            ]),
          ),
        keep: (seen) => evidence('answers, by who asked', seen),
      },
      PROMISED.portAnswers,
    );
  }),
);

test(
  ...clause('MESH-002', async ({ swarm, evidence }) => {
    const tasks = hostNamesOf(await swarm.service('vote'));

    // m1 runs no task: published port -> DNAT into ingress_sbox -> mark -> IPVS -> VXLAN -> task. Each entry node has its own turn.
    for (const { name: node, address } of swarm.nodes) {
      const samples = await swarm.outsider.probe({
        kind: 'http',
        to: endpoint(address, VOTE_PORT),
        count: 4 * tasks.length,
        sourcePort: OWN_PORTS['MESH-002'],
      });
      await evidence(`answers through ${node}`, samples);
      judge(`tasks that answer in turn through ${node}`, strictRotation(answeredBy(samples), tasks), {
        node,
      });
    }
  }),
);
