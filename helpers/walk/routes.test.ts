import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Journal, type Place } from '../observe/journal.ts';
import type { DnsSample, HttpSample } from '../observe/probe.ts';
import { EMBEDDED_DNS } from '../swarm/network.ts';
import { choose } from './choose.ts';
import { failuresOf, routesIn } from './routes.ts';
import { CLIENT, VIP, virtualIpWalk } from './testing/example.ts';

const { view, nodes } = virtualIpWalk();
const INSIDE: Place = { kind: 'process', node: CLIENT.node, pid: CLIENT.pid, what: 'client.1' };
const OUTSIDER: Place = { kind: 'outsider', address: '192.168.83.200' };

function answered(i: number, to: string, container: string): HttpSample {
  return {
    i,
    at: 0,
    ms: 1,
    to,
    connectMs: 1,
    source: '10.0.1.3:40000',
    path: '/',
    status: 200,
    container,
    peer: '10.0.1.12:40000',
    local: '10.0.1.8:80',
    bytes: 1,
  };
}

function timedOut(i: number, to: string): HttpSample {
  return { i, at: 0, ms: 1500, to, path: '/', error: 'timeout', phase: 'connect' };
}

test('requests alike are one route, with how often each end was met', () => {
  const journal = new Journal();
  const to = `${VIP}:80`;
  journal.note(INSIDE, { kind: 'http', to, count: 3 }, [
    answered(0, to, 'two1'),
    answered(1, to, 'two2'),
    timedOut(2, to),
  ]);
  journal.note(INSIDE, { kind: 'http', to }, [answered(0, to, 'two1')]);
  const [route, ...others] = routesIn(journal.take(), view);
  assert.deepEqual(others, []);
  assert.deepEqual(route?.asked, { protocol: 'tcp', port: 80, addresses: [VIP] });
  assert.deepEqual(
    route?.outcomes.map(({ times, container, error }) => [times, container ?? error]),
    [
      [2, 'two1'],
      [1, 'two2'],
      [1, 'timeout in connect'],
    ],
  );
  assert.equal(route && failuresOf(route), 1);
  assert.deepEqual(journal.take(), [], 'what was taken is not told again');
});

test('tasks of one service asked by their own addresses are one route, other services another', () => {
  const journal = new Journal();
  const to = ['10.0.1.8:80', '10.0.1.9:80', '10.0.1.18:80'];
  journal.note(
    INSIDE,
    { kind: 'http', to },
    to.map((one, i) => answered(i, one, 'x')),
  );
  assert.deepEqual(
    routesIn(journal.take(), view).map(({ asked }) => asked.addresses),
    [['10.0.1.8', '10.0.1.9'], ['10.0.1.18']],
  );
});

test('questions to the embedded DNS are routes by name, those to other servers are none', () => {
  const sample: DnsSample = {
    i: 0,
    at: 0,
    ms: 1,
    to: `${EMBEDDED_DNS}:53`,
    q: 0,
    proto: 'udp',
    source: '127.0.0.1:4',
    hex: '',
    id: 0,
    rcode: 'NXDOMAIN',
    flags: { qr: true, aa: false, tc: false, rd: true, ra: true, ad: false, cd: false },
    questions: [],
    answers: [],
    authorities: [],
    additionals: [],
  };
  const journal = new Journal();
  const questions = [{ name: 'two', type: 'A' }] as const;
  journal.note(INSIDE, { kind: 'dns', server: EMBEDDED_DNS, questions }, [sample]);
  journal.note(INSIDE, { kind: 'dns', server: '192.168.83.200', questions }, [sample]);
  assert.deepEqual(routesIn(journal.take(), view), [
    {
      from: INSIDE,
      asked: { protocol: 'udp', name: 'two', addresses: [] },
      outcomes: [{ times: 1, answers: [], rcode: 'NXDOMAIN' }],
    },
  ]);
});

test('a held connection is answered when its lines come back and it does not break', () => {
  const to = `${VIP}:9000`;
  const journal = new Journal();
  journal.note(INSIDE, { kind: 'hold', to, ms: 100, count: 2 }, [
    { i: 0, at: 0, ms: 1, to, event: 'open', source: '10.0.1.3:40000' },
    { i: 0, at: 0, ms: 1, to, event: 'echo', k: 0, container: 'two1' },
    { i: 0, at: 0, ms: 1, to, event: 'close', source: '10.0.1.3:40000' },
    { i: 1, at: 0, ms: 1, to, event: 'close', error: 'reset', phase: 'read' },
  ]);
  const [route] = routesIn(journal.take(), view);
  assert.deepEqual(
    route?.outcomes.map(({ container, error }) => container ?? error),
    ['two1', 'reset in read'],
  );
});

test('of a clause that failed the failing routes come first, those of the node it names before others; of one that passed the longest', () => {
  const journal = new Journal();
  const vip = `${VIP}:80`;
  const ports = nodes.map(({ address }) => `${address}:8080`);
  journal.note(
    OUTSIDER,
    { kind: 'http', to: ports },
    ports.map((to, i) => (i === 0 ? answered(i, to, 'vote1') : timedOut(i, to))),
  );
  journal.note(INSIDE, { kind: 'http', to: vip }, [answered(0, vip, 'two1')]);
  journal.note(INSIDE, { kind: 'http', to: '203.0.113.9:80' }, [timedOut(0, '203.0.113.9:80')]);
  const routes = routesIn(journal.take(), view);
  const addresses = (wanted: Parameters<typeof choose>[3]) =>
    choose(routes, view, nodes, wanted).map(({ asked }) => asked.addresses[0]);
  assert.deepEqual(addresses({ passed: false, node: 'w1', most: 2 }), ['192.168.83.21', '192.168.83.22']);
  assert.deepEqual(addresses({ passed: false, node: 'w2', most: 1 }), ['192.168.83.22']);
  assert.deepEqual(addresses({ passed: true, most: 1 }), ['192.168.83.11']);
  assert.equal(addresses({ passed: false, most: 9 }).length, 4, 'what leads nowhere known is left out');
});
