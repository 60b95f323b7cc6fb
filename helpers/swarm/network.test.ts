import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachments } from './network.ts';

const NETWORKS = [
  { name: 'front', subnet: '10.0.1.0/24' },
  { name: 'docker_gwbridge', subnet: '172.18.0.0/16' },
];

test('interfaces are told with the networks of their IPv4 addresses, loopback left out', () => {
  const link = (name: string, ...addresses: [string, number][]) => ({
    name,
    index: 1,
    mtu: 1450,
    up: true,
    addresses: addresses.map(([address, prefix]) => ({ address, prefix })),
  });
  const state = {
    name: '1-net',
    inode: 1,
    links: [
      link('lo', ['127.0.0.1', 8], ['::1', 128]),
      link('eth0', ['10.0.1.3', 24], ['10.0.1.2', 32], ['fe80::1', 64]),
      link('eth1', ['172.18.0.3', 16]),
      link('eth2', ['10.0.9.1', 24]),
      link('eth3'),
    ],
  };
  assert.deepEqual(attachments(state, NETWORKS), [
    { link: 'eth0', networks: ['front'], addresses: ['10.0.1.3/24', '10.0.1.2/32'] },
    { link: 'eth1', networks: ['docker_gwbridge'], addresses: ['172.18.0.3/16'] },
    { link: 'eth2', networks: ['10.0.9.1'], addresses: ['10.0.9.1/24'] },
    { link: 'eth3', networks: [], addresses: [] },
  ]);
  assert.deepEqual(attachments(undefined, NETWORKS), []);
});
