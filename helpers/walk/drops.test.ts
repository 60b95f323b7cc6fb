import assert from 'node:assert/strict';
import { test } from 'node:test';
import { droppedBy } from './drops.ts';
import { rules } from './testing/example.ts';

const PACKET = { protocol: 'tcp', from: '192.168.83.200', to: '192.168.83.21', port: 8080 };

function droppedIn(rule: string): string | undefined {
  return droppedBy({ name: 'host', inode: 1, rules: rules('filter', ':INPUT ACCEPT [0:0]', rule) }, PACKET);
}

test('a rule that dropped such packets is told with its count', () => {
  assert.equal(
    droppedIn('[7:420] -A INPUT -p tcp -m tcp --dport 8080 -j DROP'),
    'filter INPUT drops it: -p tcp -m tcp --dport 8080 -j DROP (7 packets)',
  );
  assert.match(
    droppedIn(
      '[7:420] -A INPUT -s 192.168.83.0/24 -d 192.168.83.0/24 -j REJECT --reject-with icmp-port-unreachable',
    ) ?? '',
    /7 packets/,
  );
});

test('rules for other packets, rules that dropped none, and rules that ask for more are not blamed', () => {
  for (const rule of [
    '[0:0] -A INPUT -p tcp -m tcp --dport 8080 -j DROP',
    '[7:420] -A INPUT -p udp -j DROP',
    '[7:420] -A INPUT -p tcp -m tcp --dport 8081 -j DROP',
    '[7:420] -A INPUT -d 10.0.0.0/8 -j DROP',
    '[7:420] -A INPUT -i docker_gwbridge -j DROP',
    '[7:420] -A INPUT -m conntrack --ctstate INVALID -j DROP',
    '[7:420] -A INPUT ! -s 192.168.83.200/32 -j DROP',
    '[7:420] -A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT',
  ])
    assert.equal(droppedIn(rule), undefined, rule);
});

test('of interfaces only lo is known: a packet between hosts is not on it', () => {
  const told = (rule: string, crosses: boolean) =>
    droppedBy(
      { name: 'host', inode: 1, rules: rules('raw', ':PREROUTING ACCEPT [0:0]', rule) },
      { ...PACKET, crosses },
    );
  const besidesLo = '[7:420] -A PREROUTING ! -i lo -p tcp -m tcp --dport 8080 -j DROP';
  assert.match(told(besidesLo, true) ?? '', /^raw PREROUTING drops it: ! -i lo /);
  assert.equal(told(besidesLo, false), undefined);
  assert.equal(told('[7:420] -A PREROUTING -i lo -p tcp -j DROP', true), undefined);
  assert.equal(told('[7:420] -A PREROUTING ! -i eth1 -p tcp -j DROP', true), undefined);
});
