import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { execa } from 'execa';
import { besideByHand, datagramByHand, pingByHand, probeByHand, trafficByHand } from './by-hand.ts';
import type { ProbeRequest } from './probe.ts';

const A = { name: 'tasks.web', type: 'A' } as const;

const SAID: [request: ProbeRequest, commands: string[]][] = [
  [
    { kind: 'dns', server: '127.0.0.11', questions: [A, { name: 'web', type: 'AAAA' }] },
    ['dig @127.0.0.11 +noall +question +comments +answer tasks.web A web AAAA'],
  ],
  [
    { kind: 'dns', server: '192.168.83.200:5353', questions: [A], proto: 'tcp', count: 2 },
    ['dig @192.168.83.200 -p 5353 +noall +question +comments +answer +tcp tasks.web A tasks.web A'],
  ],
  [
    { kind: 'http', to: ['10.0.1.2:80', '10.0.1.3:80'], path: '/hold?ms=5', timeoutMs: 2500 },
    [
      'curl -sS -m 3 -H "Connection: close" "http://10.0.1.2:80/hold?ms=5"',
      'curl -sS -m 3 -H "Connection: close" "http://10.0.1.3:80/hold?ms=5"',
    ],
  ],
  [{ kind: 'ping', to: '10.0.1.2', count: 3 }, ['ping -n -c 3 -W 5 10.0.1.2']],
];
for (const [request, commands] of SAID)
  test(`by hand: ${commands[0]}`, () => assert.deepEqual(probeByHand(request), commands));

test('as many requests are sent by hand as the probe sends, each on a connection of its own', async () => {
  const peers: (number | undefined)[] = [];
  const server = http.createServer((request, answer) => {
    peers.push(request.socket.remotePort);
    assert.equal(request.url, '/bytes?n=3');
    answer.end('yes\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const to = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [command = ''] = probeByHand({ kind: 'http', to, count: 4, path: '/bytes?n=3' });
    const { stdout } = await execa('sh', ['-c', command]);
    assert.equal(stdout, 'yes\nyes\nyes\nyes');
    assert.equal(new Set(peers).size, 4);
  } finally {
    server.close();
  }
});

test('every command is one that sh understands', async () => {
  const all = [
    ...SAID.flatMap(([request]) => [...probeByHand(request), ...trafficByHand(request)]),
    ...probeByHand({ kind: 'name', server: '127.0.0.11', question: A, port: 80, count: 2 }),
    ...probeByHand({ kind: 'udp', to: '10.0.1.2:9000' }),
    ...probeByHand({ kind: 'hold', to: '10.0.1.2:9000', ms: 5000 }),
    ...pingByHand([{ to: '10.0.1.2', bytes: 1422 }], 3),
    datagramByHand({ address: '10.0.1.2', port: 4789 }, Buffer.from([0, 39, 92, 255]), 2),
  ];
  for (const command of all) await execa('sh', ['-n', '-c', command]);
});

test('a datagram by hand has the same bytes', async () => {
  const data = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const command = datagramByHand({ address: '10.0.1.2', port: 4789 }, data, 1);
  // In place of socat something that only passes on.
  const { stdout } = await execa('sh', ['-c', command.replace(/socat -u - UDP:[\d.:]+/, 'cat')], {
    encoding: 'buffer',
  });
  assert.deepEqual(Buffer.from(stdout), data);
});

test('what goes on beside shows all that it printed when it is ended, and leaves nothing', async () => {
  const { begin, end } = besideByHand(
    'client on w1',
    `sh -c 'while :; do echo "tick $0 $$"; sleep 0.1; done'`,
  );
  await execa('sh', ['-c', begin]);
  const { stdout } = await execa('sh', ['-c', end]);
  assert.match(stdout, /^(?:tick sh \d+\n){5,}tick sh \d+$/);
  const [, pid = ''] = /tick sh (\d+)$/.exec(stdout) ?? [];
  assert.throws(() => process.kill(Number(pid), 0), 'it still runs');
  await assert.rejects(execa('sh', ['-c', end]), 'its files are still there');
});

test('the same beside others has the same words again, and other ones elsewhere', () => {
  const words = besideByHand('client on w1', 'tcpdump -n');
  assert.deepEqual(besideByHand('client on w1', 'tcpdump -n'), words);
  for (const other of [besideByHand('w1', 'tcpdump -n'), besideByHand('client on w1', 'tcpdump')]) {
    assert.notEqual(other.begin, words.begin);
    assert.notEqual(other.end, words.end);
  }
});
