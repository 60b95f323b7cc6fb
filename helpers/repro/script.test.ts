import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { network, service, stack } from '../swarm/services.ts';
import type { Transcript } from '../transcript/file.ts';
import type { Entry, Json } from '../transcript/transcript.ts';
import { reproScript } from './script.ts';

const NET = 'knydmtbgnp60sijl8zajptlne';
const CONTAINER = 'c0ffee'.padEnd(64, '0');

const told = {
  clause: 'DNS-020',
  title: 'An alias leaves DNS',
  statement: 'One that was dropped stands for it no longer.',
  sources: ['moby: libnetwork/service_common.go'],
  seen: 'records of shop: expected 10.0.2.2, saw 10.0.2.2, 10.0.2.4\nand more',
  defect: 'aliases do not change (moby#52236)',
  kernel: '6.12.117',
};

const nodes = [
  ['m1', 'manager', '192.168.83.11'],
  ['w1', 'worker', '192.168.83.21'],
  ['w2', 'worker', '192.168.83.22'],
].map(([name, role, address]) => ({ name, role, address, engine: '26.1.5' }));

const spec = (more: object = {}) => ({
  Name: 'web',
  Labels: { 'swarmproof.stack': 'web' },
  TaskTemplate: {
    ContainerSpec: { Image: 'swarmproof/workload:lab', Isolation: 'default' },
    Networks: [{ Target: NET, Aliases: ['shop'] }],
    ForceUpdate: 0,
    Runtime: 'container',
  },
  Mode: { Replicated: { Replicas: 2 } },
  EndpointSpec: { Mode: 'vip' },
  ...more,
});

/** What every clause asks first: the API's whole view. */
const view: [ask: string, answer: unknown][] = [
  ['GET /networks?filters=%7B%7D', [{ Id: NET, Name: 'front' }]],
  ['GET /nodes', [{ ID: 'n2', Description: { Hostname: 'w2' } }]],
  [
    'GET /services',
    [{ ID: 's1', Spec: spec(), Endpoint: { VirtualIPs: [{ NetworkID: NET, Addr: '10.0.2.4/24' }] } }],
  ],
  [
    'GET /tasks?filters=%7B%7D',
    [
      {
        ID: 't1',
        ServiceID: 's1',
        NodeID: 'n2',
        Slot: 2,
        DesiredState: 'running',
        Status: { ContainerStatus: { ContainerID: CONTAINER, PID: 385 } },
        NetworksAttachments: [{ Network: { Spec: { Name: 'front' } }, Addresses: ['10.0.2.6/24'] }],
      },
    ],
  ],
];

type Step = [to: string, ask: string, more?: Partial<Entry>];

function script(
  steps: readonly Step[],
  parts = stack(network('front', { Attachable: true }), service('web', { replicas: 2 })),
  before = view,
  members = nodes,
) {
  const asked = [
    ...before.map(([ask, answer]): Step => ['api m1', ask, { answer: answer as Json }]),
    ...steps,
  ];
  const entries = asked.map(
    ([to, ask, more], i): Entry => ({ to, ask, at: i * 10, ms: 5, order: i, ...more }),
  );
  const head = {
    schema: 'swarmproof/transcript/1',
    clause: 'DNS-020',
    cell: 'default',
    startedAt: '2026-11-24T19:00:00.000Z',
    pace: 1,
    soakMs: 0,
    lease: { swarm: { nodes: members, outsider: { address: '192.168.83.200' } } },
    stack: parts,
  };
  return reproScript({ head, entries } as unknown as Transcript, told);
}

/** Runs a script with a `docker`, an `ssh` and a `sleep` that only write down how they were called. */
async function run(text: string, env: Record<string, string> = {}): Promise<string[]> {
  return (await ran(text, env)).calls;
}

/** The same, and what the script says of itself. */
async function ran(
  text: string,
  env: Record<string, string> = {},
): Promise<{ calls: string[]; stderr: string }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'swarmproof-repro-'));
  try {
    const fake = [
      '#!/bin/sh',
      `{ printf '%s' "$(basename "$0")"; for word; do printf '|%s' "$word"; done; echo; } >> ${folder}/calls`,
      'case "$*" in',
      '  "service ps"*) echo t0 t1 ;;',
      '  "inspect --type task -f {{.Slot}} {{.NodeID}} t0") echo 1 n1 ;;',
      '  "inspect --type task -f {{.Slot}} {{.NodeID}} t1") echo 2 n2 ;;',
      `  "service ls --format"*) [ "$(grep -c '^sleep' ${folder}/calls)" -gt "\${SLOW:-0}" ] && echo 2/2 || echo 1/2 ;;`,
      '  *ContainerStatus.PID*) echo 4711 ;;',
      '  *ContainerStatus.ContainerID*) echo abcdef ;;',
      '  *"node inspect -f {{.Description.Hostname}}"*) echo host-2 ;;',
      '  *VirtualIPs*) echo 10.9.9.9/24 ;;',
      '  "swarm join-token"*) echo SWMTKN-1-abc-secret ;;',
      '  "berlin-1 docker inspect"*State.Pid*) echo 254 ;;',
      '  "inspect"*State.Pid*) echo 4712 ;;',
      '  "berlin-1 docker inspect"*IPAddress*) echo 172.18.0.77 ;;',
      '  "inspect"*IPAddress*) echo 172.18.0.78 ;;',
      '  *"network inspect -f {{.Id}}"*) echo zzzzzzzzzzzzz ;;',
      '  *"node inspect -f {{.Status.Addr}}"*) echo 172.16.0.7 ;;',
      'esac',
    ].join('\n');
    for (const name of ['docker', 'ssh', 'sleep']) {
      await writeFile(path.join(folder, name), fake);
      await chmod(path.join(folder, name), 0o755);
    }
    const { PATH } = process.env;
    const { stderr } = await execa('sh', ['-eu', '-c', text], {
      env: { PATH: `${folder}:${PATH}`, IMAGE: '', ...env },
      extendEnv: false,
    });
    return { calls: (await readFile(path.join(folder, 'calls'), 'utf8')).trimEnd().split('\n'), stderr };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The calls of a script that do something, without those that find out what a value is here. */
async function done(steps: readonly Step[], env?: Record<string, string>): Promise<string[]> {
  const calls = await run(script(steps), env);
  const begin = calls.lastIndexOf('sleep|5') + 1;
  return calls
    .slice(begin)
    .filter(
      (call) =>
        !/^docker\|(?:service\|ps\|-q|inspect\|--type|node\|inspect|network\|inspect\|-f|service\|inspect\|-f|(?:network|node|service)\|ls|service\|ps\|--no-trunc)/.test(
          call,
        ),
    );
}

test('its head says what was promised, what was seen, on which versions, and what is known of it', () => {
  const text = script([]);
  for (const line of [
    '# DNS-020: An alias leaves DNS',
    '# Promised: One that was dropped stands for it no longer.',
    '# Seen: records of shop: expected 10.0.2.2, saw 10.0.2.2, 10.0.2.4',
    '# and more',
    '# Known as: aliases do not change (moby#52236)',
  ])
    assert.ok(text.split('\n').includes(line), `${line}\n${text}`);
  assert.match(text, /m1 \(manager\) 26\.1\.5, w1 \(worker\) 26\.1\.5.*kernel 6\.12\.117/);
});

test('its head names the tools it uses on nodes, and no other', () => {
  const text = script([
    ['shell w1', 'ipvsadm -Ln; iptables-save -c'],
    ['shell w2', 'sh -c "tcpdump -n udp port 4789"'],
    ['api w1', `GET /containers/${CONTAINER}/json`],
  ]);
  assert.match(text, /; there it uses nsenter, ipvsadm, iptables, tcpdump\.$/m);
});

test('where services are listed their virtual IPs are, too', () => {
  const text = script([['api m1', 'GET /services', { answer: [] }]]);
  assert.match(text, /docker service ls -q \| xargs -r docker service inspect -f '[^']*\.VirtualIPs/);
});

test('the stack is created by the command line, of an image that anyone has', async () => {
  const calls = await run(script([]));
  assert.ok(calls.includes('docker|network|create|--driver=overlay|--attachable|front'), calls.join('\n'));
  const created = calls.find((call) => call.startsWith('docker|service|create')) ?? '';
  assert.match(
    created,
    /^docker\|service\|create\|--detach\|--name=web\|--network=front\|--replicas=2\|--endpoint-mode=vip\|busybox\|sh\|-c\|.*httpd/,
  );
  assert.ok(!created.includes('swarmproof'));
  const own = await run(script([]), { IMAGE: 'me/workload' });
  assert.match(own.find((call) => call.startsWith('docker|service|create')) ?? '', /\|me\/workload$/);
});

test('nodes are called by the names they have elsewhere', async () => {
  const parts = stack(service('web', { on: ['w1'] }));
  const calls = await run(script([], parts), { W2: 'berlin-2' });
  assert.ok(
    calls.some((call) =>
      call.includes('--constraint=node.hostname!=m1|--constraint=node.hostname!=berlin-2'),
    ),
    calls.join('\n'),
  );
});

test('a look from a task finds the task, its process and the virtual IP of that Swarm, wherever the task is', async () => {
  const ask = 'nsenter --net=/proc/385/ns/net /usr/bin/probe http --to 10.0.2.4:80';
  const plain = [
    `nsenter --net=/proc/385/ns/net curl -sS -m 5 -H "Connection: close" "http://10.0.2.4:80/#[1-4]"`,
  ];
  assert.deepEqual(await done([['shell w2', ask, { plain }]]), [
    'ssh|host-2|nsenter --net=/proc/4711/ns/net curl -sS -m 5 -H "Connection: close" "http://10.9.9.9:80/#[1-4]"',
  ]);
});

test('a task is known in whatever order a Swarm was asked for what it has', async () => {
  const look: Step = ['shell w2', 'nsenter --net=/proc/385/ns/net ping 10.0.2.6'];
  for (const order of [view, view.toReversed()]) {
    const asked = order.map(([ask, answer]): Step => ['api m1', ask, { answer: answer as Json }]);
    const text = script([...asked, look], undefined, []);
    assert.ok(text.split('\n').includes(`in_task web 2 'ping '"$(task_address web 2 front)"`), text);
  }
});

test('a look at a balancer finds its namespace', async () => {
  const plain = [
    `for f in /proc/1/root/run/docker/netns/lb_${NET.slice(0, 9)}; do nsenter --net=$f sh -c 'ipvsadm -Ln'; done`,
  ];
  assert.deepEqual(await done([['shell w1', 'a script of ours', { plain }]], { ON: 'ssh' }), [
    `ssh|w1|for f in /run/docker/netns/lb_zzzzzzzzz; do nsenter --net=$f sh -c 'ipvsadm -Ln'; done`,
  ]);
});

test("a container's namespace is found by whose it is", async () => {
  const look = (at: string, key: string): Step => [
    `shell ${at}`,
    `a script of ours: ${key}`,
    { plain: [`for f in /run/docker/netns/${key}; do nsenter --net=$f sh -c 'ip route'; done`] },
  ];
  const inspected = (id: string, key: string) =>
    ({ Id: id, State: { Pid: 7 }, NetworkSettings: { SandboxKey: `/run/docker/netns/${key}` } }) as Json;
  const steps: Step[] = [
    [`api w2`, `GET /containers/${CONTAINER}/json`, { answer: inspected(CONTAINER, 'ca8a295e6ff9') }],
    [
      'api w1',
      'POST /containers/create?name=lone\n{"Image":"swarmproof/workload:lab"}',
      { answer: { Id: 'f00d' } },
    ],
    ['api w1', 'GET /containers/f00d/json', { answer: inspected('f00d', '0123456789ab') }],
    look('w2', 'ca8a295e6ff9'),
    look('w1', '0123456789ab'),
    look('w1', 'ca8a295e6ff9'),
  ];
  const looks = (await done(steps, { W1: 'berlin-1' })).filter((line) => line.includes('ip route'));
  assert.deepEqual(looks, [
    `ssh|w2|for f in /proc/4711/ns/net; do nsenter --net=$f sh -c 'ip route'; done`,
    `ssh|berlin-1|for f in /proc/254/ns/net; do nsenter --net=$f sh -c 'ip route'; done`,
    // Nobody's that is known there.
    `ssh|berlin-1|for f in /run/docker/netns/ca8a295e6ff9; do nsenter --net=$f sh -c 'ip route'; done`,
  ]);
});

test('an update is told by what it changes', async () => {
  const changed = spec({
    UpdateConfig: { Parallelism: 2, Delay: 1_500_000_000 },
    TaskTemplate: {
      ContainerSpec: { Image: 'swarmproof/workload:lab', Env: ['A=1'] },
      Networks: [{ Target: NET, Aliases: ['store'] }],
      ForceUpdate: 1,
    },
    Mode: { Replicated: { Replicas: 3 } },
  });
  const ask = `POST /services/s1/update?version=7\n${JSON.stringify({ ...changed, version: 7 })}`;
  assert.deepEqual(await done([['api m1', ask]]), [
    'docker|service|update|--detach|--force|--network-rm=front|--env-add=A=1|--network-add=name=front,alias=store|--replicas=3|--update-parallelism=2|--update-delay=1500ms|web',
  ]);
});

test('what the command line has no words for is asked of the socket, with the version the service has then', async () => {
  const changed = spec({ TaskTemplate: { ...spec().TaskTemplate, LogDriver: { Name: 'none' } } });
  const [call = '', ...more] = await done([
    ['api m1', `POST /services/s1/update?version=7\n${JSON.stringify({ ...changed, version: 7 })}`],
  ]);
  assert.deepEqual(more, []);
  assert.match(call, /^ssh\|m1\|curl -sS --unix-socket \/run\/docker\.sock -X POST/);
  assert.match(call, /"LogDriver":\{"Name":"none"\}/);
  assert.match(call, /http:\/\/docker\/services\/web\/update\?version=/);
  assert.ok(!/swarmproof.workload/.test(call));
  assert.ok(!call.includes(NET) && call.includes('zzzzzzzzzzzzz'), call);
});

test('a task is killed and looked at where it is there, by name of service and slot', async () => {
  const steps: Step[] = [
    ['api w1', `POST /containers/${CONTAINER}/kill`],
    ['api m1', `GET /containers/${CONTAINER}/json`],
  ];
  const [killed, seen = ''] = await done(steps);
  assert.equal(killed, 'ssh|host-2|docker kill abcdef');
  assert.match(seen, /^ssh\|host-2\|docker inspect -f '\{\{.Name\}\} [^']*' abcdef$/);
});

test('a container of no service is made on its node, and looked from, by its name', async () => {
  const id = 'beef'.padEnd(64, '0');
  const body = {
    name: 'left',
    Image: 'swarmproof/workload:lab',
    HostConfig: { NetworkMode: 'home' },
    NetworkingConfig: { EndpointsConfig: { home: { Aliases: ['left-too'] } } },
  };
  const on = (node: string): Step[] => [
    [`api ${node}`, `POST /containers/create?name=left\n${JSON.stringify(body)}`, { answer: { Id: id } }],
    [`api ${node}`, `POST /containers/${id}/start`],
    [
      `api ${node}`,
      `GET /containers/${id}/json`,
      {
        answer: {
          Id: id,
          State: { Pid: 254 },
          NetworkSettings: { Networks: { home: { IPAddress: '172.18.0.2' } } },
        },
      },
    ],
    [`shell ${node}`, 'nsenter --net=/proc/254/ns/net ping -c 1 172.18.0.2'],
  ];
  const own = { IMAGE: 'me/workload', W1: 'berlin-1' };
  const made = '--name=left --network=home --network-alias=left-too me/workload';
  assert.deepEqual(
    (await done(on('w1'), own)).filter((call) => !call.includes('inspect')),
    [
      `ssh|berlin-1|docker create ${made}`,
      'ssh|berlin-1|docker start left',
      'ssh|berlin-1|nsenter --net=/proc/254/ns/net ping -c 1 172.18.0.77',
    ],
  );
  // Where docker speaks to that engine itself, nobody is asked for another.
  assert.deepEqual(
    (await done(on('m1'), own)).filter((call) => !call.includes('inspect')),
    [
      `docker|create|${made.replaceAll(' ', '|')}`,
      'docker|start|left',
      'ssh|m1|nsenter --net=/proc/4712/ns/net ping -c 1 172.18.0.78',
    ],
  );
});

test('of what was asked again and again the last stays, after as long a wait', async () => {
  const look = (at: number): Step => ['shell w1', 'ipvsadm -Ln', { at }];
  const kill: Step = ['api w2', `POST /containers/${CONTAINER}/kill`, { at: 20_000 }];
  assert.deepEqual(await done([look(100), look(5000), look(10_000), kill, look(21_000), look(32_000)]), [
    'sleep|10',
    'ssh|w1|ipvsadm -Ln',
    'sleep|10',
    'ssh|host-2|docker kill abcdef',
    'sleep|12',
    'ssh|w1|ipvsadm -Ln',
  ]);
});

test('where services take longer than they did, the script waits on', async () => {
  const update: Step = ['api w2', `POST /containers/${CONTAINER}/kill`, { at: 100 }];
  const look: Step = ['shell w1', 'ipvsadm -Ln', { at: 12_000 }];
  const calls = await run(script([update, look]), { SLOW: '3' });
  assert.deepEqual(
    calls.filter((call) => /^(?:sleep|ssh)/.test(call)),
    [
      'sleep|5',
      'sleep|1',
      'sleep|1',
      'sleep|1',
      'sleep|5',
      'ssh|host-2|docker kill abcdef',
      'sleep|12',
      'ssh|w1|ipvsadm -Ln',
    ],
  );
});

test('the network of the mesh is removed without a question', async () => {
  const asked: Step = ['api m1', 'GET /networks/mesh', { answer: { Id: 'm', Name: 'mesh', Ingress: true } }];
  for (const [target, line] of [
    ['ingress', 'echo y | docker network rm ingress'],
    ['m', 'echo y | docker network rm mesh'],
    ['front', 'docker network rm front'],
  ] as const)
    assert.ok(
      script([asked, ['api m1', `DELETE /networks/${target}`]])
        .split('\n')
        .includes(line),
      line,
    );
});

test('a node joins by the token of that Swarm, which the script does not print', async () => {
  const join = {
    ListenAddr: '0.0.0.0:2377',
    AdvertiseAddr: '192.168.83.21',
    RemoteAddrs: ['192.168.83.11:2377'],
  };
  const asked: Step = [
    'api w1',
    `POST /swarm/join\n${JSON.stringify({ ...join, JoinToken: 'SWMTKN-of-then' })}`,
  ];
  const { calls, stderr } = await ran(script([asked]));
  assert.match(calls.at(-1) ?? '', /^ssh\|w1\|docker swarm join --token=SWMTKN-1-abc-secret --listen-addr=/);
  assert.match(stderr, /^--- w1: docker swarm join --token=SWMTKN-\.\.\. --listen-addr=/m);
  assert.ok(!stderr.includes('secret'), stderr);
});

test('a node joins as what it joined as', async () => {
  const tokens: Step = [
    'api m1',
    'GET /swarm',
    { answer: { JoinTokens: { Manager: 'of-managers', Worker: 'of-workers' } } },
  ];
  for (const role of ['manager', 'worker']) {
    const join: Step = ['api w1', `POST /swarm/join\n${JSON.stringify({ JoinToken: `of-${role}s` })}`];
    const calls = await run(script([tokens, join]));
    assert.ok(calls.includes(`docker|swarm|join-token|-q|${role}`), calls.join('\n'));
  }
});

test('a node that is no member yet needs an address, without which nothing is done', async () => {
  const spares = nodes.map((node) => ({ ...node, role: 'spare' }));
  const init = { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: '192.168.83.11' };
  const text = script([['api m1', `POST /swarm/init\n${JSON.stringify(init)}`]], stack(), [], spares);
  const { calls } = await ran(text, { M1: '127.0.0.1' });
  assert.equal(calls.at(-1), 'docker|swarm|init|--listen-addr=0.0.0.0:2377|--advertise-addr=127.0.0.1');
  await assert.rejects(ran(text, { M1: 'nowhere.invalid' }), {
    exitCode: 2,
    stderr: 'nowhere.invalid has no address here: set M1 to a host name or an address',
  });
});

test('a request that was refused says how', () => {
  const error = { message: '(HTTP code 400) bad parameter - port in use ', api: { statusCode: 400 } };
  const text = script([['api m1', 'DELETE /networks/front', { answer: undefined, error }]]);
  assert.match(
    text,
    /\n# Refused then: \(HTTP code 400\) bad parameter - port in use\ndocker network rm front\n/,
  );
});

test('what the script cannot do is said, never left out in silence', () => {
  const text = script([
    ['shell w1', '/usr/bin/probe hold --to 10.0.2.4:9000'],
    ['api lab', 'POST /containers/abc/kill'],
    [
      'api m1',
      `POST /services/create\n${JSON.stringify(spec({ TaskTemplate: { ContainerSpec: { Secrets: [{ a: 1 }] } } }))}`,
    ],
  ]);
  const limits = text.split('\n').filter((line) => line.startsWith('# - '));
  assert.deepEqual(
    limits,
    [
      '# - not said by flags: TaskTemplate.ContainerSpec.Secrets',
      '# - needs a program of the suite: /usr/bin/probe hold --to 10.0.2.4:9000',
      '# - done to the machines themselves, by hand: POST /containers/abc/kill',
    ].toSorted((one, other) => limits.indexOf(one) - limits.indexOf(other)),
  );
});

test('any text of a recording is one word of sh, whatever it holds', async () => {
  const nasty = `it's "$HOME" \`id\` $(id) \\ ! *`;
  assert.deepEqual(await done([['shell w1', nasty]]), [`ssh|w1|${nasty}`]);
});
