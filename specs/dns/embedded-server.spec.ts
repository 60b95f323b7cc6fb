import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  addressesOf,
  answeredBy,
  assume,
  EMBEDDED_DNS,
  endpoint,
  failed,
  first,
  pass,
  reverseName,
  sameMembers,
  serviceIn,
  taskOnEachNode,
} from '../../fixtures/domain.ts';
import { roundRobin } from '../../fixtures/stacks.ts';
import { clause, judge, startWith } from '../../fixtures/test.ts';

startWith(roundRobin);

clause('DNS-006', async ({ swarm, evidence }) => {
  const client = await swarm.client();
  const tasks = addressesOf(await swarm.service('two'), 'front');
  // The engine answers these from its own tables: nobody is asked from whom an age could come.
  const ask = async () => [
    ...(await client.resolve(['client', 'two', 'tasks.client', 'tasks.two'])),
    ...(await client.resolve(tasks.map(reverseName), { type: 'PTR' })),
  ];

  const early = await ask();
  await pass(OURS.betweenQueriesMs);
  const late = await ask();
  await evidence('answers', { early, late });
  for (const { questions, answers } of [...early, ...late]) {
    const lives = new Set(answers.map(({ ttl }) => `${ttl} s`));
    judge(`lives of ${first(questions).name}`, sameMembers([`${PROMISED.recordTtlSeconds} s`], [...lives]));
  }
});

clause('DNS-012', async ({ swarm, evidence }) => {
  const view = await swarm.view();
  const tasks = view.services.flatMap((service) => service.tasks);
  const names = tasks.map(({ containerName }) => containerName);
  const furtherNames = tasks.map(({ container }) => container.slice(0, 12));
  // Asked on every node: an engine knows the other nodes' containers from gossip alone.
  for (const asker of taskOnEachNode(view, 'front')) {
    const heard = await swarm.inside(asker).addresses([...names, ...furtherNames]);
    await evidence(`answers on ${asker.node}`, { tasks, heard: Object.fromEntries(heard) });
    for (const { containerName, addresses } of tasks) {
      const own = addresses.front ?? 'none';
      judge(containerName, sameMembers([own], heard.get(containerName) ?? []), { node: asker.node });
    }
  }
});

clause('DNS-001', { disturbs: true }, async ({ swarm, evidence }) => {
  const view = await swarm.view();
  for (const task of view.services.flatMap((service) => service.tasks)) {
    const text = await swarm.file(task, '/etc/resolv.conf');
    await evidence(`resolv.conf of ${task.containerName}`, text);
    const servers = [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = '']) => server);
    const { resolvConfListsIpv6 } = swarm.node(task.node).generation;
    const judged = servers.filter((server) => !(resolvConfListsIpv6 && server.includes(':')));
    judge(`nameservers of ${task.containerName}`, sameMembers([EMBEDDED_DNS], judged), { node: task.node });
  }

  // The task's own nat leads 127.0.0.11:53 to a socket that the engine has in there: with every other server out of reach
  // the name of a service must still be answered, for no packet of it leaves the namespace.
  await swarm.everywhere((node) => node.closeWayOut(53));
  for (const asker of taskOnEachNode(view, 'front')) {
    const inside = swarm.inside(asker);
    const elsewhere = { kind: 'udp', to: endpoint(swarm.outsider.address, 53), timeoutMs: 1000 } as const;
    assume('the way to others', sameMembers(['timeout in read'], answeredBy(await inside.probe(elsewhere))));
    const questions = [{ name: 'two', type: 'A' }] as const;
    const answer = first(await inside.probe({ kind: 'dns', server: EMBEDDED_DNS, questions }));
    const { rules } = await swarm.taskNamespace(asker, ['rules']);
    await evidence(`inside ${asker.containerName}`, {
      answer,
      rules,
      sockets: await inside.must('ss -lntu'),
    });
    const tasks = addressesOf(serviceIn(view, 'two'), 'front');
    judge(
      `answer to ${asker.containerName}`,
      sameMembers(tasks, failed(answer) ? [answer.error] : addressesIn(answer)),
      {
        node: asker.node,
      },
    );
  }
});
