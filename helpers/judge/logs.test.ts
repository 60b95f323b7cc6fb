import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineTells, unexplained } from './logs.ts';

const policy = {
  counts: [
    { where: 'kernel', lines: /./ },
    { where: 'engine', lines: /level=error/ },
  ],
  exceptions: [{ where: 'engine', lines: /no such task/ }],
  stalls: [{ where: 'engine', lines: /heartbeat/ }],
} as const;
const CALM = { clause: 'VIP-015', hurt: false };

test('a line counts unless an exception of the same log explains it', () => {
  const lines = ['level=info msg=a', 'level=error msg=b', 'level=error msg="no such task"'];
  assert.deepEqual(unexplained(policy, 'engine', lines, CALM), ['level=error msg=b']);
  assert.deepEqual(unexplained(policy, 'kernel', ['IPVS: no such task'], CALM), ['IPVS: no such task']);
});

test('what no rule speaks of does not count', () => {
  const nothing = { counts: [], exceptions: [], stalls: [] };
  assert.deepEqual(unexplained(nothing, 'engine', ['level=error'], CALM), []);
});

test('what tells of a stall is held against the lab, not the product', () => {
  assert.deepEqual(unexplained(policy, 'engine', ['level=error msg="heartbeat failed"'], CALM), []);
});

test('an exception for some clauses explains nothing in others', () => {
  const line = 'level=error msg="session failed"';
  const left = (during: string[], meanwhile: { clause: string; hurt: boolean }) =>
    unexplained(
      { ...policy, exceptions: [{ where: 'engine', lines: /session/, during }] },
      'engine',
      [line],
      meanwhile,
    );
  assert.deepEqual(left(['hurt'], CALM), [line]);
  assert.deepEqual(left(['hurt'], { ...CALM, hurt: true }), []);
  assert.deepEqual(left(['VIP-015'], CALM), []);
  assert.deepEqual(left(['VIP-015'], { clause: 'VIP-016', hurt: true }), [line]);
});

test('an exception that ends on a day explains nothing from that day on, and no line without a day', () => {
  const ending = {
    ...policy,
    exceptions: [{ where: 'engine', lines: /session/, ends: '2026-12-31' }],
  } as const;
  const said = (time: string) => `time="${time}" level=error msg="session failed"`;
  const lines = [said('2026-12-30T23:59:59.9Z'), said('2026-12-31T00:00:00Z'), 'level=error msg="session"'];
  assert.deepEqual(unexplained(ending, 'engine', lines, CALM), lines.slice(1));
});

test('what an engine tells of is found by the rules for that, whatever else counts', () => {
  const told = {
    ...policy,
    stalls: [{ where: 'engine', lines: /Marking \S+ as failed/ }],
    symptoms: [{ where: 'kernel', lines: /Marking/ }],
  } as const;
  const lines = ['level=info msg=a', 'msg="memberlist: Marking b7 as failed"'];
  assert.deepEqual(engineTells(told, 'stalls', lines), lines.slice(1));
  assert.deepEqual(engineTells(told, 'symptoms', lines), []);
});
