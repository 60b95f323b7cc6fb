import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { ClauseVerdict, VerdictFile } from '../helpers/verdict/model.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { CommandLine } from './testing/command-line.ts';

const ids = Array.from({ length: 12 }, (_, index) => `VIP-${String(index + 1).padStart(3, '0')}`);

/** A run of twelve clauses that pass, but for these. */
function run(others: Record<string, Partial<ClauseVerdict>> = {}, facts: Partial<VerdictFile> = {}) {
  return exampleVerdict(
    ids.map((id) => exampleClause({ id, ...others[id] })),
    facts,
  );
}

/** Runs `diff` on two files with these contents. */
async function diff(cli: CommandLine, a: object, b: object, ...options: string[]) {
  const files = [path.join(cli.cache, 'a.json'), path.join(cli.cache, 'b.json')] as const;
  await Promise.all(
    [a, b].map((content, index) => fs.writeFile(files[index] ?? '', JSON.stringify(content))),
  );
  return cli.run(['diff', ...files, ...options]);
}

test('worse: status 1, what broke where, the facts that changed, and what to look at', async () => {
  await using cli = await CommandLine.create();
  const broken: Partial<ClauseVerdict> = {
    verdict: 'fail',
    node: 'w1',
    message: 'answers in turn: expected a strict rotation,\nsaw w2 twice',
    evidence: [
      { name: 'answers', contentType: 'application/json', path: 'evidence/vm/VIP-002/answers.json' },
    ],
  };
  const cells = [{ ...exampleCell, kernel: '6.16.3' }];
  const { stdout, exitCode } = await diff(cli, run(), run({ 'VIP-002': broken }, { cells }));
  assert.equal(exitCode, 1);
  assert.deepEqual(stdout.split('\n'), [
    'WORSE: 1 clause held in A and no longer in B, 11 as before',
    '  worse   VIP-002  must  pass → fail  on w1: answers in turn: expected a strict rotation, saw w2 twice',
    '  facts   kernel  6.12.107 → 6.16.3',
    '  time    no shift seen: ×1.00, 95 % interval 1.00 to 1.00, 11 clauses; lab pace 1.0 → 1.0, restores included',
    `  next    read ${path.join(cli.cache, 'evidence/vm/VIP-002')}/`,
    '  next    since when: npx swarmproof bisect --clause VIP-002 --kernels <6.12.107 to 6.16.3>',
  ]);
});

test('what both runs measured stands beside each other, the largest change first', async () => {
  await using cli = await CommandLine.create();
  const measured = (
    latency: number,
    deathMs: number,
    failed: number,
  ): Record<string, Partial<ClauseVerdict>> => ({
    'VIP-002': { measurements: [{ name: 'latency-vip', value: latency, unit: 'ratio', samples: 15 }] },
    'VIP-003': {
      measurements: [
        { name: 'convergence-task-death', value: deathMs, unit: 'ms', samples: 1 },
        { name: 'failed-update', value: failed, unit: 'share', samples: 600 },
      ],
    },
    'VIP-004': { measurements: [{ name: `only-in-${latency}`, value: 1, unit: 'ms', samples: 1 }] },
  });
  const { stdout, exitCode } = await diff(cli, run(measured(1.25, 800, 0)), run(measured(1.5, 2400, 0.014)));
  assert.equal(exitCode, 0, 'numbers decide nothing');
  const lines = stdout.split('\n');
  assert.deepEqual(lines.slice(lines.findIndex((line) => line.startsWith('  measure'))), [
    '  measure failed-update           0.0 % → 1.4 %            VIP-003',
    '          convergence-task-death  800.0 ms → 2.4 s  ×3.00  VIP-003',
    '          latency-vip             1.25 → 1.50       ×1.20  VIP-002',
  ]);
});

test('better only: status 0', async () => {
  await using cli = await CommandLine.create();
  const { stdout, exitCode } = await diff(cli, run({ 'VIP-003': { verdict: 'fail' } }), run());
  assert.equal(exitCode, 0);
  assert.match(
    stdout,
    /^NOT WORSE: 1 of A's failures gone, 11 as before\n {2}better {2}VIP-003 .*fail → pass$/m,
  );
});

test('what the other run knew left open: status 3, told once, and the command that judges it again', async () => {
  await using cli = await CommandLine.create();
  const dead = { verdict: 'inconclusive', reason: 'lab', message: 'the lab died' } as const;
  const cells = [{ ...exampleCell, settings: { KERNEL: 'debian:sid' } }];
  const later = run(Object.fromEntries(ids.slice(2).map((id) => [id, dead])), { cells });
  later.run.exitReason = 'interrupted';
  const { stdout, exitCode } = await diff(cli, run(), later);
  assert.equal(exitCode, 3);
  assert.match(stdout, /^CANNOT TELL: 10 left open/);
  assert.match(stdout, /^ {2}note {4}run B ended early: interrupted$/m);
  assert.match(stdout, /^ {2}open {4}VIP-003 VIP-004 VIP-005 and 7 more .* the lab died$/m);
  assert.match(
    stdout,
    /^ {2}next .* B left open: KERNEL=debian:sid npx playwright test --grep 'VIP-003\|.*VIP-012'$/m,
  );
  const earlier = await diff(cli, run({ 'VIP-002': dead }), run({ 'VIP-002': { verdict: 'fail' } }));
  assert.equal(earlier.exitCode, 3);
  assert.match(
    earlier.stdout,
    /^ {2}next .* A left open: KERNEL=debian:forky npx playwright test --grep 'VIP-002'$/m,
  );
});

test('a hundred flips fit a screen, and --json has them all', async () => {
  await using cli = await CommandLine.create();
  const many = Array.from({ length: 100 }, (_, index) => `DNS-${String(index + 1).padStart(3, '0')}`);
  const broken = (id: string) => exampleClause({ id, verdict: 'fail', message: `${id} broke` });
  const a = exampleVerdict(many.map((id) => exampleClause({ id })));
  const b = exampleVerdict(many.map(broken));
  const text = await diff(cli, a, b);
  assert.ok(text.stdout.split('\n').length <= 25, text.stdout);
  assert.match(text.stdout, /worse {3}… and 92 more \(--json\)/);
  const json = await diff(cli, a, b, '--json');
  const { schema, outcome, cells } = JSON.parse(json.stdout);
  assert.deepEqual([schema, outcome, cells[0].worse.length], ['swarmproof/diff/1', 'worse', 100]);
  assert.equal(json.exitCode, 1);
});

test('runs with nothing in common: one sentence and status 2', async () => {
  await using cli = await CommandLine.create();
  const cell = (name: string) => ({ ...exampleCell, name });
  const cells = await diff(
    cli,
    run({}, { cells: [cell('a1'), cell('a2')] }),
    run({}, { cells: [cell('b1'), cell('b2')] }),
  );
  assert.equal(cells.exitCode, 2);
  assert.match(cells.stderr, /^swarmproof: .* no cell in common: A has a1, a2, B has b1, b2\..*$/);
  const clauses = await diff(cli, run(), exampleVerdict([exampleClause({ id: 'DNS-001' })]));
  assert.equal(clauses.exitCode, 2);
  assert.match(clauses.stderr, /^swarmproof: .* no clause in common.*$/);
});

test('no file: one sentence and status 2', async () => {
  await using cli = await CommandLine.create();
  const { stderr, exitCode } = await cli.run(['diff', '/nowhere/a.json', '/nowhere/b.json']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /^swarmproof: \/nowhere\/a\.json does not exist: .*\.$/);
});
