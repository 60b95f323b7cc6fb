import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { SUMMARY_LINES } from './summary.ts';
import { InlineProject } from './testing/inline-project.ts';

const catalogue = `
  const sources = [{ name: 'docker/docs', ref: 'networking.md' }];
  const entry = (id, area, level) =>
    [id, { id, area, level, title: 'Promise of ' + id, statement: 'tasks.<service> as documented.', sources }];
  export const catalogue = () =>
    new Map([entry('VIP-001', 'vip', 'must'), entry('VIP-002', 'vip', 'should'), entry('DNS-001', 'dns', 'detail')]);
`;

const config = (more = '') => `
  import { defineConfig } from '@playwright/test';
  import { catalogue } from './catalogue.ts';
  const outDir = import.meta.dirname + '/out';
  export default defineConfig({
    outputDir: 'out/raw', workers: 1, projects: [{ name: 'vm' }],
    reporter: [
      ['allure-playwright', { resultsDir: outDir + '/allure-results', detail: false }],
      ['#repo/reports/reporter.ts', { outDir, catalogue, allure: process.env.PAGE === 'yes' }],
    ],
    ${more}
  });
`;

const start = `
  import { expect, test } from '@playwright/test';
  import { allureAnnotations } from '#repo/helpers/verdict/allure.ts';
  import { judgementAttachment } from '#repo/helpers/verdict/channel.ts';
  import { catalogue } from './catalogue.ts';
  const spent = { lab: 1, swarm: 10, settling: 100, observing: 1000, judging: 10000 };
  const judge = (outcome, more) => {
    const clause = test.info().title.slice(0, 7);
    return test.info().attach(...judgementAttachment({ clause, outcome, reason: 'judged', spent, ...more }));
  };
  const known = (id) => ({ annotation: allureAnnotations(catalogue().get(id)) });
`;

const cell = {
  name: 'vm',
  kernel: '6.12.107',
  engines: { m1: '26.1.5' },
  nodes: [{ name: 'm1', role: 'manager', address: '10.20.0.11' }],
  qemu: '10.0.13',
  accelerator: 'tcg',
  images: { node: { hash: 'sha256:1', packages: { 'docker.io': '26.1.5' } } },
  settings: { KERNEL: 'debian:forky' },
};

const setup = `
  import { tellCell } from '#repo/helpers/verdict/channel.ts';
  export default () => tellCell('out', { ...${JSON.stringify(cell)}, spent: { lab: 100000 } });
`;

/** A project with the reporter, a catalogue of three clauses, and these files. */
function project(files: Record<string, string>): InlineProject {
  return new InlineProject({ 'catalogue.ts': catalogue, 'playwright.config.ts': config(), ...files });
}

/** Checks that all elements are closed in order, and counts them by name. */
function elementsOf(xml: string): Record<string, number> {
  const counts: Record<string, number> = {};
  const open: string[] = [];
  for (const [, slash, name = ''] of xml.matchAll(/<(\/?)([a-z-]+)[^<>]*>/g)) {
    if (slash) {
      assert.equal(open.pop(), name);
      continue;
    }
    open.push(name);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  assert.deepEqual(open, []);
  return counts;
}

/** A data file inside a self-contained Allure page. */
function embedded(page: string, name: string) {
  const content = page.split(`d("${name}","`)[1]?.split('"')[0];
  return JSON.parse(Buffer.from(content ?? '', 'base64').toString());
}

/** The lines of the summary, with which the output ends. */
function summaryOf(stdout: string): string[] {
  const lines = stdout.trimEnd().split('\n');
  return lines.slice(lines.findLastIndex((line) => /^(NOT )?CONFORMING|^INCONCLUSIVE/.test(line)));
}

describe('the reporter under the real runner', { concurrency: 2 }, () => {
  test('what a clause measured, and where its transcript lies, is in the verdict', async () => {
    const measured = { name: 'latency-vip', value: 1.25, unit: 'ratio', samples: 15 };
    using inline = project({
      'one.spec.ts': `${start}
        import { mkdirSync, writeFileSync } from 'node:fs';
        test('VIP-001 passes', known('VIP-001'), async () => {
          mkdirSync('out/transcripts/vm', { recursive: true });
          writeFileSync('out/transcripts/vm/VIP-001.jsonl.gz', '');
          await judge('pass', { measurements: [${JSON.stringify(measured)}] });
        });
        test('VIP-002 passes', known('VIP-002'), () => judge('pass'));
      `,
    });
    mkdirSync(join(inline.outDir, 'transcripts/vm'), { recursive: true });
    writeFileSync(join(inline.outDir, 'transcripts/vm/VIP-002.jsonl.gz'), 'of the last run');
    writeFileSync(join(inline.outDir, 'verdict.json'), '{}');
    await inline.start();
    const { clauses } = inline.verdict();
    assert.deepEqual(
      clauses.map(({ measurements, transcript }) => ({ measurements, transcript })),
      [
        { measurements: [measured], transcript: 'transcripts/vm/VIP-001.jsonl.gz' },
        { measurements: [], transcript: null },
      ],
    );
  });

  test('a run with a planted defect says so, at once and in its verdict', async () => {
    using inline = project({
      'one.spec.ts': `${start} test('VIP-001 passes', known('VIP-001'), () => judge('pass'));`,
    });
    const { stdout } = await inline.start([], { SWARMPROOF_PLANTED: '{"fault":"ipvs-weight"}' });
    const said = /^A defect was planted in every Swarm of this run, by SWARMPROOF_PLANTED: .*ipvs-weight/;
    assert.match(summaryOf(stdout)[1] ?? '', said);
    assert.match(inline.verdict().run.message ?? '', said);
  });

  test('each way a test can end has its verdict, the same in all reports', async () => {
    using inline = project({
      'playwright.config.ts': config(`globalSetup: './setup.ts',`),
      'setup.ts': setup,
      'all.spec.ts': `${start}
        test('VIP-001 passes', known('VIP-001'), async () => {
          await test.info().attach('ipvs of w1', { body: 'FWM 256 rr', contentType: 'text/plain' });
          await test.info().attach('ipvs of w1', { body: 'FWM 257 rr', contentType: 'text/plain' });
          await test.info().attach('packets', { path: 'package.json' });
          await judge('pass');
        });
        test('VIP-002 fails', known('VIP-002'), async () => {
          await judge('fail', { node: 'w1', message: 'two VIPs' });
          expect(2).toBe(1);
        });
        test('DNS-001 has a broken observer', known('DNS-001'), async () => {
          await judge('inconclusive', { message: 'the shell on w1 died' });
          throw new Error('no shell');
        });
        test('VIP-004 is skipped', () => test.skip(true, 'needs-ipv6'));
        test('VIP-005 has a known defect', async () => {
          test.fail(true, 'moby 1');
          await judge('fail');
          expect(1).toBe(2);
        });
        test('VIP-006 has a mended defect', async () => {
          test.fail(true, 'moby 2');
          await judge('pass');
        });
        test('VIP-007 judges nothing', () => {});
        test('VIP-008 breaks before judging', () => { throw new TypeError('no such node'); });
        test('VIP-009 hangs', async () => {
          test.setTimeout(100);
          await new Promise(() => {});
        });
        test('VIP-010 takes its worker along', () => process.exit(3));
        test.describe.serial('in order', () => {
          test('VIP-011 breaks', () => { throw new Error('broken'); });
          test('VIP-012 depends on it', () => {});
        });
        test('names no clause', () => {});
      `,
    });
    const { exitCode, stdout } = await inline.start([], { PAGE: 'yes' });

    assert.equal(exitCode, 1);
    assert.deepEqual(inline.reasons(), {
      'VIP-001': 'pass: judged',
      'VIP-002': 'fail: judged',
      'DNS-001': 'inconclusive: judged',
      'VIP-004': 'skipped: needs-ipv6',
      'VIP-005': 'expected-fail: moby 1',
      'VIP-006': 'fail: unexpectedly-conforming',
      'VIP-007': 'inconclusive: nothing-was-judged',
      'VIP-008': 'inconclusive: set-up-broke',
      'VIP-009': 'inconclusive: timed-out',
      'VIP-010': 'inconclusive: worker-crashed',
      'VIP-011': 'inconclusive: set-up-broke',
      'VIP-012': 'inconclusive: not-run',
    });

    const { run, cells, clauses, totals, time } = inline.verdict();
    assert.equal(run.exitReason, 'completed');
    assert.deepEqual(cells, [cell]);
    assert.deepEqual(totals, { fail: 2, inconclusive: 7, 'expected-fail': 1, skipped: 1, pass: 1 });
    // Five clauses judged something; set-up had spent 100 s in the lab before.
    const { total, overhead, ...parts } = time;
    assert.deepEqual(parts, { lab: 100005, swarm: 50, settling: 500, observing: 5000, judging: 50000 });
    assert.ok(total > 0);
    assert.equal(overhead, Math.max(0, total - 5550));
    const [vip1, vip2] = clauses;
    assert.equal(vip1?.title, 'Promise of VIP-001');
    assert.deepEqual([vip2?.level, vip2?.node, vip2?.message], ['should', 'w1', 'two VIPs']);

    const files = vip1?.evidence.map(({ path }) => path);
    const folder = 'evidence/vm/VIP-001';
    assert.deepEqual(files, [
      `${folder}/ipvs-of-w1.txt`,
      `${folder}/ipvs-of-w1-2.txt`,
      `${folder}/packets.json`,
    ]);
    assert.equal(inline.read(`${folder}/ipvs-of-w1-2.txt`), 'FWM 257 rr');
    assert.ok(clauses.slice(1).every(({ evidence }) => evidence.length === 0));

    const { testcase, failure, error, skipped } = elementsOf(inline.read('junit.xml'));
    assert.deepEqual(
      { testcase, failure, error, skipped },
      { testcase: 12, failure: 2, error: 7, skipped: 2 },
    );

    const summary = summaryOf(stdout);
    assert.ok(summary.length <= SUMMARY_LINES);
    assert.ok(summary.includes('  fail          VIP-002 on w1: judged: two VIPs'));
    assert.ok(summary.includes('report   out/index.html'));
    assert.ok(summary.includes('allure   out/allure/index.html'));
    assert.ok(summary.includes('verdict  out/verdict.json'));

    // A log gets the red clauses at once, and each area when it is done.
    assert.match(stdout, /^fail {10}VIP-002 on w1 Promise of VIP-002 \(\d+\.\d s\): two VIPs$/m);
    assert.match(stdout, /^DNS done: 1 inconclusive; \d+ of 12 clauses after \d+\.\d s$/m);
    assert.ok(!/^pass /m.test(stdout), 'a log is told of what passed');

    assert.match(inline.read('index.html'), /<h1>Do not upgrade<\/h1>/);
    assert.match(inline.read('summary.md'), /\| fail \| VIP-002 Promise of VIP-002 \| should \| w1 \|/);
    assert.match(inline.read('badge.svg'), /^<svg .*2 fail, 7 inconclusive of 12/s);

    const page = inline.read('allure/index.html');
    const gate = Object.values<{ rule: string; success: boolean }[]>(
      embedded(page, 'widgets/quality-gate.json'),
    ).flat();
    assert.deepEqual(
      gate.map(({ rule, success }) => [rule, success]),
      [
        ['promises', false],
        ['details', true],
      ],
    );
    assert.ok(!/<\w+[^>]* (src|href)="(?!data:)/.test(page), 'the page loads something from elsewhere');
    const { resolutions, ...statuses } = embedded(page, 'widgets/statistic.json');
    assert.deepEqual(statuses, { total: 12, new: 12, passed: 1, failed: 3, broken: 7, skipped: 1 });
    assert.deepEqual(resolutions, { accepted: 1 });
    assert.equal(embedded(page, 'widgets/tree-filters.json').categories.length, 4);
    const { Kernel, 'Node m1': node } = embedded(page, 'widgets/variables.json');
    assert.deepEqual([Kernel, node], ['6.12.107', 'manager, 10.20.0.11, 26.1.5']);
    const areas = Object.values<{ name: string }>(embedded(page, 'widgets/default/tree.json').groupsById);
    assert.ok(areas.some(({ name }) => name === 'VIP: virtual IPs over IPVS'));
    assert.ok(!page.includes('d("widgets/tree.json"'), 'what nobody can ask for where there is one cell');
  });

  test('a run in which all conforms succeeds, even without its page, and listing leaves it alone', async () => {
    using inline = project({
      'playwright.config.ts': config(`globalTeardown: './teardown.ts',`),
      // A file where the page's folder should be: Allure cannot write.
      'teardown.ts': `import { writeFileSync } from 'node:fs'; export default () => writeFileSync('out/allure', '');`,
      'good.spec.ts': `${start}
        test('VIP-001 passes', () => judge('pass'));
        test('VIP-002 is skipped', () => test.skip(true, 'needs-ipv6'));
        test('DNS-001 has a known defect', async () => {
          test.fail(true, 'moby 1');
          await judge('fail');
          expect(1).toBe(2);
        });
      `,
      'quiet.spec.ts': `${start} test('VIP-001 judges nothing', () => {});`,
    });
    const { exitCode, stdout } = await inline.start(['good'], { PAGE: 'yes' });

    assert.equal(exitCode, 0);
    const expected = {
      'VIP-001': 'pass: judged',
      'VIP-002': 'skipped: needs-ipv6',
      'DNS-001': 'expected-fail: moby 1',
    };
    assert.deepEqual(inline.reasons(), expected);
    assert.match(stdout, /^Allure could not make its page: .*allure.*; the verdict is not affected\.$/m);
    assert.ok(!summaryOf(stdout).join('\n').includes('allure '));
    assert.ok(summaryOf(stdout).includes('report   out/index.html'));
    assert.match(inline.verdict().cells[0]?.error ?? '', /set-up recorded nothing/);

    const list = await inline.start(['good', '--list']);
    assert.match(list.stdout, /VIP-001 passes.*Total: 3 tests/s);
    assert.deepEqual(inline.reasons(), expected);

    const quiet = await inline.start(['quiet']);
    assert.equal(quiet.exitCode, 1, 'a test that passes without judging must not make a run succeed');
  });

  test('set-up that dies leaves every selected clause inconclusive, and nothing of the run before', async () => {
    using inline = project({
      'playwright.config.ts': config(`globalSetup: './setup.ts',`),
      'setup.ts': `export default () => { throw new Error('kernel 5.4 is unknown; known are 6.1 and 6.12'); }`,
      'some.spec.ts': `${start}
        test('VIP-001 passes', () => judge('pass'));
        test('VIP-002 passes', () => judge('pass'));
        test('DNS-001 is not selected', () => judge('pass'));
      `,
    });
    mkdirSync(join(inline.outDir, 'evidence', 'vm', 'VIP-001'), { recursive: true });
    writeFileSync(join(inline.outDir, 'verdict.json'), '{}');
    const { exitCode, stdout } = await inline.start(['-g', 'VIP']);

    assert.equal(exitCode, 1);
    assert.deepEqual(inline.reasons(), {
      'VIP-001': 'inconclusive: setup-failed',
      'VIP-002': 'inconclusive: setup-failed',
    });
    const { run, cells } = inline.verdict();
    assert.equal(run.exitReason, 'setup-failed');
    assert.equal(run.message, 'kernel 5.4 is unknown; known are 6.1 and 6.12');
    assert.deepEqual([cells[0]?.name, cells[0]?.kernel, cells[0]?.error], ['vm', null, run.message]);
    assert.equal(elementsOf(inline.read('junit.xml')).error, 2);
    assert.equal(summaryOf(stdout)[1], run.message);
    assert.ok(!existsSync(join(inline.outDir, 'evidence')));
  });

  test('a folder that no run made is left alone', async () => {
    using inline = project({
      'out/thesis.txt': 'years of work',
      'good.spec.ts': `${start} test('VIP-001 passes', () => judge('pass'));`,
    });
    const refused = await inline.start();
    assert.equal(refused.exitCode, 1);
    assert.match(refused.all, /out holds thesis\.txt and no verdict\.json/);
    assert.equal(inline.read('thesis.txt'), 'years of work');
    assert.ok(!existsSync(join(inline.outDir, 'verdict.json')));
  });

  test('OUT_DIR chooses the folder; without the reporter of Allure no page is made', async () => {
    using inline = new InlineProject({
      'playwright.config.ts': `export default { outputDir: process.env.OUT_DIR + '/raw', reporter: '#repo/reports/reporter.ts' };`,
      'good.spec.ts': `${start.replace("import { catalogue } from './catalogue.ts';", '')}
        test('VIP-001 passes', () => judge('pass'));
      `,
    });
    const { exitCode, stdout } = await inline.start([], { OUT_DIR: inline.outDir });
    assert.equal(exitCode, 0);
    assert.deepEqual(inline.reasons(), { 'VIP-001': 'pass: judged' });
    assert.match(summaryOf(stdout).join('\n'), /^verdict {2}out\/verdict\.json$/m);
    assert.ok(!existsSync(join(inline.outDir, 'allure')));
  });

  const stuck = `${start}
    test('VIP-001 passes', () => judge('pass'));
    test('VIP-002 hangs', async () => {
      console.log('READY');
      await new Promise(() => {});
    });
    test('DNS-001 waits', () => judge('pass'));
  `;

  test('Ctrl-C keeps what was finished and says so of the rest', async () => {
    using inline = project({ 'stuck.spec.ts': stuck });
    const { exitCode, stdout } = await inline.startAndSignal('SIGINT');

    assert.equal(exitCode, 130);
    const expected = {
      'VIP-001': 'pass: judged',
      'VIP-002': 'inconclusive: interrupted',
      'DNS-001': 'inconclusive: interrupted',
    };
    assert.deepEqual(inline.reasons(), expected);
    assert.equal(inline.verdict().run.exitReason, 'interrupted');
    assert.match(summaryOf(stdout)[0] ?? '', /^INCONCLUSIVE: 1 pass, 2 inconclusive .*interrupted/);
  });

  test('a run whose time is over says so, although a test ends after it', async () => {
    using inline = project({ 'stuck.spec.ts': stuck });
    const { exitCode, stdout } = await inline.start(['--global-timeout=10000'], { PAGE: 'yes' });

    assert.equal(exitCode, 1);
    assert.equal(inline.verdict().run.exitReason, 'timed-out');
    assert.equal(inline.reasons()['VIP-001'], 'pass: judged');
    assert.match(summaryOf(stdout)[0] ?? '', /^INCONCLUSIVE: 1 pass, 2 inconclusive .*timed-out/);
  });

  test('a killed run keeps what was finished', async () => {
    using inline = project({ 'stuck.spec.ts': stuck });
    const { signal } = await inline.startAndSignal('SIGKILL');

    assert.equal(signal, 'SIGKILL');
    const expected = {
      'VIP-001': 'pass: judged',
      'VIP-002': 'inconclusive: not-run',
      'DNS-001': 'inconclusive: not-run',
    };
    assert.deepEqual(inline.reasons(), expected);
    const { exitReason, finishedAt } = inline.verdict().run;
    assert.deepEqual({ exitReason, finishedAt }, { exitReason: 'running', finishedAt: null });
  });

  test('clauses the runner never reached say why', async () => {
    using inline = project({
      'playwright.config.ts': config(`projects: [
        { name: 'set-up', testMatch: 'lab.ts' },
        { name: 'dead', dependencies: ['set-up'], grep: /VIP-001/ },
        { name: 'alive' },
      ],`),
      'lab.ts': `${start} test('boots the lab', () => { throw new Error('the VM did not boot'); });`,
      'some.spec.ts': `${start}
        test('VIP-001 passes', () => judge('pass'));
        test('VIP-002 fails', async () => {
          await judge('fail');
          expect(1).toBe(2);
        });
        test('DNS-001 passes', () => judge('pass'));
      `,
    });
    await inline.start();
    const { clauses, run } = inline.verdict();
    const dead = clauses.find(({ cell }) => cell === 'dead');
    assert.equal(run.message, 'boots the lab: the VM did not boot');
    assert.deepEqual([dead?.verdict, dead?.reason, dead?.message], ['inconclusive', 'not-run', run.message]);

    await inline.start(['--project=alive', '-x']);
    const expected = {
      'VIP-001': 'pass: judged',
      'VIP-002': 'fail: judged',
      'DNS-001': 'inconclusive: max-failures',
    };
    assert.deepEqual(inline.reasons(), expected);
  });
});
