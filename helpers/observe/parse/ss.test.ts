import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseListeners } from './ss.ts';

test('addresses of one family, of both, and processes', () => {
  const text = [
    'udp UNCONN 0      0         0.0.0.0:4789  0.0.0.0:*                                      ',
    'tcp LISTEN 0      4096            *:8080       *:* users:(("dockerd",pid=62,fd=67))     ',
    'tcp LISTEN 0      4096         [::]:8093    [::]:* users:(("docker-proxy",pid=482,fd=4))',
    'tcp LISTEN 0      511    127.0.0.53%lo:53 0.0.0.0:* users:(("a b",pid=1,fd=2),("c",pid=3,fd=4),("c",pid=5,fd=4))',
    '',
  ].join('\n');
  assert.deepEqual(parseListeners(text), [
    { protocol: 'udp', address: '0.0.0.0', port: 4789, processes: [] },
    { protocol: 'tcp', address: '*', port: 8080, processes: ['dockerd'] },
    { protocol: 'tcp', address: '::', port: 8093, processes: ['docker-proxy'] },
    { protocol: 'tcp', address: '127.0.0.53%lo', port: 53, processes: ['a b', 'c'] },
  ]);
});

test('nothing waits', () => {
  assert.deepEqual(parseListeners('\n'), []);
});

for (const line of [
  'Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process',
  'tcp ESTAB  0      0      10.0.0.1:80 10.0.0.2:33000',
  'tcp LISTEN 0      4096            *:8080       *:* uid:0',
  'tcp LISTEN 0      4096            *:8080       *:* users:(("dockerd",pid=62))',
])
  test(`refused: ${line}`, () => {
    assert.throws(() => parseListeners(line), /ss, line 1/);
  });
