import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIptablesSave } from '../observe/parse/iptables.ts';
import { chainRules, jumpsTo, rulesOnTheWay, ruleText, translatedBy } from './ingress.ts';

/** A host whose tables hold these lines, with the chains they name. */
function host(tables: Record<string, readonly string[]>) {
  const text = Object.entries(tables).map(([table, rules]) => {
    const chains = new Set(rules.map((rule) => /-A (\S+)/.exec(rule)?.[1]));
    return [`*${table}`, ...[...chains].map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join(
      '\n',
    );
  });
  return { name: 'host', inode: 1, rules: parseIptablesSave(text.join('')) };
}

test('a rule reads the same whichever engine wrote it', () => {
  const { rules } = host({
    filter: [
      // 20.10.24 and 26.1.5, as iptables 1.8.9 and 1.8.11 print what they wrote.
      '-A C -p tcp -m state --state RELATED,ESTABLISHED -m tcp --sport 8080 -j ACCEPT',
      '[3:180] -A C -p tcp -m tcp --sport 8080 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ],
  });
  const texts = rules.tables.filter?.chains.C?.rules.map(ruleText);
  const one = '-p tcp --sport 8080 --ctstate RELATED,ESTABLISHED -j ACCEPT';
  assert.deepEqual(texts, [one, one]);
});

test('a rule keeps what narrows it, and the options of its target', () => {
  const lines = [
    '-p tcp ! --dport 80 -j DNAT --to-destination 172.18.0.2:80',
    '! -s 10.0.0.0/8 -m ipvs --ipvs -j SNAT --to-source 10.0.0.2',
    '-m socket -j RETURN',
    '-p udp -g OTHER',
    '-p tcp',
  ];
  const { rules } = host({ nat: lines.map((line) => `-A C ${line}`) });
  assert.deepEqual(rules.tables.nat?.chains.C?.rules.map(ruleText), lines);
});

test('every way into a chain is told with its conditions', () => {
  const state = host({
    nat: [
      '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS',
      '-A OUTPUT -g DOCKER-INGRESS',
      '-A OUTPUT -j DOCKER',
    ],
  });
  assert.deepEqual(jumpsTo(state, 'nat', 'DOCKER-INGRESS'), [
    'PREROUTING --dst-type LOCAL -j DOCKER-INGRESS',
    'OUTPUT -g DOCKER-INGRESS',
  ]);
  assert.deepEqual(jumpsTo(state, 'filter', 'DOCKER-INGRESS'), []);
});

test('what a packet meets on its way through chains', () => {
  const state = host({
    filter: [
      '-A FORWARD -j DOCKER-USER',
      '-A FORWARD -j DOCKER-FORWARD',
      '-A FORWARD -o docker0 -j DROP',
      '-A DOCKER-FORWARD -i docker0 -j ACCEPT',
      '-A DOCKER-FORWARD -j DOCKER-INGRESS',
    ],
  });
  assert.deepEqual(rulesOnTheWay(state, 'filter', 'FORWARD', 'DOCKER-FORWARD', 'DOCKER-INGRESS'), [
    'FORWARD -j DOCKER-USER',
    'DOCKER-FORWARD -i docker0 -j ACCEPT',
  ]);
});

test('a way that is interrupted is told, also where a jump has conditions', () => {
  const state = host({ filter: ['-A FORWARD -j DOCKER-USER', '-A FORWARD -p tcp -j DOCKER-INGRESS'] });
  assert.deepEqual(rulesOnTheWay(state, 'filter', 'FORWARD', 'DOCKER-INGRESS'), [
    'FORWARD without -j DOCKER-INGRESS',
  ]);
  assert.deepEqual(rulesOnTheWay({ name: 'host', inode: 1 }, 'filter', 'FORWARD', 'DOCKER-INGRESS'), [
    'FORWARD without -j DOCKER-INGRESS',
  ]);
});

test('what the rule of a port has translated', () => {
  const state = host({
    nat: [
      '[7:420] -A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:8080',
      '[9:540] -A DOCKER-INGRESS -j RETURN',
    ],
  });
  const rules = chainRules(state, 'nat', 'DOCKER-INGRESS');
  assert.equal(translatedBy(rules, 8080), 7);
  assert.equal(translatedBy(rules, 80), 0);
});
