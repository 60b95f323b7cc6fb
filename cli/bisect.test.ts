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
 * A bisection with another runner behind it: a program that leaves a verdict on VIP-001, as JavaScript `verdictOf(kernel, nth)` says, with
 * `nth` counting the judgements of that kernel from 0.
 */
class FakeSuite implements Disposable {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'swarmproof-bisect-'));

  constructor(verdictOf: string) {
    const files = {
      'package.json': '{ "type": "module" }',
      'runner.ts': `
        import { existsSync, readdirSync, writeFileSync } from 'node:fs';
        import { exampleCell, exampleClause, exampleVerdict } from '#repo/helpers/verdict/testing/example.ts';
        const { KERNEL: kernel, OUT_DIR: folder } = process.env;
        const nth = readdirSync(folder + '/..').filter((name) => name.endsWith(kernel.replace(':', '-'))).length - 1;
        const verdictOf = ${verdictOf};
        const verdict = await verdictOf(kernel, nth);
        if (verdict === 'dead') {
          console.log('lab: the kernel does not boot');
          process.exit(1);
        }
        const clause = exampleClause({ verdict, reason: 'judged', message: verdict === 'fail' ? 'two virtual IPs' : null });
        const cells = [{ ...exampleCell, kernel: 'kernel of ' + kernel, engines: { m1: '26.1.5' } }];
        writeFileSync(folder + '/verdict.json', JSON.stringify(exampleVerdict([clause], { cells })));
      `,
      // The command with another runner behind it: nothing a user can say.
      'bisect.ts': `
        import { bisect } from '#repo/cli/bisect.ts';
        import { messageOf } from '#repo/helpers/errors.ts';
        const [kernels, confidence] = process.argv.slice(2);
        const suite = { folder: import.meta.dirname, runner: import.meta.dirname + '/runner.ts' };
        const options = { clause: 'VIP-001', kernels, confidence: Number(confidence ?? 0.95), folder: 'log' };
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

describe('bisect in processes of its own', { concurrency: 2 }, () => {
  test('the first bad kernel is found, with what ran there and where its evidence lies', async () => {
    using suite = new FakeSuite(BREAKS_FROM_FORKY);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','));
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
    const again = await suite.bisect(KERNELS.join(','));
    assert.equal(again.exitCode, 0);
    assert.match(again.all, /^FIRST BAD: debian:forky /m);
    assert.equal(suite.log().length, before, 'a finished bisection judges nothing anew');

    const other = await suite.bisect(KERNELS.join(','), '0.7');
    assert.equal(other.exitCode, 2);
    assert.match(other.all, /log\.jsonl belongs to another question \(confidence differ\)/);
  });

  test('a kernel that does not boot is neither good nor bad', async () => {
    using suite = new FakeSuite(
      `(kernel) => kernel === 'debian:trixie' ? 'dead' : (${BREAKS_FROM_FORKY})(kernel)`,
    );
    const { exitCode, all } = await suite.bisect(KERNELS.join(','));
    assert.equal(exitCode, 0, all);
    assert.match(all, /^FIRST BAD: one of debian:trixie, debian:forky; debian:trixie could not be judged$/m);
    assert.match(all, / open {4}debian:trixie .*the kernel does not boot/);
  });

  test('a defect that shows only sometimes is found, too', async () => {
    // Broken in four of five judgements.
    using suite = new FakeSuite(`(kernel, nth) => nth % 5 === 0 ? 'pass' : (${BREAKS_FROM_FORKY})(kernel)`);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','), '0.9');
    assert.equal(exitCode, 0, all);
    assert.match(all, /^FIRST BAD: debian:forky /m);
    assert.match(all, /^certainty {2}90 %: VIP-001 broke in 10 of 13 at the newest version/m);
  });

  test('nothing is found where the newest version cannot be judged: status 3, until what was in the way is gone', async () => {
    using suite = new FakeSuite(`(kernel) => existsSync('mended') ? (${BREAKS_FROM_FORKY})(kernel) : 'dead'`);
    const { exitCode, all } = await suite.bisect(KERNELS.join(','));
    assert.equal(exitCode, 3);
    assert.match(all, /^NOT FOUND: debian:sid could not be judged/m);
    fs.writeFileSync(path.join(suite.folder, 'mended'), '');
    const again = await suite.bisect(KERNELS.join(','));
    assert.equal(again.exitCode, 0, again.all);
    assert.match(again.all, /^FIRST BAD: debian:forky /m);
  });

  for (const [name, target] of [
    ['Ctrl-C, which reaches every process of the terminal', (pid: number) => -pid],
    ['a signal to the command alone', (pid: number) => pid],
  ] as const) {
    test(`${name}, ends the run, and the same command goes on where it stopped`, async () => {
      // The fourth judgement waits until it is ended.
      using suite = new FakeSuite(`async (kernel, nth) => {
        if (nth === 3 && !existsSync('waited')) {
          process.on('SIGINT', () => setTimeout(() => process.exit(130), 200));
          writeFileSync('waited', String(process.pid));
          await new Promise((resolve) => setTimeout(resolve, 60_000));
        }
        return (${BREAKS_FROM_FORKY})(kernel);
      }`);
      const waited = path.join(suite.folder, 'waited');
      const child = suite.start(KERNELS.join(','));
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

      const { exitCode, all } = await suite.bisect(KERNELS.join(','));
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
