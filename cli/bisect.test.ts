import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { CommandLine } from './testing/command-line.ts';

const REPOSITORY = path.dirname(import.meta.dirname);

/** Ordered versions that `KERNEL` takes, of which the third is the first bad one. */
const KERNELS = ['debian:bookworm', 'debian:trixie', 'debian:forky', 'debian:sid'];

/**
 * A project whose one clause judges by the kernel, as JavaScript `verdictOf(kernel, nth)` says, `nth` counting the judgements of that
 * kernel from 0. It is run by the real bisection, through the real runner and reporter.
 */
class FakeSuite implements Disposable {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'swarmproof-bisect-'));

  constructor(verdictOf: string) {
    fs.symlinkSync(path.join(REPOSITORY, 'node_modules'), path.join(this.folder, 'node_modules'));
    const files = {
      'package.json': '{ "type": "module" }',
      'playwright.config.ts': `
        import { writeCell } from '#repo/helpers/verdict/channel.ts';
        export default { outputDir: process.env.OUT_DIR + '/raw', workers: 1, projects: [{ name: 'vm' }], globalSetup: './setup.ts' };
      `,
      'setup.ts': `
        import { writeCell } from '#repo/helpers/verdict/channel.ts';
        import { unknownCell } from '#repo/helpers/verdict/model.ts';
        export default () => {
          if (process.env.KERNEL === process.env.DEAD) throw new Error('the kernel does not boot');
          writeCell(process.env.OUT_DIR, { ...unknownCell('vm'), kernel: 'kernel of ' + process.env.KERNEL, engines: { m1: '26.1.5' } });
        };
      `,
      'some.spec.ts': `
        import { readdirSync } from 'node:fs';
        import { expect, test } from '@playwright/test';
        import { judgementAttachment } from '#repo/helpers/verdict/channel.ts';
        const spent = { lab: 0, swarm: 0, settling: 0, observing: 1, judging: 0 };
        const verdictOf = ${verdictOf};
        test('VIP-0011 is another clause', () => { throw new Error('not asked for'); });
        test('VIP-001 judges by the kernel', async () => {
          const kernel = process.env.KERNEL;
          const nth = readdirSync(process.env.OUT_DIR + '/..').filter((name) => name.endsWith(kernel.replace(':', '-'))).length - 1;
          const outcome = await verdictOf(kernel, nth);
          const message = outcome === 'fail' ? 'two virtual IPs' : undefined;
          await test.info().attach(...judgementAttachment({ clause: 'VIP-001', outcome, reason: 'judged', message, spent }));
          if (outcome === 'fail') expect(1).toBe(2);
        });
      `,
      // The command with another suite behind it: nothing a user can say.
      'bisect.ts': `
        import { bisect } from '#repo/cli/bisect.ts';
        import { messageOf } from '#repo/helpers/errors.ts';
        const [kernels, confidence, dead] = process.argv.slice(2);
        const suite = { folder: import.meta.dirname, env: () => ({ DEAD: dead ?? '' }) };
        const options = { clause: 'VIP-001', kernels, confidence: Number(confidence), folder: 'log' };
        process.exit(await bisect(options, { suite }).catch((error) => { console.error(messageOf(error)); return 2; }));
      `,
    };
    for (const [name, content] of Object.entries(files))
      fs.writeFileSync(path.join(this.folder, name), content.replaceAll('#repo', REPOSITORY));
  }

  #command(words: string[]): [string, string[], object] {
    const { PATH, HOME } = process.env;
    return [process.execPath, ['bisect.ts', ...words], { cwd: this.folder, env: { PATH, HOME } }];
  }

  bisect(...words: string[]) {
    const [node, args, options] = this.#command(words);
    return execa(node, args, { ...options, extendEnv: false, reject: false, all: true });
  }

  /** Starts it without waiting, in a process group of its own, as a shell does. */
  start(...words: string[]): ChildProcess {
    const [node, args, options] = this.#command(words);
    return spawn(node, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  log(): { version?: string; outcome?: string }[] {
    const text = fs.readFileSync(path.join(this.folder, 'log', 'log.jsonl'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

const BREAKS_FROM_FORKY = `(kernel) => ['debian:forky', 'debian:sid'].includes(kernel) ? 'fail' : 'pass'`;

describe('bisect with the real runner', { concurrency: 2 }, () => {
  test('the first bad kernel is found, with what ran there and where its evidence lies', async () => {
    using suite = new FakeSuite(BREAKS_FROM_FORKY);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','), '0.6');
    assert.equal(exitCode, 0, all);
    assert.match(all, /^FIRST BAD: debian:forky \(kernel kernel of debian:forky, engine 26\.1\.5\)$/m);
    assert.match(all, /^last good {2}debian:trixie /m);
    assert.match(all, /^seen {7}fail: judged: two virtual IPs$/m);
    const [, evidence] = /^evidence {3}(\S+)$/m.exec(all) ?? [];
    assert.ok(fs.existsSync(path.join(suite.folder, evidence ?? '', 'verdict.json')));
    // Both boundary versions once more at the end.
    const last = suite.log().slice(-2);
    assert.deepEqual(
      last.map(({ version, outcome }) => [version, outcome]),
      [
        ['debian:trixie', 'holds'],
        ['debian:forky', 'broken'],
      ],
    );

    const before = suite.log().length;
    const again = await suite.bisect(KERNELS.join(','), '0.6');
    assert.equal(again.exitCode, 0);
    assert.match(again.all, /^FIRST BAD: debian:forky /m);
    assert.equal(suite.log().length, before, 'a finished bisection judges nothing anew');

    const other = await suite.bisect(KERNELS.join(','), '0.7');
    assert.equal(other.exitCode, 2);
    assert.match(other.all, /log\.jsonl belongs to another question \(confidence differ\)/);
  });

  test('a kernel that does not boot is neither good nor bad', async () => {
    using suite = new FakeSuite(BREAKS_FROM_FORKY);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','), '0.6', 'debian:trixie');
    assert.equal(exitCode, 0, all);
    assert.match(all, /^FIRST BAD: one of debian:trixie, debian:forky; debian:trixie could not be judged$/m);
    assert.match(all, / open {4}debian:trixie .*the kernel does not boot/);
  });

  test('nothing is found where the newest version cannot be judged: status 3', async () => {
    using suite = new FakeSuite(BREAKS_FROM_FORKY);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','), '0.6', 'debian:sid');
    assert.equal(exitCode, 3);
    assert.match(all, /^NOT FOUND: debian:sid could not be judged/m);
  });

  for (const [name, target] of [
    ['Ctrl-C, which reaches every process of the terminal', (pid: number) => -pid],
    ['a signal to the command alone', (pid: number) => pid],
  ] as const) {
    test(`${name}, ends the run, and the same command goes on where it stopped`, async () => {
      // The fourth judgement waits until it is ended.
      using suite = new FakeSuite(`async (kernel, nth) => {
        const { existsSync, writeFileSync } = await import('node:fs');
        if (nth === 3 && !existsSync('waited')) {
          writeFileSync('waited', String(process.ppid));
          await new Promise(() => {});
        }
        return (${BREAKS_FROM_FORKY})(kernel);
      }`);
      const waited = path.join(suite.folder, 'waited');
      const child = suite.start(KERNELS.join(','), '0.6');
      let said = '';
      child.stdout?.on('data', (chunk) => {
        said += chunk;
      });
      const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
      while (!fs.existsSync(waited) || fs.readFileSync(waited, 'utf8') === '')
        await new Promise((resolve) => setTimeout(resolve, 50));
      process.kill(target(child.pid as number), 'SIGINT');
      assert.equal(await exited, 130);
      assert.match(said, /Interrupted\. .*log\.jsonl holds 3 judgements: the same command goes on\./);
      assert.throws(
        () => process.kill(Number(fs.readFileSync(waited, 'utf8')), 0),
        'the runner is still there',
      );
      assert.equal(suite.log().length, 3);
      // Whoever is killed while writing leaves half a line.
      fs.appendFileSync(path.join(suite.folder, 'log', 'log.jsonl'), '{"at":"2026-');

      const { exitCode, all } = await suite.bisect(KERNELS.join(','), '0.6');
      assert.equal(exitCode, 0, all);
      assert.match(all, /going on after 3 judgements$/m);
      assert.match(all, /^FIRST BAD: debian:forky /m);
    });
  }
});

const list = KERNELS.join(',');
const WRONG_USE: [name: string, words: string[], env: NodeJS.ProcessEnv, said: RegExp][] = [
  ['neither kernels nor engines', ['--clause', 'VIP-001'], {}, /either --kernels or --engines/],
  [
    'kernels and engines',
    ['--clause', 'VIP-001', '--kernels', list, '--engines', list],
    {},
    /either --kernels or --engines/,
  ],
  ['one version', ['--clause', 'VIP-001', '--kernels', 'debian:sid'], {}, /names 1 version: .* at least two/],
  [
    'a version twice',
    ['--clause', 'VIP-001', '--kernels', `${list},debian:sid`],
    {},
    /debian:sid is named twice/,
  ],
  [
    'an unknown version',
    ['--clause', 'VIP-001', '--kernels', 'debian:potato,debian:sid'],
    {},
    /KERNEL=debian:potato/,
  ],
  ['an unknown clause', ['--clause', 'VIP-999', '--kernels', list], {}, /no clause VIP-999/],
  ['no confidence', ['--clause', 'VIP-001', '--kernels', list, '--confidence', '95'], {}, /0\.5 to below 1/],
  [
    'kernels of a foreign engine',
    ['--clause', 'VIP-001', '--kernels', list],
    { LAB: 'docker' },
    /kernel of its own/,
  ],
];
for (const [name, words, env, said] of WRONG_USE) {
  test(`one sentence and status 2 for ${name}`, async () => {
    await using cli = await CommandLine.create();
    const { stderr, exitCode } = await cli.run(['bisect', ...words, '--folder', cli.cache], { env });
    assert.equal(exitCode, 2, stderr);
    assert.match(stderr, said);
    assert.match(stderr, /^swarmproof: .*[.]$/);
    assert.deepEqual(await cli.contents(), [], 'nothing is begun');
  });
}
