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
  GOSSIP_PORT,
  HOST,
  labName,
  nameServersIn,
  pass,
  reverseName,
  sameMembers,
  serviceIn,
  taskOnEachNode,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('DNS-012', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const tasks = view.services.flatMap((service) => service.tasks);
    const names = tasks.map(({ containerName }) => containerName);
    const furtherNames = tasks.map(({ container }) => container.slice(0, 12));
    // Asked on every node: an engine knows the other nodes' containers from gossip alone.
    const heard = await swarm.hear(view, 'front', [...names, ...furtherNames]);
    await evidence('tasks, and what was heard on each node', { tasks, heard });
    for (const [node, answers] of Object.entries(heard))
      for (const { containerName, addresses } of tasks)
        judge(containerName, sameMembers([addresses.front ?? 'none'], answers[containerName] ?? []), {
          node,
        });
  }),
);

test(
  ...clause('DNS-006', async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const tasks = addressesOf(await swarm.service('vote'), 'front');
    // The engine answers these from its own tables: nobody is asked from whom an age could come.
    const ask = async () => [
      ...(await client.resolve(['client', 'vote', 'tasks.client', 'tasks.vote'])),
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
  }),
);

test(
  ...clause('DNS-025', async ({ swarm, evidence }) => {
    const vote = await swarm.service('vote');
    const names = ['vote', 'tasks.vote', first(vote.tasks).containerName];
    const questions = [...names.map((name) => ({ name, type: 'A' }) as const)];
    const seen = await swarm.everywhere(async (node) => {
      const { vantage } = node;
      const listening = async (port: number) =>
        (await vantage.must(`ss -Hlntu 'sport = :${port}'`)).split('\n').filter(Boolean);
      const { links = [] } = await node.namespace(HOST, ['links']);
      const own = links.flatMap(({ addresses }) => addresses.map(({ address }) => address));
      const servers = nameServersIn(await vantage.must('cat /proc/1/root/etc/resolv.conf'));
      const ask = async (server: string, proto: 'udp' | 'tcp' = 'udp') =>
        vantage.probe({
          kind: 'dns',
          server,
          questions: [...questions, { name: labName(node), type: 'A' }],
          proto,
          window: questions.length + 1,
          timeoutMs: OURS.promptAnswerMs,
        });
      const onOwn = own
        .filter((address) => !address.includes(':'))
        .flatMap((address) => [ask(address), ask(address, 'tcp')]);
      return {
        own,
        servers,
        dnsSockets: await listening(53),
        gossipSockets: await listening(GOSSIP_PORT),
        onOwn: (await Promise.all(onOwn)).flat(),
        byServers: (await Promise.all(servers.map((server) => ask(server)))).flat(),
        hosts: await vantage.must('cat /proc/1/root/etc/hosts'),
      };
    });
    await evidence('what the nodes know', { names, seen });
    for (const node of swarm.nodes) {
      const { own, dnsSockets, gossipSockets, onOwn, byServers, hosts } = seen[node.name] ?? first([]);
      const addresses = (known: boolean) =>
        byServers.flatMap((one) => (!failed(one) && one.q < names.length !== known ? addressesIn(one) : []));
      assume(
        'addresses of the node',
        sameMembers(
          [node.address],
          own.filter((one) => one === node.address),
        ),
      );
      assume('sockets of gossip', sameMembers([], gossipSockets.length > 0 ? [] : ['none']));
      assume('what the node knows of itself', sameMembers([node.address], addresses(true)));
      judge('sockets of DNS', sameMembers([], dnsSockets), { node: node.name });
      const answers = new Set(onOwn.map((one) => (failed(one) ? one.error : one.rcode)));
      judge('answers at own addresses', sameMembers(['refused'], [...answers]), { node: node.name });
      judge('addresses known to its servers', sameMembers([], addresses(false)), { node: node.name });
      const words = hosts.split(/\s+/);
      judge(
        'names in its hosts file',
        sameMembers(
          [],
          names.filter((name) => words.includes(name)),
        ),
        { node: node.name },
      );
    }
  }),
);

test(
  ...clause('DNS-001', { disturbs: true }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const resolvConf: Record<string, string> = {};
    const tasks = view.services.flatMap((service) => service.tasks);
    for (const task of tasks) resolvConf[task.containerName] = await swarm.file(task, '/etc/resolv.conf');
    await evidence('resolv.conf by task', resolvConf);
    for (const { containerName, node } of tasks) {
      const { resolvConfListsIpv6 } = swarm.node(node).generation;
      const servers = nameServersIn(resolvConf[containerName] ?? '');
      const judged = servers.filter((server) => !(resolvConfListsIpv6 && server.includes(':')));
      judge(`name servers of ${containerName}`, sameMembers([EMBEDDED_DNS], judged), { node });
    }

    const port53 = (address: string) =>
      ({ kind: 'udp', to: endpoint(address, 53), timeoutMs: 1000 }) as const;
    await swarm.everywhere((node) => node.closeWayOut(53));
    for (const asker of taskOnEachNode(view, 'front')) {
      const [node, inside] = [swarm.node(asker.node), swarm.inside(asker)];
      const ways = [
        await node.vantage.probe(port53(EMBEDDED_DNS)),
        await inside.probe(port53(swarm.outsider.address)),
      ];
      const closed = ['denied in connect', 'timeout in read'];
      assume(`ways from ${node.name} to other servers`, sameMembers(closed, answeredBy(ways.flat())));
      // The task's own nat leads 127.0.0.11:53 to a socket that the engine has in there: no packet leaves the namespace.
      const questions = [{ name: 'tasks.vote', type: 'A' }] as const;
      const answer = first(await inside.probe({ kind: 'dns', server: EMBEDDED_DNS, questions }));
      const { rules } = await swarm.taskNamespace(asker, ['rules']);
      const sockets = await inside.must('ss -lntu');
      await evidence(`inside a task on ${node.name}`, { asker, answer, rules, sockets });
      const heard = failed(answer) ? [answer.error] : addressesIn(answer);
      const due = addressesOf(serviceIn(view, 'vote'), 'front');
      judge(`answer to ${asker.containerName}`, sameMembers(due, heard), { node: node.name });
    }
  }),
);
