import { OURS } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  converge,
  endpoint,
  first,
  HTTP_PORT,
  meanwhile,
  now,
  sameMembers,
  serviceIn,
  vipOf,
} from '../../fixtures/domain.ts';
import { measureFailures } from '../../fixtures/measure.ts';
import { lifecycle, WEB_PORT } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

test(
  ...clause('SCALE-005', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence, measure }) => {
    const view = await swarm.view();
    const web = serviceIn(view, 'web');
    const containers = async () => (await swarm.service('web')).tasks.map(({ container }) => container);
    const scaled = async (replicas: number, event: 'up' | 'down') => {
      const started = now();
      await swarm.scale('web', replicas);
      const wrong = async () => {
        const { length } = await containers();
        return length === replicas ? (await swarm.agreement()).problems : [`${length} tasks run`];
      };
      const { holdMs } = OURS.taskReplaced;
      await converge(`web runs ${replicas} tasks`, wrong, OURS.taskReplaced);
      measure(`convergence-scale-${event}`, now() - started - holdMs);
      return containers();
    };
    const before = await containers();
    const seen: string[][] = [before];
    // New connections only: IPVS gives each to a task that is there now, in the client's node or where the packet came in.
    const { inside, outside } = await meanwhile(
      {
        inside: swarm
          .inside(first(serviceIn(view, 'client').tasks))
          .sending({ kind: 'http', to: endpoint(vipOf(web, 'front'), HTTP_PORT) }),
        outside: swarm.outsider.sending({ kind: 'http', to: endpoint(swarm.manager.address, WEB_PORT) }),
      },
      async () => {
        seen.push(await scaled(5, 'up'));
        seen.push(await scaled(3, 'down'));
      },
      (requests) => evidence('containers, and requests meanwhile', { seen, requests }),
    );
    measureFailures(measure, 'failed-scale', inside, outside);
    const [, more = [], fewer = []] = seen;
    judge(
      'containers that stay',
      sameMembers(
        before,
        more.filter((one) => before.includes(one)),
      ),
    );
    judge(
      'containers of the three that remain',
      sameMembers(
        fewer.filter((one) => more.includes(one)),
        fewer,
      ),
    );
    judge('requests inside', allAnswered(inside, 20));
    judge('requests from outside', allAnswered(outside, 20));
  }),
);
