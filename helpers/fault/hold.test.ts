import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import type { Node } from '../swarm/node.ts';
import { until } from '../waiting.ts';
import { hold } from './hold.ts';

/** A node whose toolbox is this machine. */
const here = {
  name: 'here',
  toolbox: {
    async run(script: string) {
      const { stdout, exitCode } = await execa('sh', ['-c', script], { reject: false, stdin: 'ignore' });
      return { text: stdout, status: exitCode ?? -1 };
    },
    async must(script: string) {
      const { text, status } = await this.run(script);
      assert.equal(status, 0, script);
      return text;
    },
  },
} as unknown as Node;

test('a loop does damage whenever it can, counts it, and leaves nothing when it is ended', async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hold-'));
  const victim = path.join(folder, "it's there");
  try {
    // A victim that comes later, twice, and an apostrophe on the way.
    const held = await hold(here, `[ -e "${victim}" ] && rm "${victim}"`, 0.02);
    assert.equal(await held.deeds(), 0);
    for (const due of [1, 2]) {
      await fs.writeFile(victim, '');
      await until('the victim to go', async () => ((await held.deeds()) === due ? true : undefined), {
        withinMs: 10_000,
        everyMs: 20,
      });
      await assert.rejects(fs.access(victim));
    }
    await held.end();
    await fs.writeFile(victim, '');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await fs.access(victim);
    const left = (await fs.readdir('/tmp')).filter((name) => name.startsWith(`fault-${process.pid}-`));
    assert.deepEqual(left, []);
  } finally {
    await fs.rm(folder, { recursive: true });
  }
});
