import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  askEveryNode,
  complaint,
  HTTP_PORT,
  hostNamesOf,
  sameMembers,
  tracesOfPort,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

/** Published late, and not for long. */
const LATE_PORT = 8085;

test(
  ...clause('PORT-007', { disturbs: true }, async ({ swarm, evidence }) => {
    const before = await swarm.service('client');
    judge('virtual IPs before', sameMembers(['front'], Object.keys(before.vips)));
    const unpublished = await tracesOfPort(swarm, LATE_PORT);
    await evidence('traces of the port before', unpublished);
    for (const [node, { answers }] of Object.entries(unpublished))
      judge('answers before', sameMembers(['refused in connect'], [...new Set(answers)]), { node });

    const publish = async (
      ports: readonly object[],
      vips: readonly string[],
      answers: (tasks: string[]) => string[],
    ) => {
      const old = (await swarm.service('client')).tasks.map(({ id }) => id);
      await swarm.update('client', { EndpointSpec: { Ports: ports } });
      await watch(
        'the update has replaced the task',
        {
          look: () => swarm.service('client'),
          wrong: ({ tasks }) => ({
            w2: tasks.length === 1 && tasks.every(({ id }) => !old.includes(id)) ? [] : ['not yet'],
          }),
          keep: (seen) => evidence(`the service with ${ports.length} ports`, seen),
        },
        OURS.taskReplaced,
      );
      const after = await swarm.service('client');
      judge(
        `ports in the API, ${ports.length} being published`,
        sameMembers(
          ports.map(() => `tcp ${LATE_PORT}->${HTTP_PORT} ingress`),
          after.ports.map((one) => `${one.protocol} ${one.published}->${one.target} ${one.mode}`),
        ),
      );
      const { spec } = await swarm.record('client');
      const specified = (spec.EndpointSpec as { Ports?: object[] } | undefined)?.Ports ?? [];
      expect(specified, 'ports of the specification').toEqual(ports);
      judge('networks with a virtual IP', sameMembers(vips, Object.keys(after.vips)));
      judge(
        'the virtual IP on the overlay',
        sameMembers([before.vips.front ?? 'none'], [after.vips.front ?? 'none']),
      );
      await watch(
        ports.length > 0 ? 'every node answers on the port' : 'no node answers on the port',
        {
          look: () => askEveryNode(swarm, LATE_PORT, { count: 2, timeoutMs: OURS.connectMs }),
          wrong: (seen) =>
            wrongOnEach(seen, (samples) =>
              complaint(
                'answers',
                sameMembers(answers(hostNamesOf(after)), [...new Set(answeredBy(samples))]),
              ),
            ),
          keep: (seen) => evidence(`answers with ${ports.length} ports`, seen),
        },
        ports.length > 0 ? PROMISED.portAnswers : PROMISED.portCloses,
      );
    };
    // One task, so that the old generation is gone before the new one comes; with more they overlap, see MESH-016.
    await publish(
      [{ PublishedPort: LATE_PORT, TargetPort: HTTP_PORT, Protocol: 'tcp', PublishMode: 'ingress' }],
      ['front', 'ingress'],
      (tasks) => tasks,
    );
    await publish([], ['front'], () => ['refused in connect']);
    await swarm.settled();
    await watch(
      'no node has anything of the port any more',
      {
        look: () => tracesOfPort(swarm, LATE_PORT),
        wrong: (seen) =>
          Object.fromEntries(
            Object.entries(seen).map(([node, { answers, rules, listeners, marks, ipvs }]) => [
              node,
              [
                ...complaint('requests', sameMembers(['refused in connect'], [...new Set(answers)])),
                ...complaint('rules', sameMembers([], rules)),
                ...complaint('sockets', sameMembers([], listeners)),
                // The mesh serves another port all the while, which nothing here concerns.
                ...complaint('marks', sameMembers(unpublished[node]?.marks ?? [], marks)),
                ...complaint('IPVS services', sameMembers(unpublished[node]?.ipvs ?? [], ipvs)),
              ],
            ]),
          ),
        keep: (seen) => evidence('traces of the port in the end', seen),
      },
      PROMISED.portCloses,
    );
    await swarm.cleared(PROMISED.nothingLeft);
  }),
);
