import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Inconclusive } from '../errors.ts';
import { LogReader } from './logs.ts';

/** A reader of a kernel's log and of two nodes', with a shell on a socket as on a guest's console. */
async function lab() {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-logs-'));
  const at = (name: string) => path.join(folder, name);
  const server = net.createServer((socket) => {
    const shell = spawn('sh', { stdio: ['pipe', 'pipe', 'ignore'] });
    socket.pipe(shell.stdin);
    shell.stdout.pipe(socket);
    socket.on('close', () => shell.kill());
  });
  server.listen(at('shell'));
  await once(server, 'listening');
  for (const name of ['kernel', 'm1', 'w1']) writeFileSync(at(name), '');
  const reader = new LogReader({
    kernel: at('kernel'),
    shell: at('shell'),
    engines: { m1: at('m1'), w1: at('w1') },
  });
  return {
    reader,
    at,
    says: (name: string, log: string) => appendFileSync(at(name), `${JSON.stringify({ log: `${log}\n` })}\n`),
    async [Symbol.asyncDispose]() {
      reader.close();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true });
    },
  };
}

test('each line is given once, when it is complete', async () => {
  await using of = await lab();
  appendFileSync(of.at('kernel'), '[    1.000000] one\n');
  of.says('m1', 'started');
  appendFileSync(of.at('m1'), '{"log":"cut');
  of.says('w1', 'joined');
  assert.deepEqual(await of.reader.fresh(), {
    kernel: ['[    1.000000] one'],
    engines: { m1: ['started'], w1: ['joined'] },
  });
  appendFileSync(of.at('m1'), ' off"}\n');
  assert.deepEqual(await of.reader.fresh(), { kernel: [], engines: { m1: ['cut off'], w1: [] } });
});

test('a log that cannot be read is no empty one, whichever it is', async () => {
  for (const lost of ['kernel', 'm1', 'w1']) {
    await using of = await lab();
    rmSync(of.at(lost));
    await assert.rejects(
      of.reader.fresh(),
      (error: unknown) =>
        error instanceof Inconclusive && error.reason === 'observer' && error.message.includes('could not'),
    );
  }
});
