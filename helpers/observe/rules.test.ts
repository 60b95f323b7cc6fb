import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { keyOf } from '../key.ts';
import type { NamespaceState } from './node.ts';
import { parseIpAddresses } from './parse/ip-address.ts';
import { parseIptablesSave } from './parse/iptables.ts';
import { parseIpvsTable } from './parse/ipvsadm.ts';
import { parseSysctls } from './parse/sysctl.ts';
import { ruleDocument } from './rules.ts';

const recording = (name: string) =>
  readFileSync(path.join(import.meta.dirname, '../../fixtures/recordings/26.1.5-6.12', name), 'utf8');

/** A node as a real engine left it; its texts are changed first. */
function recorded(change: (text: string) => string = (text) => text): NamespaceState[] {
  const read = (kind: string, name: string, inode: number): NamespaceState => ({
    name,
    inode,
    rules: parseIptablesSave(change(recording(`iptables-save-${kind}.txt`))),
    ipvs: parseIpvsTable(change(recording(`ipvsadm-${kind}.txt`))),
    links: parseIpAddresses(change(recording(`ip-addr-${kind}.json`))),
    sysctls: parseSysctls(recording(`sysctl-ipvs-${kind}.txt`)),
  });
  return [
    read('host', 'host', 1),
    read('ingress', 'ingress_sbox', 2),
    read('lb', 'lb_w6z1abcde', 3),
    { name: 'default', inode: 1 },
  ];
}

const document = (namespaces: NamespaceState[]) => ruleDocument([{ name: 'm1', namespaces }]);
const DOCUMENT = document(recorded());

describe('a rule document', () => {
  test('is written as checkpoints hold it', () => {
    assert.equal(
      keyOf(DOCUMENT),
      '41db4ed7e566cea5',
      'documents are written otherwise than those that checkpoints hold: raise STACK_RECIPE in fixtures/bench.ts, then this',
    );
  });

  test('holds nothing that differs from run to run', () => {
    const known = DOCUMENT.replaceAll(/\b127\.0\.0\.(?:11|0|1)\b|\b0\.0\.0\.0\b/g, '');
    assert.doesNotMatch(known, /\d+\.\d+\.\d+\.\d+/, 'addresses');
    assert.doesNotMatch(DOCUMENT, /0x1\d\d\b/, 'marks');
    assert.doesNotMatch(DOCUMENT, /\[\d+:\d+\]/, 'counters');
    assert.doesNotMatch(DOCUMENT, /veth[0-9a-f]{5}|\b[0-9a-f]{12}\b/, 'ids');
    assert.doesNotMatch(DOCUMENT, /127\.0\.0\.11:\d/, 'ports of chance');
  });

  test('holds what the engine programs', () => {
    assert.match(
      DOCUMENT,
      /### ingress_sbox[\s\S]*iptables mangle PREROUTING \(ACCEPT\)\n {2}-p tcp -m tcp --dport 8081 -j MARK --set-xmark <mark>\/0xffffffff/,
    );
    assert.match(DOCUMENT, /-d <ingress>\/24 -m ipvs --ipvs -j SNAT --to-source <ingress>/);
    assert.match(DOCUMENT, /### balancer of a network[\s\S]*-d <overlay>\/32 -j MARK/);
    assert.match(DOCUMENT, /ipvs fwmark rr\n {2}Masq weight 1 port 0, 4 times/);
    assert.match(DOCUMENT, /net\.ipv4\.vs\.conntrack = 1/);
    assert.match(DOCUMENT, /<docker_gwbridge>/);
  });

  test('tells a namespace that has two names once', () => {
    assert.deepEqual(DOCUMENT.match(/^### .*$/gm), [
      '### the node itself',
      '### ingress_sbox',
      '### balancer of a network',
    ]);
  });

  test('is the same for other addresses, marks, ports and ids', () => {
    const moved = recorded((text) =>
      text
        .replaceAll(/\b10\.0\.1\./g, '10.0.7.')
        .replaceAll(/0x10([0-9a-f])\b/g, '0x20$1')
        .replaceAll(/FWM {2}2(\d\d)/g, 'FWM  5$1')
        .replaceAll(/127\.0\.0\.11:\d+/g, '127.0.0.11:33333')
        .replaceAll(/(-s 127\.0\.0\.11.*--sport) \d+/g, '$1 33333')
        .replaceAll(/\[\d+:\d+\]/g, '[7:777]')
        .replaceAll(/veth[0-9a-f]{7}/g, 'veth1234567'),
    );
    assert.equal(document(moved), DOCUMENT);
  });

  const changes: [what: string, change: (text: string) => string][] = [
    ['another scheduler', (text) => text.replace('FWM  256 rr', 'FWM  256 sh')],
    ['a rule less', (text) => text.replace(/-A POSTROUTING -d 10\.0\.0\.0\/24 -m ipvs.*\n/, '')],
    [
      'a weight of zero',
      (text) =>
        text.replace('10.0.1.13:0                  Masq    1', '10.0.1.13:0                  Masq    0'),
    ],
    ['another policy', (text) => text.replace(':FORWARD ACCEPT', ':FORWARD DROP')],
    ['another MTU', (text) => text.replace('"mtu":1450', '"mtu":1500')],
  ];
  for (const [what, change] of changes)
    test(`is another one after ${what}`, () => assert.notEqual(document(recorded(change)), DOCUMENT));

  test('counts containers that are alike', () => {
    const container = (name: string, inode: number): NamespaceState => ({
      name,
      inode,
      settings: { 'net.ipv4.ip_forward': '0' },
    });
    assert.match(
      document([container('0123456789ab', 1), container('ba9876543210', 2)]),
      /### container, 2 times\n/,
    );
  });
});
