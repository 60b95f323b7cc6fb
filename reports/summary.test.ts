import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unknownCell } from '../helpers/verdict/model.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { SUMMARY_LINES, summarise } from './summary.ts';

const places = { verdict: 'out/verdict.json', page: 'out/index.html' };

test('the summary says the outcome, the cell, what did not pass and where to read on', () => {
  const verdict = exampleVerdict([
    exampleClause({ id: 'VIP-001' }),
    exampleClause({ id: 'VIP-002', verdict: 'skipped', reason: 'needs-ipv6' }),
    exampleClause({ id: 'VIP-003', verdict: 'inconclusive', reason: 'lab', message: 'the VM\ndied' }),
    exampleClause({ id: 'VIP-004', verdict: 'fail', reason: 'two-vips', node: 'w1' }),
  ]);
  assert.deepEqual(summarise(verdict, places), [
    'NOT CONFORMING: 1 pass, 1 skipped, 1 inconclusive, 1 fail in 2 min 41 s',
    'cell vm: kernel 6.12.107, engine 26.1.5 and 28.5.2, tcg',
    '  fail          VIP-004 on w1: two-vips',
    '  inconclusive  VIP-003: lab: the VM died',
    '  skipped       VIP-002: needs-ipv6',
    'report   out/index.html',
    'verdict  out/verdict.json',
  ]);
});

test('however much went wrong, the summary fits a terminal', () => {
  const cells = Array.from({ length: 30 }, (_, index) => unknownCell(`cell-${index}`, 'did not boot'));
  const clauses = Array.from({ length: 900 }, (_, index) =>
    exampleClause({
      id: `VIP-${index}`,
      cell: `cell-${index % 30}`,
      verdict: 'fail',
      message: 'much '.repeat(100),
    }),
  );
  const verdict = exampleVerdict(clauses, { cells });
  verdict.run = { ...verdict.run, exitReason: 'setup-failed', message: 'line\n'.repeat(40) };
  const lines = summarise(verdict, places, 100);
  assert.equal(lines.length, SUMMARY_LINES);
  assert.ok(lines.every((line) => line.length <= 100 && !line.includes('\n')));
  assert.ok(lines.some((line) => line.includes('more that did not pass')));
  assert.deepEqual(lines.slice(-2), ['report   out/index.html', 'verdict  out/verdict.json']);
});

test('a run without verdicts, or with open ones, is not called conforming', () => {
  const nothing = exampleVerdict([]);
  const broken = { ...nothing, run: { ...nothing.run, exitReason: 'setup-failed' as const } };
  assert.match(summarise(broken, places)[0] ?? '', /^INCONCLUSIVE: no clause was judged/);
  assert.match(summarise(nothing, places)[0] ?? '', /^NOTHING JUDGED: no clause was selected/);
  const open = exampleClause({ verdict: 'inconclusive', reason: 'lab' });
  assert.match(summarise(exampleVerdict([open]), places)[0] ?? '', /^INCONCLUSIVE: 1 inconclusive/);
  assert.match(summarise(exampleVerdict([exampleClause({})]), places)[0] ?? '', /^CONFORMING: 1 pass/);
});

test('a cell that came up and then broke shows both', () => {
  const verdict = exampleVerdict([], { cells: [{ ...exampleCell, error: 'the VM died' }] });
  assert.equal(
    summarise(verdict, places)[1],
    'cell vm: kernel 6.12.107, engine 26.1.5 and 28.5.2, tcg; the VM died',
  );
});

test('a lab that never came up is told once', () => {
  const message = 'kernel 5.4 is unknown; known are 6.1 and 6.12';
  const clauses = Array.from({ length: 29 }, (_, index) =>
    exampleClause({ id: `VIP-0${10 + index}`, verdict: 'inconclusive', reason: 'setup-failed', message }),
  );
  const verdict = exampleVerdict(clauses, { cells: [unknownCell('vm', message)] });
  verdict.run = { ...verdict.run, exitReason: 'setup-failed', message };
  assert.deepEqual(summarise(verdict, places).slice(0, 3), [
    'INCONCLUSIVE: 29 inconclusive in 2 min 41 s [setup-failed]',
    message,
    '  inconclusive  29 clauses, VIP-010 to VIP-038: setup-failed',
  ]);
});
