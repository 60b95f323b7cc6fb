import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CommandLine } from './testing/command-line.ts';

/** Nothing listens on port 9 (discard) of a machine that runs tests. */
const DEAD = '127.0.0.1:9';

/** A server on a port of its own, gone at the end of the test. */
async function listening(server: net.Server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { host: `127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
}

test('every setting is told with where it comes from', async () => {
  await using cli = await CommandLine.create();
  const { stdout } = await cli.run(['doctor'], { env: { NODES: '3m2w', LAB_MIRROR: `http://${DEAD}/` } });
  assert.match(stdout, /^ +NODES +3m2w +from environment$/m);
  assert.match(stdout, /^ +KERNEL +debian:trixie +from default$/m);
});

test('a mirror that answers is told, and the cache it would fill', async () => {
  await using cli = await CommandLine.create();
  const asked: string[] = [];
  using mirror = await listening(
    http.createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('signed');
    }),
  );
  const { stdout } = await cli.run(['doctor'], { env: { LAB_MIRROR: `http://${mirror.host}/debian/` } });
  assert.match(stdout, /^✓ the package mirror of LAB_MIRROR answers/m);
  assert.deepEqual([...new Set(asked)], ['/debian/dists/trixie/InRelease']);
  assert.match(stdout, /^✓ cache .*: empty, the first run fills it$/m);
});

test('a mirror that is down prevents the first run, and only that', async () => {
  await using cli = await CommandLine.create();
  const env = { LAB_MIRROR: `http://${DEAD}/debian` };
  const first = await cli.run(['doctor'], { env });
  assert.match(first.stdout, /^✗ the package mirror of LAB_MIRROR does not answer .*: set LAB_MIRROR/m);
  assert.equal(first.exitCode, 1);
  await cli.artifact('node', 'a');
  const later = await cli.run(['doctor'], { env });
  assert.match(later.stdout, /^! the package mirror/m);
});

test('a mirror that hangs is given up before five seconds are over', async () => {
  await using cli = await CommandLine.create();
  using mirror = await listening(net.createServer());
  const { stdout } = await cli.run(['doctor'], { env: { LAB_MIRROR: `http://${mirror.host}/` } });
  assert.match(stdout, /^✗ the package mirror of LAB_MIRROR does not answer .*no answer within/m);
});

test('a host without apt is told what would do', async () => {
  await using cli = await CommandLine.create();
  const path = await cli.pathOf(['flock', 'setpriv', 'tar', 'bash', 'find', 'du', 'true']);
  const { stdout, exitCode } = await cli.run(['doctor'], { env: { PATH: path } });
  assert.match(stdout, /^✗ not found: apt-get, apt-config, dpkg-deb: .* Debian-family host$/m);
  assert.equal(exitCode, 1);
});

test('a missing tool of an ordinary package is told with the package', async () => {
  await using cli = await CommandLine.create();
  const path = await cli.pathOf(['apt-get', 'apt-config', 'dpkg-deb', 'tar', 'bash', 'find', 'du']);
  const { stdout } = await cli.run(['doctor'], { env: { PATH: path, LAB_MIRROR: `http://${DEAD}/` } });
  assert.match(stdout, /^✗ not found: flock, setpriv: install util-linux$/m);
});

const BAD_SETTINGS: [name: string, env: NodeJS.ProcessEnv, said: RegExp][] = [
  ['a QEMU that is none', { LAB_QEMU: '/bin/true' }, /^✗ \/bin\/true is no QEMU that runs here/m],
  ['an engine nobody named', { LAB: 'docker' }, /^✗ LAB=docker needs DOCKER_HOST/m],
  [
    'an engine that is not there',
    { LAB: 'docker', DOCKER_HOST: `tcp://${DEAD}` },
    /^✗ tcp:.* does not answer/m,
  ],
];
for (const [name, env, said] of BAD_SETTINGS) {
  test(`${name} prevents a run`, async () => {
    await using cli = await CommandLine.create();
    const { stdout, exitCode } = await cli.run(['doctor'], {
      env: { LAB_MIRROR: `http://${DEAD}/`, ...env },
    });
    assert.match(stdout, said);
    assert.equal(exitCode, 1);
  });
}

test('an engine that answers is told with its kernel', async () => {
  await using cli = await CommandLine.create();
  using engine = await listening(
    http.createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ Version: '28.5.2', KernelVersion: '6.12.1' }));
    }),
  );
  const env = { LAB: 'docker', DOCKER_HOST: `tcp://${engine.host}`, LAB_MIRROR: `http://${DEAD}/` };
  const { stdout } = await cli.run(['doctor'], { env });
  assert.match(stdout, /^✓ engine 28\.5\.2 of tcp:.*, on kernel 6\.12\.1/m);
});

test('what the last trial boot showed is told, if this host was not restarted since', async () => {
  await using cli = await CommandLine.create();
  const { writeFile, utimes } = await import('node:fs/promises');
  const note = `${cli.cache}/accelerator-0123.json`;
  await writeFile(note, JSON.stringify({ accelerator: 'tcg', why: 'a trial boot failed' }));
  const env = { LAB_MIRROR: `http://${DEAD}/` };
  const told = /guests are emulated, which is slower: a trial boot failed|\/dev\/kvm is missing or not yours/;
  assert.match((await cli.run(['doctor'], { env })).stdout, told);
  await utimes(note, 0, 0);
  const untold = /whether it works is tried by booting|\/dev\/kvm is missing or not yours/;
  assert.match((await cli.run(['doctor'], { env })).stdout, untold);
});
