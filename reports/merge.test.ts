import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { unknownCell, type VerdictFile } from '../helpers/verdict/model.ts';
import { exampleCell, exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { mergeRuns, mergeVerdicts } from './merge.ts';
import { InlineProject } from './testing/inline-project.ts';

const root = mkdtempSync(path.join(tmpdir(), 'swarmproof-merge-'));
after(() => rmSync(root, { recursive: true }));

const run = exampleVerdict([]).run;
const part = (verdict: VerdictFile, folder = 'a') => ({ folder, verdict });
const seen = (name: string) => [{ name, contentType: 'text/plain', path: `evidence/vm/VIP-001/${name}.txt` }];

test('cells and clauses of all parts, the worst verdict of a clause that several judged', () => {
  const other = { ...exampleCell, name: 'other', kernel: '7.3.4' };
  const merged = mergeVerdicts([
    part(exampleVerdict([exampleClause({ evidence: seen('a') }), exampleClause({ id: 'VIP-002' })])),
    part(
      exampleVerdict(
        [
          exampleClause({ verdict: 'fail', evidence: seen('b') }),
          exampleClause({ cell: 'other', verdict: 'skipped' }),
        ],
        { cells: [exampleCell, other] },
      ),
    ),
  ]);
  assert.deepEqual(
    merged.clauses.map(({ cell, id, verdict }) => `${cell} ${id} ${verdict}`),
    ['vm VIP-001 fail', 'vm VIP-002 pass', 'other VIP-001 skipped'],
  );
  assert.deepEqual(
    merged.clauses[0]?.evidence.map((file) => file.path),
    ['evidence/part-1/vm/VIP-001/a.txt', 'evidence/part-2/vm/VIP-001/b.txt'],
  );
  assert.deepEqual(merged.totals, { fail: 1, inconclusive: 0, 'expected-fail': 0, skipped: 1, pass: 1 });
  assert.deepEqual(
    merged.cells.map(({ name }) => name),
    ['vm', 'other'],
  );
});

test('from the first start to the last end, with what went wrong in any part', () => {
  const times = (from: string, to: string | null) => ({
    startedAt: `2026-11-22T${from}.000Z`,
    finishedAt: to && `2026-11-22T${to}.000Z`,
  });
  const one = { ...run, id: 'r1', ...times('10:00:05', '10:03:00') };
  const two = {
    ...run,
    id: 'r2',
    ...times('10:00:00', '10:02:00'),
    exitReason: 'timed-out' as const,
    message: 'too late',
  };
  const merged = mergeVerdicts([
    part(exampleVerdict([], { run: one })),
    part(exampleVerdict([], { run: two }), 'b'),
  ]).run;
  assert.deepEqual(merged, {
    ...run,
    id: 'r1+r2',
    ...times('10:00:00', '10:03:00'),
    exitReason: 'timed-out',
    message: 'b: too late',
  });
  const killed = { ...run, finishedAt: null, exitReason: 'running' as const };
  const still = mergeVerdicts([part(exampleVerdict([])), part(exampleVerdict([], { run: killed }))]).run;
  assert.deepEqual([still.finishedAt, still.exitReason], [null, 'running']);
});

test('a cell whose lab failed in one part is known by the other', () => {
  const [cell] = mergeVerdicts([
    part(exampleVerdict([], { cells: [unknownCell('vm', 'it did not boot')] })),
    part(exampleVerdict([])),
  ]).cells;
  assert.deepEqual(cell, { ...exampleCell, error: 'it did not boot' });
});

test('parts that judged different versions under one name do not make one verdict', () => {
  const later = { ...exampleCell, kernel: '6.12.117' };
  assert.throws(
    () => mergeVerdicts([part(exampleVerdict([])), part(exampleVerdict([], { cells: [later] }), 'b')]),
    /cell "vm" is not the same in all parts: its kernel is "6\.12\.107" in a, "6\.12\.117" in b/,
  );
});

test('a part that was lost is missed, and what the parts have in common is the command', () => {
  const shard = (number: number) =>
    part(
      exampleVerdict([], {
        run: { ...run, command: `npx playwright test --shard=${number}/3 --grep @core` },
      }),
    );
  const { run: whole } = mergeVerdicts([shard(3), shard(1), shard(2)]);
  assert.deepEqual(
    [whole.exitReason, whole.message, whole.command],
    ['completed', undefined, 'npx playwright test --grep @core'],
  );
  const { run: torn } = mergeVerdicts([shard(1), shard(3)]);
  assert.equal(torn.exitReason, 'interrupted');
  assert.equal(torn.message, 'the part that ran with --shard=2/3 is not among these');
});

test('the rules of a cell are told by whichever part met them', () => {
  const rules = { path: 'rules/vm.md', document: null, changedLines: null };
  const [cell] = mergeVerdicts([
    part(exampleVerdict([])),
    part(exampleVerdict([], { cells: [{ ...exampleCell, rules }] })),
  ]).cells;
  assert.deepEqual(cell?.rules, { ...rules, path: 'rules/part-2/vm.md' });
});

test('files of all parts, and one page', async () => {
  const folders = ['one', 'two'].map((name, i) => {
    const folder = path.join(root, name);
    mkdirSync(path.join(folder, 'evidence/vm/VIP-001'), { recursive: true });
    writeFileSync(path.join(folder, 'evidence/vm/VIP-001/x.txt'), name);
    mkdirSync(path.join(folder, 'rules'));
    writeFileSync(path.join(folder, 'rules/vm.md'), name);
    const clause = exampleClause({
      id: `VIP-00${i + 1}`,
      evidence: seen('x'),
      verdict: i === 0 ? 'pass' : 'fail',
    });
    writeFileSync(path.join(folder, 'verdict.json'), JSON.stringify(exampleVerdict([clause])));
    return folder;
  });
  const out = path.join(root, 'out');
  mkdirSync(path.join(out, 'bisect'), { recursive: true });
  const letter = path.join(out, 'letter.txt');
  writeFileSync(letter, 'dear');
  await assert.rejects(mergeRuns(folders, out, new Map()), /out holds letter\.txt and no verdict\.json/);
  rmSync(letter);
  const { verdict, made } = await mergeRuns(folders, out, new Map());
  assert.ok(existsSync(path.join(out, 'bisect')), 'what is no part of a run stays');
  assert.equal(readFileSync(path.join(out, 'rules/part-2/vm.md'), 'utf8'), 'two');
  for (const { evidence } of verdict.clauses)
    for (const file of evidence) assert.ok(existsSync(path.join(out, file.path)));
  assert.equal(JSON.parse(readFileSync(path.join(out, 'verdict.json'), 'utf8')).totals.fail, 1);
  assert.match(readFileSync(path.join(out, 'junit.xml'), 'utf8'), /VIP-001[\s\S]*VIP-002/);
  assert.match(readFileSync(made.page ?? '', 'utf8'), /<html/);
  await assert.rejects(
    mergeRuns([folders[0] ?? '', path.join(root, 'empty')], out, new Map()),
    /empty does not exist: name the verdict\.json/,
  );
  const relative = path.relative('', out);
  for (const same of [out, relative])
    await assert.rejects(mergeRuns([folders[0] ?? '', same], out, new Map()), /cannot be a part of it/);
});

test('two cells, judged in two shards of the real runner, are one run again', async () => {
  const spec = (clause: string) => `
    import { test } from '@playwright/test';
    import { judgementAttachment } from '#repo/helpers/verdict/channel.ts';
    const spent = { lab: 1, swarm: 1, settling: 1, observing: 1, judging: 1 };
    test('${clause} holds', async () => {
      await test.info().attach('seen', { body: test.info().project.name, contentType: 'text/plain' });
      await test.info().attach(...judgementAttachment({ clause: '${clause}', outcome: 'pass', reason: 'conforms', spent }));
    });
  `;
  using inline = new InlineProject({
    'a.spec.ts': spec('VIP-001'),
    'b.spec.ts': spec('VIP-002'),
    'setup.ts': `
      import { tellCell } from '#repo/helpers/verdict/channel.ts';
      import { unknownCell } from '#repo/helpers/verdict/model.ts';
      export default ({ projects }) => {
        for (const { name } of projects) tellCell('out', { ...unknownCell(name), kernel: '6.12.107' });
      };
    `,
    'playwright.config.ts': `
      import { defineConfig } from '@playwright/test';
      const outDir = import.meta.dirname + '/out';
      export default defineConfig({
        outputDir: 'out/raw', workers: 1, globalSetup: './setup.ts', projects: [{ name: 'old' }, { name: 'sid on trixie' }],
        reporter: [
          ['allure-playwright', { resultsDir: outDir + '/allure-results', detail: false }],
          ['#repo/reports/reporter.ts', { outDir, catalogue: () => new Map(), allure: false }],
        ],
      });
    `,
  });
  const parts: string[] = [];
  for (const shard of ['1/2', '2/2']) {
    const { exitCode } = await inline.start([`--shard=${shard}`]);
    assert.equal(exitCode, 0);
    const part = path.join(inline.folder, `part-${parts.length + 1}`);
    renameSync(inline.outDir, part);
    parts.push(part);
  }
  const merged = path.join(inline.folder, 'merged');
  const { verdict, made } = await mergeRuns(parts, merged, new Map());
  assert.deepEqual(verdict.clauses.map(({ cell, id, verdict }) => `${cell} ${id} ${verdict}`).toSorted(), [
    'old VIP-001 pass',
    'old VIP-002 pass',
    'sid on trixie VIP-001 pass',
    'sid on trixie VIP-002 pass',
  ]);
  assert.deepEqual(
    verdict.cells.map(({ name, kernel }) => `${name} ${kernel}`),
    ['old 6.12.107', 'sid on trixie 6.12.107'],
  );
  for (const { cell, evidence } of verdict.clauses)
    assert.deepEqual(
      evidence.map((file) => readFileSync(path.join(merged, file.path), 'utf8')),
      [cell],
    );
  const results = readdirSync(path.join(merged, 'allure-results')).filter((name) =>
    name.endsWith('-result.json'),
  );
  assert.equal(results.length, 4);
  assert.ok(existsSync(made.page ?? ''));
  assert.ok(existsSync(made.allure ?? ''));
  assert.deepEqual(made.problems, []);
});
