import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  chainRules,
  complaint,
  ECHO_PORT,
  endpoint,
  failed,
  first,
  HOST,
  hostNamesOf,
  INGRESS_CHAIN,
  ingressNetwork,
  ingressSandbox,
  jumpsTo,
  ruleText,
  sameMembers,
  service,
  serviceIn,
  strictRotation,
  type UdpSample,
  type Vantage,
  watch,
  wrongOnEach,
} from '../../fixtures/domain.ts';
import { PUBLISHED, publishing } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(publishing);

test(
  ...clause('MESH-008', async ({ swarm, evidence }) => {
    const ask = async (nodes: readonly { name: string; address: string }[], port: number) => {
      const asked = await Promise.all(
        (['http', 'udp'] as const).map((kind) =>
          swarm.outsider.probe({
            kind,
            to: nodes.map(({ address }) => endpoint(address, port)),
            count: REQUESTS,
          }),
        ),
      );
      return asked.flat().map((sample) => {
        const node = nodes.find(({ address }) => sample.to === endpoint(address, port))?.name ?? '';
        const peer = failed(sample)
          ? `${sample.error} in ${sample.phase}`
          : (sample.peer ?? 'not the workload');
        return { node, source: sample.source ?? '', peer };
      });
    };

    // Behind IPVS the entry node puts its own ingress address in the client's place, or replies would bypass it.
    const throughMesh = await ask(swarm.nodes, PUBLISHED.both);
    const sandboxes = await swarm.everywhere(async (node) => (await node.network('ingress')).endpoints);
    await evidence('clients as the tasks see them, through the mesh', throughMesh);
    await evidence('endpoints on ingress', sandboxes);
    for (const { name: node } of swarm.nodes) {
      const own = sandboxes[node]?.['ingress-endpoint'] ?? 'none';
      const peers = throughMesh.filter((one) => one.node === node).map(({ peer }) => hostOf(peer));
      judge(`clients seen through ${node}`, sameMembers([own], [...new Set(peers)]), { node });
    }

    // In host mode there is but a DNAT, so the client keeps address and port.
    const onHost = await ask(swarm.workers, PUBLISHED.hosted);
    await evidence('clients as the tasks see them, in host mode', onHost);
    for (const { name: node } of swarm.workers) {
      const there = onHost.filter((one) => one.node === node);
      judge(
        `clients seen in host mode on ${node}`,
        sameMembers(
          there.map(({ source }) => source),
          there.map(({ peer }) => peer),
        ),
        { node },
      );
    }
  }),
);

/** Requests of each protocol to each node: enough for either task to see some. */
const REQUESTS = 5;

/** `10.0.0.5:80` -> `10.0.0.5`; anything else as it is. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}

test(
  ...clause('MESH-009', async ({ swarm, evidence }) => {
    const tasks = hostNamesOf(await swarm.service('both'));
    for (const { name: node, address } of swarm.nodes) {
      // Every source port is a connection of its own to IPVS, which takes its turn; m1 runs no task.
      const { answers, lost } = await exchange(
        swarm.outsider,
        endpoint(address, PUBLISHED.both),
        4 * tasks.length,
      );
      // The entry of a source port lives for 300 s after its last datagram (ip_vs_proto_udp.c), so it stays with one task.
      const due = 4;
      const again: UdpSample[] = [];
      const echoes = () => again.filter((sample) => !failed(sample));
      for (let tries = 0; tries < OURS.datagramTries && echoes().length < due; tries += 1)
        again.push(
          ...(await swarm.outsider.probe({
            kind: 'udp',
            to: endpoint(address, PUBLISHED.both),
            sourcePort: SOURCE_PORT,
            sourceStep: 0,
            count: due - echoes().length,
          })),
        );
      await evidence(`datagrams through ${node}`, { answers, lost, again });
      const balanced =
        lost === 0 ? strictRotation(answers, tasks) : sameMembers(tasks, [...new Set(answers)]);
      judge(`tasks that answer datagrams through ${node}`, balanced, { node });
      expect(echoes().length, `answers to datagrams from one source port through ${node}`).toBe(due);
      const [one = 'nobody', ...others] = [...new Set(answeredBy(echoes()))];
      judge(
        `tasks that answer one source port through ${node}`,
        sameMembers(
          tasks.filter((task) => task === one),
          [one, ...others],
        ),
        { node },
      );
    }
  }),
);

/** Below the range of which the kernel gives ports by itself, and used by nothing else here. */
const SOURCE_PORT = 20_009;

/**
 * Datagrams from a fresh source port each, one after another; what is not answered is sent again, see {@link OURS.datagramTries}.
 *
 * @returns who answered each; how many were lost on the way.
 */
async function exchange(
  from: Vantage,
  to: string,
  count: number,
): Promise<{ answers: string[]; lost: number }> {
  const answers: string[] = [];
  let lost = 0;
  let due = count;
  for (let tries = 1; due > 0 && tries <= OURS.datagramTries; tries += 1) {
    const samples = await from.probe({ kind: 'udp', to, count: due });
    const last = tries === OURS.datagramTries;
    answers.push(...answeredBy(samples.filter((sample) => last || !failed(sample))));
    due = samples.filter(failed).length;
    lost += due;
  }
  return { answers, lost };
}

test(
  ...clause('MESH-010', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const both = serviceIn(view, 'both');
    const tasks = hostNamesOf(both);
    const port = PUBLISHED.both;
    const [seen, http, udp] = await Promise.all([
      swarm.everywhere(async (node) => ({
        host: await node.namespace(HOST, ['rules']),
        sandbox: await ingressSandbox(node, ['rules', 'ipvs']),
      })),
      swarm.outsider.probe({
        kind: 'http',
        to: swarm.nodes.map(({ address }) => endpoint(address, port)),
        count: 2 * tasks.length,
      }),
      swarm.outsider.probe({
        kind: 'udp',
        to: swarm.nodes.map(({ address }) => endpoint(address, port)),
        count: 2 * tasks.length,
      }),
    ]);
    await evidence('the service', both);
    await evidence('rules and IPVS', seen);
    await evidence('answers', { http, udp });

    const published = both.ports.map((one) => `${one.protocol} ${one.published}->${one.target} ${one.mode}`);
    judge(
      'ports in the API',
      sameMembers([`tcp ${port}->80 ingress`, `udp ${port}->${ECHO_PORT} ingress`], published),
    );
    for (const { name: node, address } of swarm.nodes) {
      const { host, sandbox = { name: '', inode: 0 } } = seen[node] ?? {};
      const protocols = ['tcp', 'udp'];
      // Each protocol has a way of its own into ingress_sbox; there they get the same mark, so IPVS knows one service.
      const translated = chainRules(host, 'nat', INGRESS_CHAIN)
        .map(ruleText)
        .filter((rule) => rule.includes(`--dport ${port} -j DNAT`))
        .map((rule) => rule.replace(/ --to-destination .*/, ''));
      judge(
        `translations of port ${port} on ${node}`,
        sameMembers(
          protocols.map((protocol) => `-p ${protocol} --dport ${port} -j DNAT`),
          translated,
        ),
        { node },
      );
      const marking = jumpsTo(sandbox, 'mangle', 'MARK').filter((rule) => rule.includes(`--dport ${port} `));
      const marks = [...new Set(marking.map((rule) => rule.replace(/.* --set-xmark (\w+)\/.*/, '$1')))];
      const mark = first(marks);
      judge(
        `marks for port ${port} on ${node}`,
        sameMembers(
          protocols.map(
            (protocol) => `PREROUTING -p ${protocol} --dport ${port} -j MARK --set-xmark ${mark}/0xffffffff`,
          ),
          marking,
        ),
        { node },
      );
      const servers = (sandbox.ipvs ?? [])
        .filter((one) => one.kind === 'fwmark' && one.fwmark === Number(mark))
        .flatMap((one) => one.realServers.map((server) => server.address));
      const due = both.tasks.map((task) => task.addresses[ingressNetwork(view).name] ?? 'none');
      judge(`real servers behind that mark on ${node}`, sameMembers(due, servers), { node });

      for (const [protocol, samples] of Object.entries({ tcp: http, udp })) {
        const answers = answeredBy(samples.filter(({ to }) => to === endpoint(address, port)));
        judge(`tasks that answer ${protocol} through ${node}`, sameMembers(tasks, [...new Set(answers)]), {
          node,
        });
      }
    }
  }),
);

test(
  ...clause('MESH-011', { disturbs: true }, async ({ swarm, evidence, skip }) => {
    await swarm.create(SIGNALS);
    await watch(
      'the service runs and shows its port',
      {
        look: () => swarm.service('signals'),
        wrong: ({ ports, tasks }) => ({
          [swarm.manager.name]: [
            ...complaint('running tasks', sameMembers(['1'], [String(tasks.length)])),
            ...complaint(
              'ports in the API',
              sameMembers(
                [`sctp ${SCTP_PORT}->${ECHO_PORT} ingress`],
                ports.map((one) => `${one.protocol} ${one.published}->${one.target} ${one.mode}`),
              ),
            ),
          ],
        }),
        keep: (seen) => evidence('the service', seen),
      },
      OURS.taskReplaced,
    );
    const socket = await swarm.outsider.must(
      'socat -u OPEN:/dev/null SCTP-LISTEN:9,accept-timeout=0.1 2>&1 || true',
    );
    await evidence('an SCTP socket of the lab itself', socket);
    if (/protocol not supported/i.test(socket)) skip('no-sctp: the kernel of this lab has no SCTP');

    const task = first((await swarm.service('signals')).tasks);
    const name = first(hostNamesOf({ name: 'signals', tasks: [task] }));
    // The workload speaks no SCTP, so a tool in the task's own network answers in its place, with the task's name.
    await swarm
      .inside(task)
      .must(`sh -c 'socat SCTP4-LISTEN:${ECHO_PORT},fork,reuseaddr SYSTEM:"echo ${name}" >/dev/null 2>&1 &'`);
    await watch(
      'an SCTP association with every node reaches the task',
      {
        look: () =>
          swarm.everywhere(async ({ address }) => {
            const client = `socat -u -T ${OURS.hangMs / 1000} SCTP4-CONNECT:${address}:${SCTP_PORT},connect-timeout=${OURS.hangMs / 1000} STDOUT`;
            return (await swarm.outsider.must(`${client} 2>&1 || true`)).trim();
          }),
        wrong: (seen) => wrongOnEach(seen, (answer) => complaint('answer', sameMembers([name], [answer]))),
        keep: (seen) => evidence('answers', seen),
      },
      PROMISED.portAnswers,
    );
  }),
);

/** Port under which {@link SIGNALS} is published. */
const SCTP_PORT = 8096;

const SIGNALS = service('signals', {
  publish: [{ published: SCTP_PORT, target: ECHO_PORT, protocol: 'sctp' }],
  on: ['w1'],
});
