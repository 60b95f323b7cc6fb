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

test('a loop does damage whenever it can, and counts it', async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hold-'));
  const victim = path.join(folder, "it's there");
  try {
    // A victim that comes later, twice, and an apostrophe on the way.
    // The process of the whole loop, which here must end with the test.
    const mayEnd = `[ -e "${folder}" ] || kill $$`;
    const held = await hold(here, `${mayEnd}; [ -e "${victim}" ] && rm "${victim}"`, 0.02);
    assert.equal(await held.deeds(), 0);
    for (const due of [1, 2]) {
      await fs.writeFile(victim, '');
      await until('the victim to go', async () => ((await held.deeds()) === due ? true : undefined), {
        withinMs: 10_000,
        everyMs: 20,
      });
      await assert.rejects(fs.access(victim));
    }
  } finally {
    await fs.rm(folder, { recursive: true });
    for (const name of await fs.readdir('/tmp'))
      if (name.startsWith(`fault-${process.pid}-`)) await fs.rm(path.join('/tmp', name), { recursive: true });
  }
});
