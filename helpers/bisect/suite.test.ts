import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { judgeBySuite, THIS_SUITE } from './suite.ts';

const REPOSITORY = path.dirname(path.dirname(import.meta.dirname));

/** A project of its own for the real runner: a set-up that knows kernels, and one clause that judges by them. */
class Project implements Disposable {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'swarmproof-suite-'));

  constructor() {
    fs.symlinkSync(path.join(REPOSITORY, 'node_modules'), path.join(this.folder, 'node_modules'));
    const files = {
      'package.json': '{ "type": "module" }',
      'playwright.config.ts': `export default { outputDir: process.env.OUT_DIR + '/raw', globalSetup: './setup.ts', projects: [{ name: 'vm' }] };`,
      'setup.ts': `
        import { tellCell } from '#repo/helpers/verdict/channel.ts';
        import { unknownCell } from '#repo/helpers/verdict/model.ts';
        export default () => {
          if (process.env.KERNEL === 'dead') throw new Error('the kernel does not boot');
          tellCell(process.env.OUT_DIR, { ...unknownCell('vm'), kernel: '6.1.' + process.env.PATCH, engines: { m1: '26.1.5' } });
        };
      `,
      'some.spec.ts': `
        import { expect, test } from '@playwright/test';
        import { judgementAttachment } from '#repo/helpers/verdict/channel.ts';
        const spent = { lab: 0, swarm: 0, settling: 0, observing: 1, judging: 0 };
        test('VIP-002 is another clause', () => { throw new Error('not asked for'); });
        test('VIP-001 judges by the kernel', async () => {
          if (process.env.KERNEL === 'stuck') {
            console.log('lab: waiting');
            await new Promise(() => {});
          }
          const outcome = process.env.KERNEL === 'bad' ? 'fail' : 'pass';
          await test.info().attach(...judgementAttachment({ clause: 'VIP-001', outcome, reason: 'judged', message: 'as seen', spent }));
          if (outcome === 'fail') expect(1).toBe(2);
        });
      `,
    };
    for (const [name, content] of Object.entries(files))
      fs.writeFileSync(path.join(this.folder, name), content.replaceAll('#repo', REPOSITORY));
  }

  judge(version: string, say: (line: string) => void = () => {}, stop = new AbortController().signal) {
    const suite = { ...THIS_SUITE, folder: this.folder, env: () => ({ PATCH: '77' }) };
    const outDir = path.join(this.folder, 'log', `001-${version}`);
    return judgeBySuite(suite, { clause: 'VIP-001', varies: 'KERNEL', version, outDir }, say, stop);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('one judgement by the real runner', { concurrency: 2 }, () => {
  const facts = { kernel: '6.1.77', engines: ['26.1.5'] };

  test('a clause that holds, and nothing but that clause', async () => {
    using project = new Project();
    assert.deepEqual(await project.judge('good'), {
      version: 'good',
      outcome: 'holds',
      why: 'pass: judged: as seen',
      ...facts,
    });
    const left = fs.readdirSync(path.join(project.folder, 'log', '001-good'));
    assert.ok(left.includes('verdict.json') && !left.includes('allure'), left.join(' '));
    assert.match(fs.readFileSync(path.join(project.folder, 'log', '001-good.txt'), 'utf8'), /^CONFORMING/m);
  });

  test('a clause that does not', async () => {
    using project = new Project();
    assert.deepEqual(await project.judge('bad'), {
      version: 'bad',
      outcome: 'broken',
      why: 'fail: judged: as seen',
      ...facts,
    });
  });

  test('a lab that does not come up leaves it open, whatever an earlier run left there', async () => {
    using project = new Project();
    fs.mkdirSync(path.join(project.folder, 'log', '001-dead'), { recursive: true });
    fs.writeFileSync(path.join(project.folder, 'log', '001-dead', 'verdict.json'), '{}');
    const seen = await project.judge('dead');
    assert.equal(seen?.outcome, 'open');
    assert.match(seen?.why ?? '', /the kernel does not boot/);
    assert.equal(seen?.kernel, null);
  });

  test('a run that is stopped ends, and judges nothing', async () => {
    using project = new Project();
    const stop = new AbortController();
    const seen = await project.judge('stuck', (line) => line === 'lab: waiting' && stop.abort(), stop.signal);
    assert.equal(seen, undefined);
    const verdict = fs.readFileSync(path.join(project.folder, 'log', '001-stuck', 'verdict.json'), 'utf8');
    assert.equal(JSON.parse(verdict).run.exitReason, 'interrupted');
  });
});
