import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  addressesOf,
  answeredBy,
  complaint,
  converge,
  EMBEDDED_DNS,
  endpoint,
  first,
  HTTP_PORT,
  hostNamesOf,
  markOfVip,
  markRules,
  missProbability,
  networkIn,
  permutationHistogram,
  sameMembers,
  serviceIn,
  shareWithin,
  tally,
  trialsForShare,
  uniform,
  vipOf,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { measureByName, measureDns } from '../../fixtures/measure.ts';
import { roundRobin } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(roundRobin);

const DNSRR = ['one', 'two', 'three'];

test(
  ...clause('DNS-002', async ({ swarm, evidence }) => {
    await watch(
      'dnsrr names stand for the running tasks',
      {
        // A query never leaves the asker's node: each engine answers from what gossip told it.
        look: async () => {
          const view = await swarm.view();
          return { view, heard: await swarm.hear(view, 'front', DNSRR) };
        },
        wrong: ({ view, heard }) =>
          wrongOnEach(heard, (answers) =>
            DNSRR.flatMap((name) => {
              const tasks = addressesOf(serviceIn(view, name), 'front');
              return complaint(`records of ${name}`, sameMembers(tasks, answers[name] ?? []));
            }),
          ),
        keep: (seen) => evidence('services, and what was heard on each node', seen),
      },
      PROMISED.namesFollowTasks,
    );
  }),
);

test(
  ...clause('DNS-003', async ({ swarm, evidence, measure }) => {
    const client = await swarm.client();
    // Each query comes from a port of its own, and nothing is cached: the engine shuffles for every answer.
    const orders = async (name: string, count: number) => {
      const answers = (await client.resolve([name], { count, window: 8 })).map(addressesIn);
      await evidence(`orders of ${name}`, answers.map((order) => order.join(' ')).join('\n'));
      const tasks = addressesOf(await swarm.service(name), 'front');
      for (const answer of answers) judge(`records of ${name}`, sameMembers(tasks, answer), client);
      return permutationHistogram(answers);
    };

    const three = await orders('three', 1600);
    const chance = uniform(three, OURS.falseAlarm);
    await evidence('chances of three', { counts: three, ...chance });
    judge('orders of three records', chance, client);

    const two = await orders('two', 40);
    const seen = Object.entries(two).flatMap(([order, count]) => (count > 0 ? [order] : []));
    await evidence('chances of two', { counts: two, missedByChance: missProbability(2, 40).any });
    judge('orders of two records', sameMembers(Object.keys(two), seen), client);
    await measureDns(measure, client, 'three');
  }),
);

test(
  ...clause('DNS-004', async ({ swarm, evidence, measure }) => {
    const client = await swarm.client();
    const tasks = hostNamesOf(await swarm.service('two'));
    const count = trialsForShare(tasks.length, OURS.fairShare, OURS.falseAlarm);

    // Each time the client asks anew and connects to the first record, as musl and busybox do; no balancer is in between.
    const question = { name: 'two', type: 'A' } as const;
    const samples = await client.probe({
      kind: 'name',
      server: EMBEDDED_DNS,
      question,
      port: HTTP_PORT,
      count,
    });
    await evidence('connections by name', samples);
    const answers = answeredBy(samples);
    judge('tasks that answered', sameMembers(tasks, [...new Set(answers)]), client);
    const counts = tally(tasks, answers);
    const shares = shareWithin(counts, OURS.fairShare.low, OURS.fairShare.high);
    await evidence('shares', { counts, ...shares });
    judge('shares of the tasks', shares, client);
    const to = addressesOf(await swarm.service('two'), 'front').map((address) =>
      endpoint(address, HTTP_PORT),
    );
    const direct = await client.probe({
      kind: 'http',
      to,
      count: Math.ceil(count / to.length),
      rounds: true,
    });
    measureByName(measure, samples, direct);
  }),
);

test(
  ...clause('DNS-005', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    for (const name of DNSRR) {
      const service = await swarm.manager.api.getService(serviceIn(view, name).id).inspect();
      await evidence(`API object of ${name}`, service);
      expect(service.Spec.EndpointSpec.Mode, `mode of ${name}`).toBe('dnsrr');
      // Whatever has neither port nor virtual IP is never allocated, and its Endpoint stays empty.
      expect(service.Endpoint.Spec.Mode ?? 'dnsrr', `mode of the endpoint of ${name}`).toBe('dnsrr');
      expect(service.Endpoint.VirtualIPs ?? [], `virtual IPs of ${name}`).toEqual([]);
    }

    // Without an address there is nothing to mark and to balance: what the balancers know is the client's alone.
    const client = serviceIn(view, 'client');
    const balancers = (await swarm.balancers(view, ['ipvs', 'rules'])).filter(
      ({ network }) => network === 'front',
    );
    await evidence('balancers', balancers);
    const front = networkIn(view, 'front').id;
    const known = await Promise.all(balancers.map(({ node }) => swarm.node(node).network(front)));
    await evidence('what each engine knows of front', known);
    for (const { node, services } of known) {
      const vips = services.flatMap(({ name, vip }) => (vip ? [`${name} ${vip}`] : []));
      const due = [`client ${vipOf(client, 'front')}`];
      judge('virtual IPs that the engine knows', sameMembers(due, vips), { node });
    }
    for (const { node, state, markChain } of balancers) {
      const marked = markRules(state).map(({ destination }) => destination);
      judge('marked addresses', sameMembers([`${vipOf(client, 'front')}/32`], marked), { node });
      const servers = (state.ipvs ?? []).flatMap(({ realServers }) =>
        realServers.map(({ address }) => address),
      );
      judge('balanced tasks', sameMembers(addressesOf(client, 'front'), servers), { node });
      const fwmarks = (state.ipvs ?? []).map((one) =>
        one.kind === 'fwmark' ? `FWM ${one.fwmark}` : one.kind,
      );
      const own = markOfVip(state, vipOf(client, 'front'), markChain);
      judge('IPVS services', sameMembers([`FWM ${own}`], fwmarks), { node });
    }
  }),
);

test(
  ...clause('DNS-007', { disturbs: true }, async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const former = await swarm.service('one');
    const kept = first(await client.resolve(['one']));
    const address = first(addressesIn(kept));
    const connect = { kind: 'http', to: endpoint(address, HTTP_PORT), timeoutMs: OURS.connectMs } as const;
    const working = await client.probe(connect);
    await evidence('before', { former, kept, working });
    judge('who answers at the kept address', sameMembers(hostNamesOf(former), answeredBy(working)), client);

    let current = former;
    for (let updates = 0; updates < 5 && addressesOf(current, 'front').includes(address); updates += 1) {
      const [old] = current.tasks;
      await swarm.replaceTasks(current);
      const wrong = async () => {
        current = await swarm.service('one');
        return current.tasks.length === 1 && current.tasks[0]?.id !== old?.id
          ? []
          : ['no other task runs yet'];
      };
      await converge('another task runs', wrong, OURS.taskReplaced);
    }

    const heard: unknown[] = [];
    const wrong = async () => {
      const answer = first(await client.resolve(['one']));
      heard.push(answer);
      return complaint('records of one', sameMembers(addressesOf(current, 'front'), addressesIn(answer)));
    };
    await converge('a fresh answer is the new task', wrong, PROMISED.namesFollowTasks).finally(() =>
      evidence('fresh answers', { current, heard }),
    );
    // The SYN goes to an address no one has any more: nobody on the overlay answers for it.
    const stale = first(await client.probe(connect));
    const ageSeconds = (stale.at - kept.at) / 1000;
    await evidence('kept answer', { ageSeconds, stale });
    expect('phase' in stale && stale.phase, 'how far a connection to the kept address comes').toBe('connect');
    expect(ageSeconds, 'age of the kept answer').toBeLessThan(first(kept.answers).ttl);
  }),
);
