import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Shell } from './shell.ts';

/** A shell on a socket, as on a guest's console, whose line does something to each sending. */
async function consoleThat(spoils: (sent: string, nth: number) => string) {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-shell-'));
  const place = path.join(folder, 'hvc0');
  const server = net.createServer((socket) => {
    const shell = spawn('sh', { stdio: ['pipe', 'pipe', 'ignore'] });
    let nth = 0;
    socket.setEncoding('utf8').on('data', (sent: string) => {
      nth += 1;
      shell.stdin.write(spoils(sent, nth));
    });
    shell.stdout.pipe(socket);
    socket.on('close', () => shell.kill());
  });
  server.listen(place);
  await once(server, 'listening');
  const shell = await Shell.onConsole(place);
  return {
    shell,
    async [Symbol.asyncDispose]() {
      shell.close();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true });
    },
  };
}

const SCRIPT = `for word in one 'two words' "it's"; do echo "$word"; done; cat <<END
\${word} ü
END
exit 3`;

test('a script with quotes, a here-document and letters of several bytes runs as it is', async () => {
  await using line = await consoleThat((sent) => sent);
  assert.deepEqual(await line.shell.run(SCRIPT, 5000), { text: "one\ntwo words\nit's\nit's ü\n", status: 3 });
});

test('a script of which something was lost is not run, but sent again', async () => {
  const spoiled: string[] = [];
  await using line = await consoleThat((sent, nth) => {
    spoiled.push(sent);
    return nth === 1 ? sent.replace('two', '') : sent;
  });
  assert.equal((await line.shell.run(SCRIPT, 5000)).status, 3);
  assert.equal(spoiled.length, 2);
});

test('a line that loses something each time is told', async () => {
  await using line = await consoleThat((sent) => sent.replace('two', ''));
  await assert.rejects(line.shell.run(SCRIPT, 5000), /a script of \d+ bytes did not arrive whole, 3 times/);
});
