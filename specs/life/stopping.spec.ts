import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  allAnswered,
  balancersOverTime,
  converge,
  ECHO_PORT,
  endpoint,
  failed,
  first,
  HTTP_PORT,
  hostNamesOf,
  ingressNetwork,
  meanwhile,
  networkIn,
  paceNow,
  parseWorkloadLog,
  sameMembers,
  serviceIn,
  tableOf,
  together,
  vipOf,
  weightsOf,
} from '../../fixtures/domain.ts';
import { lifecycle, SECOND, WEB_ECHO_PORT, WEB_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

/** Longer than it takes from an update until a task has been told to stop, on the busiest host. */
const HELD = { kind: 'hold', count: 3, ms: 40_000, everyMs: 500 } as const;

test(
  ...clause('LIFE-004', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const web = serviceIn(view, 'web');
    const vip = vipOf(web, 'front');
    const [front, ingress] = [networkIn(view, 'front'), ingressNetwork(view)];
    const clients = serviceIn(view, 'client').tasks;
    const everyEntry = (port: number) => swarm.nodes.map(({ address }) => endpoint(address, port));
    const leaves = async () => (await swarm.lives('web')).find(({ life }) => life?.finishedAt);

    const { held, requests, tables } = await meanwhile(
      {
        tables: balancersOverTime(swarm, [front, ingress]),
        // Each balancer gives its first three connections to the three tasks: one of them to the task that will be stopped.
        held: together({
          ...Object.fromEntries(
            clients.map((task) => [
              task.node,
              swarm.inside(task).sending({ ...HELD, to: endpoint(vip, ECHO_PORT) }),
            ]),
          ),
          mesh: swarm.outsider.sending({ ...HELD, to: everyEntry(WEB_ECHO_PORT) }),
        }),
        requests: together({
          ...Object.fromEntries(
            clients.map((task) => [
              task.node,
              swarm.inside(task).sending({ kind: 'http', to: endpoint(vip, HTTP_PORT), intervalMs: 500 }),
            ]),
          ),
          mesh: swarm.outsider.sending({ kind: 'http', to: everyEntry(WEB_PORT) }),
        }),
      },
      async () => {
        // An ordinary update, of which the time of this clause sees the first step: one task stops, then another starts.
        const UpdateConfig = { Parallelism: 1, Delay: 600 * SECOND };
        await swarm.update('web', { UpdateConfig, TaskTemplate: { ForceUpdate: 1 } });
        await converge(
          'a task ends',
          async () => ((await leaves()) ? [] : ['none has ended']),
          OURS.taskReplaced,
        );
        await swarm.settled(OURS.taskReplaced);
      },
      (seen) => evidence('held connections, requests and tables', seen),
    );
    const leaving = first([await leaves()].flatMap((task) => task ?? []));
    const log = parseWorkloadLog((await swarm.logs(leaving)).join('\n'));
    await evidence('the task that was stopped, and its log', { leaving, log });
    const told = first(log.filter(({ event }) => event === 'signal')).at;
    const exited = leaving.life?.finishedAt ?? Number.NaN;
    const [host] = hostNamesOf({ name: 'web', tasks: web.tasks.filter(({ id }) => id === leaving.id) });

    const weightlessAt: Record<string, number> = {};
    for (const network of [front, ingress])
      for (const node of swarm.nodes) {
        const table = tableOf(network, node);
        const weights = weightsOf(tables[table] ?? [], leaving.addresses[network.name] ?? 'none');
        expect(
          weights.map(({ weight }) => weight ?? 'gone'),
          `weights in ${table}`,
        ).toEqual([1, 0, 'gone']);
        const [, weightless, gone] = weights.map(({ at }) => at);
        weightlessAt[table] = Number(weightless);
        // At home it is the task's own engine that waits; elsewhere gossip takes of that time.
        const ahead = node.name === leaving.node ? PROMISED.drainedBeforeSignalMs : 0;
        expect(
          told - Number(weightless),
          `ms from weight 0 in ${table} to the signal`,
        ).toBeGreaterThanOrEqual(ahead);
        expect(Number(gone) - exited, `ms from the end to its removal in ${table}`).toBeGreaterThanOrEqual(0);
      }

    for (const [from, samples] of Object.entries(requests)) {
      judge(`requests from ${from}`, allAnswered(samples, 10));
      const late = samples.filter(({ at, to }) => {
        const entry = swarm.nodes.find(({ address }) => to.startsWith(`${address}:`));
        const table = entry ? tableOf(ingress, entry) : tableOf(front, { name: from });
        return at > (weightlessAt[table] ?? Number.NaN);
      });
      const misled = late.filter((sample) => !failed(sample) && sample.container === host);
      judge(
        `requests from ${from} that the task got after its weight was 0, of ${first(late) && late.length}`,
        sameMembers(
          [],
          misled.map(({ at }) => `${at - told} ms after its signal`),
        ),
      );
    }

    // What is open stays open: lines come back from the task seconds after its signal, and only its own end breaks a connection.
    const end = first(log.filter(({ event }) => event === 'drained')).at;
    for (const [from, events] of Object.entries(held)) {
      const broken = events.flatMap((one) =>
        one.event === 'close' && failed(one) ? [{ ...one, brokeAt: one.at + one.ms }] : [],
      );
      judge(
        `connections of ${from} that broke before the task ended`,
        sameMembers(
          [],
          broken
            .filter(({ brokeAt }) => brokeAt < end)
            .map(({ to, error, brokeAt }) => `${to} ${error} ${brokeAt - told} ms after the signal`),
        ),
      );
      const echoes = events.flatMap((one) => (one.event === 'echo' && !failed(one) ? [one] : []));
      const theirs = new Set(echoes.filter(({ container }) => container === host).map(({ i }) => i));
      judge(
        `connections of ${from} to other tasks that broke`,
        sameMembers(
          [],
          broken.filter(({ i }) => !theirs.has(i)).map(({ to, error }) => `${to} ${error}`),
        ),
      );
      const late = echoes.filter(({ i, at }) => theirs.has(i) && at > told + 2000);
      judge(
        `balancers through which ${from} still hears from the task 2 s after its signal`,
        sameMembers([...new Set(events.map(({ to }) => to))], [...new Set(late.map(({ to }) => to))]),
      );
    }
  }),
);

test(
  ...clause('LIFE-005', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const [atOnce, ...stubborn] = [
      { name: 'hup', signal: 'HUP', graceMs: 0, exitCode: 0 },
      { name: 'deaf', signal: 'TERM', graceMs: 10_000, exitCode: 137 },
      { name: 'hasty', signal: 'TERM', graceMs: 3000, exitCode: 137 },
    ] as const;
    const due = [atOnce, ...stubborn];
    const view = await swarm.view();
    await Promise.all(due.map((service) => swarm.replaceTasks(service)));
    const ends = () =>
      Promise.all(
        due.map(async ({ name, ...rest }) => {
          const [{ id }] = [first(serviceIn(view, name).tasks)];
          return { name, ...rest, task: first((await swarm.lives(name)).filter((one) => one.id === id)) };
        }),
      );
    const running = async () =>
      (await ends()).filter(({ task }) => !task.life?.finishedAt).map(({ name }) => `${name} runs`);
    await converge('the old tasks end', running, OURS.taskReplaced);
    const ended = await Promise.all(
      (await ends()).map(async (one) => ({
        ...one,
        log: parseWorkloadLog((await swarm.logs(one.task)).join('\n')),
      })),
    );
    await evidence('old tasks and their logs', ended);

    const signals = ({ log }: (typeof ended)[number]) => log.filter((one) => one.event === 'signal');
    for (const one of ended) {
      const { name, signal, exitCode, task } = one;
      expect(
        signals(one).map((one) => one.signal),
        `signals that ${name} got`,
      ).toEqual([signal]);
      expect(task.life?.exitCode, `exit code of ${name}`).toBe(exitCode);
    }
    const lasted = Object.fromEntries(
      ended.map((one) => [
        one.name,
        (one.task.life?.finishedAt ?? Number.NaN) - (signals(one)[0]?.at ?? Number.NaN),
      ]),
    );
    await evidence('ms that each lived after its signal', lasted);
    // How late this lab is to notice an end is shown by what ends at once; the others get as much more, and never more than its pace
    // gives them. It makes the end late, never early.
    const slowest = await paceNow();
    const late = lasted[atOnce.name] ?? Number.NaN;
    expect(late, `ms that ${atOnce.name} lived after its signal`).toBeLessThan(
      PROMISED.graceToleranceMs * slowest,
    );
    for (const { name, graceMs } of stubborn) {
      const what = `ms that ${name} lived after its signal, with ${graceMs} ms of grace`;
      expect(lasted[name], what).toBeGreaterThan(graceMs - PROMISED.graceToleranceMs);
      expect(lasted[name], what).toBeLessThan(
        graceMs + Math.min(PROMISED.graceToleranceMs + late, PROMISED.graceToleranceMs * slowest),
      );
    }
  }),
);
