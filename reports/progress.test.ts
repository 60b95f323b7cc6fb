import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exampleClause } from '../helpers/verdict/testing/example.ts';
import { type Plan, Progress } from './progress.ts';

/** A screen that keeps what it was given, and a clock that the test moves. */
function watched(isTTY: boolean, plan: Partial<Plan> = {}) {
  const screen = { isTTY, columns: 80, text: '', write: (text: string) => (screen.text += text) };
  const clock = { ms: 0 };
  const progress = new Progress(screen, () => clock.ms);
  const selected = ['VIP-001', 'VIP-002', 'DNS-001'].map((clause) => ({
    test: clause,
    cell: 'vm',
    clause,
    title: 'A promise',
  }));
  const times: Record<string, number> = { 'VIP-001': 10_000, 'VIP-002': 20_000 };
  progress.begin({
    selected,
    areaOf: (clause) => clause.slice(0, 3).toLowerCase(),
    expected: ({ id }) => times[id],
    workers: 1,
    ...plan,
  });
  const [vip1, vip2, dns1] = selected as [(typeof selected)[0], (typeof selected)[0], (typeof selected)[0]];
  return { screen, clock, progress, vip1, vip2, dns1 };
}

describe('on a terminal', () => {
  test('the last line says area, clause, elapsed and expected time, and is taken back in the end', () => {
    const { screen, clock, progress, vip1, vip2 } = watched(true);
    progress.started(vip1);
    clock.ms = 4000;
    // 6 s of VIP-001 are left, 20 of VIP-002, and DNS-001 is taken for one like the slower half.
    assert.equal(progress.status(), '0 of 3 | 4.0 s, about 46.0 s left | VIP VIP-001 4.0 s');
    progress.judged(
      vip1,
      exampleClause({ id: 'VIP-001', verdict: 'fail', node: 'w1', message: 'two VIPs\nmore' }),
    );
    progress.started(vip2);
    assert.equal(progress.status(), '1 of 3, 1 fail | 4.0 s, about 40.0 s left | VIP VIP-002 0.0 s');
    progress.end();
    assert.match(screen.text, /fail.*VIP-001 on w1 A promise \(1\.5 s\): two VIPs\n/);
    assert.ok(screen.text.endsWith('\r\u001B[2K'), 'the last line is left on the screen');
  });

  test('several labs share the rest, but none is quicker than its longest clause', () => {
    const { progress } = watched(true, { workers: 4 });
    assert.match(progress.status(), /about 20\.0 s left/);
    progress.end();
  });

  test('where no clause was judged before, no end is foretold', () => {
    const { progress } = watched(true, { expected: () => undefined });
    assert.equal(progress.status(), '0 of 3 | 0.0 s');
    progress.end();
  });

  test('a lab that died is told twice, not once for each clause that it takes along', () => {
    const { screen, progress, vip1 } = watched(false);
    const lost = { verdict: 'inconclusive', reason: 'lab', message: 'the lab died' } as const;
    for (const id of ['VIP-001', 'VIP-002', 'VIP-003', 'VIP-004'])
      progress.judged(vip1, exampleClause({ id, ...lost }));
    progress.judged(vip1, exampleClause({ id: 'VIP-005', ...lost, message: 'another did' }));
    assert.deepEqual(
      screen.text.match(/VIP-\d+(?= A)|^….*$/gm),
      ['VIP-001', 'VIP-002', '… and others, for the same reason', 'VIP-005'],
      screen.text,
    );
  });

  test('what others write stands on lines of its own', () => {
    const { screen, progress } = watched(true);
    screen.text = '';
    progress.write('from a spec\n');
    assert.ok(screen.text.startsWith('\r\u001B[2Kfrom a spec\n0 of 3'), JSON.stringify(screen.text));
    progress.end();
  });
});

test('a log is told of what is red at once, of areas when they are done, and of nothing else', () => {
  const { screen, clock, progress, vip1, vip2, dns1 } = watched(false);
  progress.started(vip1);
  progress.judged(vip1, exampleClause({ id: 'VIP-001' }));
  assert.equal(screen.text, '');
  clock.ms = 65_000;
  progress.judged(
    vip2,
    exampleClause({ id: 'VIP-002', verdict: 'inconclusive', reason: 'lab', message: 'the lab died' }),
  );
  progress.judged(dns1, exampleClause({ id: 'DNS-001', verdict: 'expected-fail', reason: 'moby 1' }));
  progress.end();
  assert.deepEqual(screen.text.split('\n'), [
    'inconclusive  VIP-002 A promise (1.5 s): the lab died',
    'VIP done: 1 pass, 1 inconclusive; 2 of 3 clauses after 1 min 5 s',
    'DNS done: 1 expected-fail; 3 of 3 clauses after 1 min 5 s',
    '',
  ]);
});
