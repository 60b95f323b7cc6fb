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
    // Here the loop must end with the test, and take its own folder with it.
    const end = `[ -e "${folder}" ] || { rm -rf "$PWD"; kill $$; }`;
    // A victim that comes later, twice, and an apostrophe on the way.
    const held = await hold(here, `${end}; [ -e "${victim}" ] && rm "${victim}"`, 0.02);
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
    const gone = async () =>
      (await fs.readdir('/tmp')).some((name) => name.startsWith(`fault-${process.pid}-`)) ? undefined : true;
    await until('the loop to end', gone, { withinMs: 10_000, everyMs: 20 });
  }
});
