import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { type VerdictFile, verdictSchema } from '../../helpers/verdict/model.ts';

const repository = dirname(dirname(import.meta.dirname));

/** A tiny project in a temporary folder, on which the reporter's own tests run the real Playwright. */
export class InlineProject implements Disposable {
  /** Folder of the project. */
  readonly folder = mkdtempSync(join(tmpdir(), 'swarmproof-reports-'));
  /** Folder the reporter writes to. */
  readonly outDir = join(this.folder, 'out');

  /** @param files content by path; `#repo` in it stands for the repository. */
  constructor(files: Record<string, string>) {
    symlinkSync(join(repository, 'node_modules'), join(this.folder, 'node_modules'));
    for (const [path, content] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), content.replaceAll('#repo', repository));
    }
  }

  /** Starts `playwright test` with these arguments. */
  start(args: string[] = [], env: Record<string, string> = {}) {
    const cli = join(repository, 'node_modules/@playwright/test/cli.js');
    return execa(process.execPath, [cli, 'test', ...args], {
      cwd: this.folder,
      // What these runs say is no summary of the CI job that tests us.
      env: { GITHUB_STEP_SUMMARY: '', ...env },
      reject: false,
      all: true,
    });
  }

  /** Starts the runner and sends it a signal once a spec has printed `READY`. */
  async startAndSignal(signal: NodeJS.Signals) {
    const runner = this.start();
    runner.all.on('data', (chunk) => String(chunk).includes('READY') && runner.kill(signal));
    return await runner;
  }

  /** The verdict the last run left, checked against its schema. */
  verdict(): VerdictFile {
    return verdictSchema.parse(JSON.parse(this.read('verdict.json')));
  }

  /** Verdict and reason of every clause, by id. */
  reasons(): Record<string, string> {
    return Object.fromEntries(
      this.verdict().clauses.map(({ id, verdict, reason }) => [id, `${verdict}: ${reason}`]),
    );
  }

  /** The content of a file below the output folder. */
  read(path: string): string {
    return readFileSync(join(this.outDir, path), 'utf8');
  }

  /** Removes the folder. */
  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
