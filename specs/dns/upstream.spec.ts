import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  addressesIn,
  addressesOf,
  assume,
  awake,
  type DnsAnswer,
  type DnsSample,
  EMBEDDED_DNS,
  failed,
  first,
  labName,
  nameServersIn,
  resolverWords,
  SILENT_NAME,
  sameMembers,
  serviceIn,
  UPSTREAM_TTL_SECONDS,
  upstreamAddress,
  upstreamName,
  vipOf,
} from '../../fixtures/domain.ts';
import { names, RESOLVER } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(names);

/** Queries under way at once: more than engines once took (100; now 1024, moby libnetwork/resolver.go, maxConcurrent). */
const AT_ONCE = 120;

const questions = (names: readonly string[]) => names.map((name) => ({ name, type: 'A' }) as const);

/** What an answer says, without the marks of the one exchange. */
const said = ({ rcode, flags, answers, authorities, additionals }: DnsAnswer) => ({
  rcode,
  flags,
  answers,
  authorities,
  additionals,
});

test(
  ...clause('DNS-014', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const upstream = await swarm.upstream();
    const client = await swarm.client();
    const farmer = first(serviceIn(view, 'farm').tasks).containerName;
    const own = ['web', 'tasks.web', 'farm', 'tasks.farm', 'shop', 'barn', 'web.front', farmer];
    const foreign = upstreamName(14);
    // What has an IPv4 address on the network is the engine's to answer; only what it does not know goes outside.
    const empty = await client.resolve(own, { type: 'AAAA' });
    // Nor does it matter whether the client wants others to be asked, as `dig +norecurse` does not (RFC 1035, 4.1.1, RD).
    const ownOnly = await client.probe({
      kind: 'dns',
      server: EMBEDDED_DNS,
      questions: own.map((name) => ({ name, type: 'AAAA' as const, recursionDesired: false })),
    });
    const outside = await client.resolve([foreign], { type: 'AAAA' });
    const queries = await upstream.queries();
    await evidence('answers, and the queries that came outside', { empty, ownOnly, outside, queries });
    const cameOut = queries.map(({ name }) => name);
    assume(
      'names that do come outside',
      sameMembers(
        [foreign],
        [foreign].filter((name) => cameOut.includes(name)),
      ),
    );
    judge(
      'queries that asked for no recursion and got no answer',
      sameMembers([], [...new Set(ownOnly.filter(failed).map(({ q, error }) => `${own[q]}: ${error}`))]),
    );
    for (const { q, flags, rcode, answers, authorities } of [
      ...empty,
      ...ownOnly.flatMap((one) => (failed(one) ? [] : [one])),
    ]) {
      const which = `the answer to AAAA ${own[q]}${flags.rd ? '' : ' without recursion'}`;
      expect(rcode, `code of ${which}`).toBe('NOERROR');
      expect([...answers, ...authorities], `records in ${which}`).toEqual([]);
    }
    judge(
      'own names that came outside',
      sameMembers(
        [],
        own.filter((name) => cameOut.includes(name)),
      ),
    );
  }),
);

test(
  ...clause('DNS-016', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const upstream = await swarm.upstream();
    const task = first(serviceIn(view, 'client').tasks);
    const client = swarm.inside(task);
    /** What a task hears for which no server outside speaks: its own engine's answer, whatever the other nodes run. */
    const unserved = ({ node }: { node: string }) => {
      const { unservedQuery } = swarm.node(node).generation;
      return unservedQuery === 'silence' ? 'timeout' : unservedQuery;
    };

    // Its file does not show the server it was given: that one is the engine's to ask.
    const file = await swarm.file(task, '/etc/resolv.conf');
    await evidence('resolv.conf of a task with settings of its own', file);
    judge('its name servers', sameMembers([EMBEDDED_DNS], resolverWords(file, 'nameserver')), client);
    judge('its search domains', sameMembers(RESOLVER.Search, resolverWords(file, 'search')), client);
    judge(
      'its options',
      sameMembers([...RESOLVER.Options, 'ndots:0'], resolverWords(file, 'options')),
      client,
    );

    // From the task's namespace over its node's bridge to the server it was given; the answer is passed on as it is.
    const outside = [upstreamName(7), 'nobody.upstream.test'];
    const through = await client.resolve(outside);
    const straight = await swarm.outsider.resolve(outside, { server: upstream.address });
    const queries = await upstream.queries();
    await evidence('through the engine, and straight from the server', { through, straight, queries });
    const records = first(through).answers.map(({ name, ttl, data }) => `${name} ${ttl} s ${data}`);
    const due = `${outside[0]} ${UPSTREAM_TTL_SECONDS} s ${upstreamAddress(7)}`;
    judge('records of a name outside', sameMembers([due], records), client);
    expect(through.map(said), 'answers through the engine').toEqual(straight.map(said));
    const askers = queries.filter(({ name }) => outside.includes(name));
    judge(
      'who asked the server',
      sameMembers(
        [swarm.node(task.node).address, swarm.outsider.address].flatMap((from) =>
          outside.map((name) => `${from}: ${name}`),
        ),
        askers.map(({ from, name }) => `${from.split(':')[0]}: ${name}`),
      ),
    );

    // A task that was given no server has its queries go to those of its node.
    const hosts = swarm.nodes.map(labName);
    const asNode = await Promise.all(
      serviceIn(view, 'farm').tasks.map(async (farmer) => {
        const { vantage } = swarm.node(farmer.node);
        const server = first(nameServersIn(await vantage.must('cat /proc/1/root/etc/resolv.conf')));
        const own = await vantage.resolve(hosts, { server });
        return { farmer, own, told: await swarm.inside(farmer).resolve(hosts) };
      }),
    );
    await evidence('through the engine, and from the node itself', asNode);
    for (const { farmer, own, told } of asNode) {
      const addresses = swarm.nodes.map(({ address }) => address);
      judge('addresses of the hosts', sameMembers(addresses, told.flatMap(addressesIn)), farmer);
      expect(told.map(said), `answers on ${farmer.node}`).toEqual(own.map(said));
    }

    // So many under way at once: none is refused, and none gets the answer to another.
    const answer = (sample: DnsSample) =>
      failed(sample) ? sample.error : [sample.rcode, ...addressesIn(sample).toSorted()].join(' ');
    const late = Array.from({ length: AT_ONCE }, (_, k) => upstreamName(k, { lateMs: OURS.slowUpstreamMs }));
    const patient = {
      kind: 'dns',
      server: EMBEDDED_DNS,
      timeoutMs: PROMISED.silentUpstreamMs + 1000,
    } as const;
    const burst = await client.probe({ ...patient, questions: questions(late), window: AT_ONCE });
    await evidence('a burst of queries for names outside', burst);
    judge(
      'answers to the burst',
      sameMembers(
        late.map((name, k) => `${name}: NOERROR ${upstreamAddress(k)}`),
        burst.map((sample) => `${late[sample.q]}: ${answer(sample)}`),
      ),
    );

    // Where the server outside is silent, only those wait who asked for its names.
    const asideTask = first(serviceIn(view, 'aside').tasks);
    const aside = swarm.inside(asideTask);
    const names = {
      web: [vipOf(serviceIn(view, 'web'), 'front')],
      'tasks.farm': addressesOf(serviceIn(view, 'farm'), 'front'),
    };
    const [waiting, own, internal] = await Promise.all([
      client.probe({ ...patient, questions: questions([SILENT_NAME]), count: 20, window: 20 }),
      client.probe({
        ...patient,
        questions: questions(Object.keys(names)),
        rounds: true,
        count: 25,
        intervalMs: 50,
      }),
      aside.probe({ ...patient, questions: questions([upstreamName(8)]) }),
    ]);
    await evidence('queries that wait, and others meanwhile', { waiting, own, internal });
    const begun = Math.max(...waiting.map(({ at }) => at));
    const over = Math.min(...waiting.map(({ at, ms }) => at + ms));
    const meanwhile = own.filter(({ at }) => at >= begun && at < over);
    assume(
      'own names asked meanwhile',
      sameMembers(['enough'], [meanwhile.length >= 10 ? 'enough' : `${meanwhile.length}`]),
    );
    for (const sample of meanwhile) {
      const due = Object.values(names).map((addresses) => ['NOERROR', ...addresses.toSorted()].join(' '));
      expect(answer(sample), 'an own name while others wait').toBe(due[sample.q]);
      expect(awake(sample), 'time an own name takes while others wait (ms)').toBeLessThan(
        OURS.promptAnswerMs,
      );
    }
    expect([...new Set(waiting.map(answer))], 'what is said in the end').toEqual([unserved(task)]);
    if (unserved(task) === 'SERVFAIL')
      expect(Math.max(...waiting.map(({ ms }) => ms)), 'time until that is said (ms)').toBeLessThan(
        PROMISED.silentUpstreamMs,
      );

    expect(internal.map(answer), 'what is said on an internal network').toEqual([unserved(asideTask)]);
    if (unserved(asideTask) === 'SERVFAIL')
      expect(awake(first(internal)), 'time until that is said (ms)').toBeLessThan(OURS.promptAnswerMs);
    const reached = (await upstream.queries()).filter(({ name }) => name === upstreamName(8));
    expect(reached, 'queries that came out of an internal network').toEqual([]);
  }),
);
