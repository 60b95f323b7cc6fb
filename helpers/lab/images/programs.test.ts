import assert from 'node:assert/strict';
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import * as dnsPacket from 'dns-packet';
import { execa } from 'execa';
import fc from 'fast-check';
import {
  failed,
  type ProbeRequest,
  parseLine,
  parseSamples,
  probeArgv,
  type SampleOf,
} from '../../observe/probe.ts';
import { until } from '../../waiting.ts';

const WORKLOAD = path.join(import.meta.dirname, 'workload.pl');
const PROBE = path.join(import.meta.dirname, 'probe.pl');
const LIMIT = { timeout: 30_000 };

// --- helpers ---------------------------------------------------------------------------------------------------------

type Event = Record<'at' | 'open', number> & Record<'container' | 'event' | 'signal' | 'action', string>;

/** Whatever a test that ran out of time left behind. */
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** A running workload; its ports are those of a container plus `base`. */
class Workload implements AsyncDisposable {
  readonly base: number;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<[code: number | null, signal: string | null]>;
  readonly #environment: NodeJS.ProcessEnv;
  #log = '';

  private constructor(base: number, env: Record<string, string>) {
    this.base = base;
    this.#environment = { PATH: process.env.PATH, CONTAINER_NAME: 'c1', ...env, PORT_BASE: String(base) };
    this.#child = spawn('perl', [WORKLOAD, 'serve'], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(this.#child);
    this.#ended = once(this.#child, 'close') as Promise<[number | null, string | null]>;
    this.#child.stdout.on('data', (chunk) => {
      this.#log += chunk;
    });
    this.#child.stderr.on('data', (chunk) => {
      this.#log += chunk;
    });
  }

  static async start(env: Record<string, string> = {}): Promise<Workload> {
    for (;;) {
      // Below the kernel's ephemeral ports, so that only another test can be in the way.
      const workload = new Workload(10_000 + Math.floor(Math.random() * 13_000), env);
      await workload.says(/\n/);
      if (!workload.#log.includes('Address already in use')) return workload;
      await workload.ended();
    }
  }

  at(port: number): string {
    return `127.0.0.1:${this.base + port}`;
  }

  url(target: string): string {
    return `http://${this.at(80)}${target}`;
  }

  get log(): Event[] {
    return this.#log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#log)) await once(this.#child.stdout, 'data');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async ended(): Promise<number | null> {
    return (await this.#ended)[0];
  }

  async health(): Promise<number | undefined> {
    const run = await execa('perl', [WORKLOAD, 'health'], {
      env: this.#environment,
      extendEnv: false,
      reject: false,
    });
    return run.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    children.delete(this.#child);
  }
}

async function probe<R extends ProbeRequest>(request: R): Promise<SampleOf<R>[]> {
  const { stdout, stderr, exitCode } = await execa('perl', probeArgv(PROBE, request), {
    reject: false,
    timeout: 25_000,
  });
  assert.deepEqual({ stderr, exitCode }, { stderr: '', exitCode: 0 });
  return parseSamples(request, stdout);
}

/** Those that did not fail, after making sure that none did. */
function succeeded<S extends object>(samples: readonly S[]): Exclude<S, { error: string }>[] {
  assert.deepEqual(samples.filter(failed), []);
  return samples as Exclude<S, { error: string }>[];
}

async function getJson(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(url)).json()) as Record<string, unknown>;
}

/** `phase error` of the first sample, or `ok`. */
async function outcome(request: ProbeRequest): Promise<string> {
  const [sample = assert.fail('no sample')] = await probe(request);
  if (!failed(sample)) return 'ok';
  return [sample.phase, sample.error, 'rcode' in sample ? sample.rcode : ''].join(' ').trim();
}

/** Sends bytes on a fresh connection and returns all that comes back until the other side ends it. */
async function raw(to: string, ...pieces: string[]): Promise<string> {
  const socket = dial(to);
  const closed = once(socket, 'close');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  // Each piece goes out by itself, and is read before the next.
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const port = Number(to.split(':')[1]);
  for (const [i, piece] of pieces.entries()) {
    const read = async () => !(await tcpEnd({ local: port, remote: socket.localPort }))?.queued || undefined;
    if (i > 0) await until('the piece before is read', read, { withinMs: 5000, everyMs: 2 });
    await promisify<string, void>(socket.write).call(socket, piece);
  }
  await closed;
  return text;
}

/** An end of TCP on this machine, see proc_net_tcp(5). */
interface TcpEnd {
  /** Bytes that nobody has read; connections that nobody has accepted, where the port listens. */
  queued: number;
  timer: string;
}

/** The first end of TCP with these ports; the other end of one that listens is at 0. */
async function tcpEnd(ports: { local?: number; remote?: number | undefined }): Promise<TcpEnd | undefined> {
  const has = (address: string | undefined, port: number | undefined) =>
    port === undefined || address?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => fs.readFile(`/proc/net/${name}`, 'utf8')));
  const rows = tables.flatMap((table) => table.split('\n')).map((row) => row.trim().split(/\s+/));
  const row = rows.find(
    ([, local, remote]) => remote && has(local, ports.local) && has(remote, ports.remote),
  );
  return row && { queued: Number.parseInt(row[4]?.split(':')[1] ?? '', 16), timer: row[5] ?? '' };
}

function dial(to: string): net.Socket {
  const [host, port] = to.split(':');
  return net.connect(Number(port), host);
}

/** A TCP server on 127.0.0.1 that treats each connection so; returns where it listens. */
async function tcpServer(treat: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    treat(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    at: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A UDP server on 127.0.0.1 that answers each datagram with those messages. */
async function udpServer(answers: (message: Buffer) => Buffer[]) {
  const socket = dgram.createSocket('udp4');
  const ports: number[] = [];
  socket.on('message', (message, from) => {
    ports.push(from.port);
    for (const answer of answers(message)) socket.send(answer, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    at: `127.0.0.1:${socket.address().port}`,
    /** Source ports of the datagrams, in order. */
    ports,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

/** A listener with a full queue, which nobody accepts from: the kernel drops every SYN. */
async function deafListener() {
  const script =
    'socket S,2,1,0; bind S,pack("S n C4 x8",2,0,127,0,0,1); listen S,0; $|=1; print((unpack "S n",getsockname S)[1],"\\n"); sleep 60';
  const child = spawn('perl', ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const [port] = await once(child.stdout, 'data');
  const at = `127.0.0.1:${Number(port)}`;
  const waiting = dial(at);
  await once(waiting, 'connect');
  return {
    at,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      waiting.destroy();
      await once(child, 'close');
    },
  };
}

/** A port of 127.0.0.1 on which nobody listens. */
async function silentPort(): Promise<string> {
  const server = await tcpServer(() => {});
  await server[Symbol.asyncDispose]();
  return server.at;
}

const distinct = (values: readonly unknown[]): number => new Set(values).size;

// --- both ------------------------------------------------------------------------------------------------------------

for (const program of [WORKLOAD, PROBE]) {
  test(`${path.basename(program)} needs nothing but perl-base`, async () => {
    const text = await fs.readFile(program, 'utf8');
    const modules = [...text.matchAll(/^\s*(?:use|require) ([\w:]+)/gm)].map(([, module]) => module);
    assert.deepEqual(new Set(modules), new Set(['strict', 'Socket']));
  });
}

const WRONG: [words: string[], sentence: RegExp][] = [
  [[], /first word is one of dns, hold, http, name, ping, udp/],
  [['tcp'], /first word is one of/],
  [['http', '--to', '127.0.0.1:80'], /http needs --count/],
  [['http', '--to', '127.0.0.1', '--count', '1'], /127\.0\.0\.1 has no port/],
  [['http', '--to', '127.0.0.1:70000', '--count', '1'], /no port that can exist/],
  [['http', '--to', '127.0.0.256:80', '--count', '1'], /127\.0\.0\.256:80 is not an address/],
  [['http', '--to', 'localhost:80', '--count', '1'], /localhost:80/],
  [['http', '--to', '[::g]:80', '--count', '1'], /not an address/],
  [['http', '--to', '127.0.0.1:80', '--count', 'many'], /--count takes a number, not many/],
  [['http', '--to', '127.0.0.1:80', '--count'], /--count needs a value/],
  [['http', '--to', '127.0.0.1:80', '--count', '1', '--window', '2'], /http does not take --window/],
  [
    ['http', '--to', '127.0.0.1:80', '--count', '1', '--path', '/a b'],
    /--path starts with \/ and holds no space/,
  ],
  [['http', '--to', '127.0.0.1:80', '--count', '9', '--source-port', '65530'], /no source port 65538/],
  [['dns', '--server', '127.0.0.1', '--count', '1', '--query', 'abc'], /DNS message in hex, not abc/],
  [
    ['dns', '--server', '127.0.0.1', '--count', '1', '--query', '00'.repeat(12), '--proto', 'tls'],
    /udp or tcp/,
  ],
  [
    ['name', '--server', '127.0.0.1', '--count', '1', '--query', '00'.repeat(12), '--port', '70000'],
    /--port is at most/,
  ],
];
for (const [words, sentence] of WRONG) {
  test(`wrong usage is one sentence: probe ${words.join(' ')}`, async () => {
    const { stdout, stderr, exitCode } = await execa('perl', [PROBE, ...words], { reject: false });
    assert.deepEqual({ stdout, exitCode }, { stdout: '', exitCode: 2 });
    assert.match(stderr, sentence);
    assert.equal(stderr.split('\n').length, 1);
  });
}

test('wrong usage of the workload', async () => {
  for (const words of [[], ['help'], ['serve', 'more']]) {
    const { stdout, stderr, exitCode } = await execa('perl', [WORKLOAD, ...words], { reject: false });
    assert.deepEqual(
      { stdout, stderr, exitCode },
      { stdout: '', stderr: 'usage: workload.pl serve|health', exitCode: 2 },
    );
  }
});

// --- the workload ----------------------------------------------------------------------------------------------------

test('a GET is answered with who answered, byte for byte as HTTP wants it', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: 'vote"1\\' });
  const answer = await raw(workload.at(80), 'GET /a?b=%22 HTTP/1.1\r\nHost: x\r\n\r\n');
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(head.replaceAll('\r\n', '').includes('\n'), false);
  assert.match(head, /^Connection: close\r$/m);
  assert.equal(Number(/^Content-Length: (\d+)\r$/m.exec(head)?.[1]), body.length);
  const { peer, ...identity } = JSON.parse(body);
  assert.match(peer, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual(identity, {
    container: 'vote"1\\',
    port: 80,
    local: workload.at(80),
    path: '/a?b=%22',
    served: 1,
  });
  assert.deepEqual(JSON.parse(/^X-Identity: (.*)$/m.exec(head)?.[1] ?? ''), JSON.parse(body));

  const second = await getJson(`http://${workload.at(8081)}/`);
  assert.equal(second.port, 8081);
  assert.equal(second.served, 2);
});

test('without a name of its own it gives the host name', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: os.hostname() });
  assert.equal(workload.log[0]?.container, os.hostname());
});

test('any path comes back as it was asked', LIMIT, async () => {
  await using workload = await Workload.start();
  const byte = fc.integer({ min: 1, max: 255 }).filter((code) => !/\s/.test(String.fromCharCode(code)));
  await fc.assert(
    fc.asyncProperty(fc.array(byte, { maxLength: 40 }), async (codes) => {
      const target = `/x/${String.fromCharCode(...codes)}`;
      const socket = dial(workload.at(80));
      socket.write(Buffer.from(`GET ${target} HTTP/1.1\r\n\r\n`, 'latin1'));
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      assert.equal(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).path, target);
    }),
    { numRuns: 100 },
  );
});

test('a held answer holds up nobody else', LIMIT, async () => {
  await using workload = await Workload.start();
  const begun = performance.now();
  let late = false;
  const held = getJson(workload.url('/hold?ms=400')).finally(() => {
    late = true;
  });
  for (let i = 0; i < 10; i++) await fetch(workload.url('/')).then((response) => response.text());
  assert.equal(late, false);
  assert.equal((await held).path, '/hold?ms=400');
  assert.ok(performance.now() - begun >= 400);
});

test('bodies of a size, failures and wrong requests', LIMIT, async () => {
  await using workload = await Workload.start();
  for (const n of [0, 1, 1_000_000]) {
    const response = await fetch(workload.url(`/bytes?n=${n}`));
    assert.equal(response.headers.get('content-length'), String(n));
    assert.equal((await response.text()).length, n);
  }
  const status = async (request: string) =>
    Number(/^HTTP\/1\.1 (\d+) /.exec(await raw(workload.at(80), request))?.[1]);
  assert.equal(await status('GET /fail HTTP/1.1\r\n\r\n'), 500);
  assert.equal(await status('GET /bytes?n=999999999 HTTP/1.1\r\n\r\n'), 400);
  assert.equal(await status('DELETE / HTTP/1.1\r\n\r\n'), 405);
  assert.equal(await status('hello\r\n\r\n'), 400);
  assert.equal(await status('x'.repeat(65_536)), 431);
  // A request may come in pieces.
  assert.match(
    await raw(workload.at(80), 'GET / HT', 'TP/1.1\r\nHo', 'st: x\r\n\r', '\n'),
    /^HTTP\/1\.1 200 /,
  );
});

test('a stream sends a line now and then, and ends', LIMIT, async () => {
  await using workload = await Workload.start();
  const begun = performance.now();
  const response = await fetch(workload.url('/stream?ms=500&every=200'));
  assert.equal(await response.text(), 'c1 0\nc1 1\nc1 2\n');
  const took = performance.now() - begun;
  assert.ok(took >= 490 && took < 2000, `${took} ms`);
});

test('a connection is kept for another request when that is asked for', LIMIT, async () => {
  await using workload = await Workload.start();
  const get = (target: string) => `GET ${target} HTTP/1.1\r\n\r\n`;
  const answer = await raw(workload.at(80), get('/1?keep=1') + get('/2?keep=1'), get('/3'));
  assert.deepEqual(
    [...answer.matchAll(/^\{.*"path":"(.*?)"/gm)].map(([, target]) => target),
    ['/1?keep=1', '/2?keep=1', '/3'],
  );
  assert.deepEqual(
    [...answer.matchAll(/^Connection: (.*)\r$/gm)].map(([, value]) => value),
    ['keep-alive', 'keep-alive', 'close'],
  );
});

test('health is switched by a request, by a file, and at the start', LIMIT, async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-test-'));
  try {
    const file = path.join(folder, 'unhealthy');
    await using workload = await Workload.start({ HEALTH: 'down', UNHEALTHY_FILE: file });
    const get = async (target: string) => {
      const response = await fetch(workload.url(target));
      await response.text();
      return response.status;
    };
    assert.equal(await workload.health(), 1);
    assert.equal(await get('/health?set=up'), 200);
    assert.deepEqual([await get('/health'), await workload.health()], [200, 0]);
    await fs.writeFile(file, '');
    assert.deepEqual([await get('/health'), await workload.health()], [503, 1]);
    await fs.rm(file);
    assert.deepEqual([await get('/health'), await workload.health()], [200, 0]);
    assert.equal(await get('/health?set=down'), 200);
    assert.deepEqual([await get('/health'), await workload.health()], [503, 1]);

    const { served } = await getJson(workload.url('/'));
    assert.equal(served, 1, 'health checks do not count');

    workload.kill('SIGKILL');
    await workload.ended();
    assert.equal(await workload.health(), 1, 'nobody answers');
  } finally {
    await fs.rm(folder, { recursive: true });
  }
});

test('a port in use is said in one sentence', LIMIT, async () => {
  await using workload = await Workload.start();
  const env = { CONTAINER_NAME: 'c2', PORT_BASE: String(workload.base) };
  const { stderr, exitCode } = await execa('perl', [WORKLOAD, 'serve'], { env, reject: false });
  assert.equal(exitCode, 1);
  assert.match(stderr, /^workload\.pl: cannot bind udp\/\d+: Address already in use$/);
});

for (const signal of ['TERM', 'INT', 'HUP', 'QUIT', 'USR1']) {
  test(`${signal} ends it at once with status 0, held connections or not`, LIMIT, async () => {
    await using workload = await Workload.start();
    const held = dial(workload.at(9000));
    held.on('error', () => {}).write('hello\n');
    assert.equal(String(await once(held, 'data')), 'c1 hello\n');
    const before = Date.now();
    workload.kill(`SIG${signal}` as NodeJS.Signals);
    assert.equal(await workload.ended(), 0);
    assert.ok(Date.now() - before < 2000);
    const [start, end] = workload.log;
    assert.equal(start?.event, 'start');
    const { at, ...rest } = end ?? assert.fail('no line about the signal');
    assert.ok(Math.abs(at - before) < 2000);
    assert.deepEqual(rest, { container: 'c1', event: 'signal', signal, action: 'exit', open: 1 });
    held.destroy();
  });
}

test('IGNORE_TERM ignores stop signals, but not INT', LIMIT, async () => {
  await using workload = await Workload.start({ IGNORE_TERM: '1', DRAIN_MS: '10' });
  workload.kill('SIGTERM');
  await workload.says(/"action":"ignore"/);
  assert.equal((await fetch(workload.url('/'))).status, 200);
  workload.kill('SIGINT');
  assert.equal(await workload.ended(), 0);
});

test('a drain takes nothing new and ends with the last open connection', LIMIT, async () => {
  await using workload = await Workload.start({ DRAIN_MS: '20000' });
  const request = getJson(workload.url('/hold?ms=600'));
  const held = dial(workload.at(9000));
  held.write('one\n');
  await once(held, 'data');
  const idle = dial(workload.at(80));
  idle.write('GET /?keep=1 HTTP/1.1\r\n\r\n');
  await once(idle, 'data');
  const idleEnd = once(idle.resume(), 'close');

  const begun = performance.now();
  workload.kill('SIGTERM');
  await workload.says(/"action":"drain"/);
  assert.equal(await outcome({ kind: 'http', to: workload.at(80) }), 'connect refused');
  await idleEnd; // it was kept for another request, which may not come any more
  assert.equal((await request).path, '/hold?ms=600');
  held.write('two\n');
  assert.equal(String(await once(held, 'data')), 'c1 two\n');
  held.end();
  assert.equal(await workload.ended(), 0);
  assert.ok(performance.now() - begun < 5000, 'ended long before its limit');
  assert.deepEqual(
    workload.log.map(({ event, action, open }) => [event, action, open]),
    [
      ['start', undefined, 0],
      ['signal', 'drain', 3],
      ['drained', undefined, 0],
    ],
  );
});

test('a drain ends at its limit', LIMIT, async () => {
  await using workload = await Workload.start({ DRAIN_MS: '400' });
  const held = dial(workload.at(9000)).on('error', () => {});
  held.write('one\n');
  await once(held, 'data');
  const begun = performance.now();
  workload.kill('SIGTERM');
  assert.equal(await workload.ended(), 0);
  const took = performance.now() - begun;
  assert.ok(took >= 390 && took < 3000, `${took} ms`);
  assert.equal(workload.log.at(-1)?.open, 1);
  held.destroy();
});

test('connections that wait to be accepted when a drain begins are served', LIMIT, async () => {
  await using workload = await Workload.start({ DRAIN_MS: '5000' });
  workload.kill('SIGSTOP');
  const waiting = getJson(workload.url('/'));
  const socket = dial(workload.at(80));
  const both = async () =>
    (await tcpEnd({ local: workload.base + 80, remote: 0 }))?.queued === 2 || undefined;
  await until('both wait to be accepted', both, { withinMs: 5000, everyMs: 2 });
  workload.kill('SIGTERM');
  workload.kill('SIGCONT');
  assert.equal((await waiting).container, 'c1');
  socket.destroy();
  assert.equal(await workload.ended(), 0);
});

// --- http ------------------------------------------------------------------------------------------------------------

test('200 sequential connections: each fresh, each answered, in order', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: 'a "quoted" name\\' });
  const samples = succeeded(await probe({ kind: 'http', to: workload.at(80), count: 200, path: '/x?y="z"' }));
  assert.equal(samples.length, 200);
  assert.ok(distinct(samples.map(({ source }) => source)) > 180, 'the kernel may choose a port again');
  samples.forEach(({ i, at, ms, connectMs, source, peer, ...rest }, index) => {
    assert.equal(i, index);
    assert.ok(Math.abs(at - Date.now()) < 30_000 && connectMs > 0 && ms >= connectMs);
    assert.equal(peer, source);
    const { bytes, ...same } = rest;
    assert.ok(bytes > 0);
    assert.deepEqual(same, {
      to: workload.at(80),
      path: '/x?y="z"',
      status: 200,
      container: 'a "quoted" name\\',
      local: workload.at(80),
    });
    assert.ok(index === 0 || at >= (samples[index - 1]?.at ?? 0));
  });
});

test('several targets: one after another, or in turn', LIMIT, async () => {
  await using workload = await Workload.start();
  const to = [workload.at(80), workload.at(8081)];
  const order = async (rounds: boolean) =>
    (await probe({ kind: 'http', to, count: 3, rounds })).map((sample) => to.indexOf(sample.to)).join('');
  assert.equal(await order(false), '000111');
  assert.equal(await order(true), '010101');
});

test('connections in parallel, and starts kept apart', LIMIT, async () => {
  await using workload = await Workload.start();
  const to = workload.at(80);
  const held = succeeded(await probe({ kind: 'http', to, count: 40, parallel: 20, path: '/hold?ms=300' }));
  assert.ok(held.every(({ ms }) => ms >= 299));
  // By the probe's own clock, so that it is the same on a busy host.
  const atOnce = held.map(({ at }) => held.filter((one) => one.at <= at && at < one.at + one.ms).length);
  assert.equal(Math.max(...atOnce), 20);

  const apart = succeeded(await probe({ kind: 'http', to, count: 5, intervalMs: 60 }));
  for (const [i, { at }] of apart.entries()) assert.ok(i === 0 || at - (apart[i - 1]?.at ?? 0) >= 59);
});

test('source ports: a row of them, or the same one again', LIMIT, async () => {
  await using workload = await Workload.start();
  const first = 24_000 + Math.floor(Math.random() * 8000);
  const ports = async (sourceStep?: number) => {
    const to = workload.at(80);
    const request = {
      kind: 'http',
      to,
      count: 4,
      source: '127.0.0.1',
      sourcePort: first,
      sourceStep,
    } as const;
    return succeeded(await probe(request)).map(({ peer }) => Number(peer?.split(':')[1]) - first);
  };
  assert.deepEqual(await ports(), [0, 1, 2, 3]);
  assert.deepEqual(await ports(0), [0, 0, 0, 0]);
});

test('IPv6 targets', LIMIT, async (t) => {
  const loopback = Object.values(os.networkInterfaces()).flat();
  if (!loopback.some((address) => address?.address === '::1')) return t.skip('no ::1 here');
  await using workload = await Workload.start();
  const to = `[::1]:${workload.base + 80}`;
  const [sample] = succeeded(await probe({ kind: 'http', to }));
  assert.match(sample?.peer ?? '', /^\[::1\]:\d+$/);
  assert.deepEqual([sample?.peer, sample?.local], [sample?.source, to]);
});

test('the size of a body, and who sent it', LIMIT, async () => {
  await using workload = await Workload.start();
  const samples = await probe({ kind: 'http', to: workload.at(80), path: '/bytes?n=3000000' });
  const [{ bytes, container } = { bytes: 0 }] = succeeded(samples);
  assert.deepEqual({ bytes, container }, { bytes: 3_000_000, container: 'c1' });
  const [stream] = succeeded(
    await probe({ kind: 'http', to: workload.at(80), path: '/stream?ms=200&every=100' }),
  );
  assert.ok(stream && stream.ms >= 199 && stream.container === 'c1');
  const [bad] = succeeded(await probe({ kind: 'http', to: workload.at(80), path: '/fail' }));
  assert.equal(bad?.status, 500, 'an answer is an answer');
});

test('each way to fail has its name and phase', LIMIT, async () => {
  await using workload = await Workload.start();
  await using deaf = await deafListener();
  await using resetting = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
  await using closing = await tcpServer((socket) => socket.once('data', () => socket.end()));
  await using halfway = await tcpServer((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour')),
  );
  await using garbled = await tcpServer((socket) => socket.end('SSH-2.0-OpenSSH_10.0\r\n'));
  const get = (to: string, more: { path?: string; timeoutMs?: number; source?: string } = {}) =>
    outcome({ kind: 'http', to, ...more });
  assert.equal(await get(await silentPort()), 'connect refused');
  assert.equal(await get(deaf.at, { timeoutMs: 300 }), 'connect timeout');
  assert.equal(await get(workload.at(80), { path: '/hold?ms=2000', timeoutMs: 300 }), 'read timeout');
  assert.equal(await get(resetting.at), 'read reset');
  assert.equal(await get(closing.at), 'read closed');
  assert.equal(await get(halfway.at), 'read closed');
  assert.equal(await get(garbled.at), 'read malformed');
  assert.equal(await get(workload.at(80), { source: '192.0.2.1' }), 'connect address');
  const [other] = await probe({ kind: 'http', to: workload.at(80), source: '::1' });
  assert.ok(other && failed(other) && other.error === 'other');
  assert.match(other.detail ?? '', /\w/);
});

test('a failed operation does not end the others', LIMIT, async () => {
  await using workload = await Workload.start();
  const to = [await silentPort(), workload.at(80)];
  const samples = await probe({ kind: 'http', to, count: 2000, rounds: true });
  assert.equal(samples.filter(failed).length, 2000);
  assert.equal(samples.length, 4000);
});

test('a server that does not close costs a moment, not a failure', LIMIT, async () => {
  await using server = await tcpServer((socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  );
  const [sample] = succeeded(await probe({ kind: 'http', to: server.at, timeoutMs: 5000 }));
  assert.ok(sample && sample.ms < 200 && sample.bytes === 2 && sample.container === undefined);
});

test('TERM lets the probe finish what is running', LIMIT, async () => {
  await using workload = await Workload.start();
  const request = {
    kind: 'http',
    to: workload.at(80),
    count: 1000,
    intervalMs: 50,
    path: '/hold?ms=20',
  } as const;
  const run = execa('perl', probeArgv(PROBE, request), { reject: false });
  await once(run.stdout, 'data');
  run.kill('SIGTERM');
  const { stdout, exitCode } = await run;
  assert.equal(exitCode, 0);
  assert.ok(succeeded(parseSamples(request, stdout, { stopped: true })).length < 900);
  assert.throws(() => parseSamples(request, stdout), /operations 0 to 999 once each/);
});

// --- udp and hold ----------------------------------------------------------------------------------------------------

test('datagrams come back with who answered', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: 'c peer=x "1"' });
  for (const payloadBytes of [0, 1, 32, 20_000]) {
    const samples = succeeded(await probe({ kind: 'udp', to: workload.at(9000), count: 20, payloadBytes }));
    assert.ok(
      samples.every(({ container, peer, source }) => container === 'c peer=x "1"' && peer === source),
    );
    assert.ok(distinct(samples.map(({ source }) => source)) > 15);
  }
});

test('datagrams that fail', LIMIT, async () => {
  await using mute = await udpServer(() => []);
  await using wrong = await udpServer(() => [Buffer.from('container=c1 peer=1.2.3.4:5 something else')]);
  const payloadBytes = 70_000;
  assert.equal(await outcome({ kind: 'udp', to: mute.at, timeoutMs: 200 }), 'read timeout');
  assert.equal(await outcome({ kind: 'udp', to: wrong.at, timeoutMs: 200 }), 'read timeout');
  assert.equal(await outcome({ kind: 'udp', to: mute.at, payloadBytes }), 'connect toobig');
  const gone = await udpServer(() => []);
  await gone[Symbol.asyncDispose]();
  assert.equal(await outcome({ kind: 'udp', to: gone.at }), 'read refused');
});

test('held connections: open, echoes, close', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: 'a "1" b' });
  const to = workload.at(9000);
  const samples = succeeded(await probe({ kind: 'hold', to, ms: 500, everyMs: 200, count: 2 }));
  const events = (connection: number) =>
    samples
      .filter(({ i }) => i === connection)
      .map((s) => (s.event === 'echo' ? `${s.k} ${s.container}` : s.event));
  const expected = ['open', '0 a "1" b', '1 a "1" b', '2 a "1" b', 'close'];
  assert.deepEqual([events(0), events(1)], [expected, expected]);
  const close = samples.find(({ event }) => event === 'close');
  assert.ok(close && close.ms >= 499 && close.ms < 2000);
});

test('a connection that opens after its time carries a line all the same', LIMIT, async () => {
  await using workload = await Workload.start();
  const samples = succeeded(await probe({ kind: 'hold', to: workload.at(9000), ms: 0 }));
  assert.deepEqual(
    samples.map(({ event }) => event),
    ['open', 'echo', 'close'],
  );
});

test('the time in which the probe itself stood still is no time-out, and is told', LIMIT, async () => {
  const asked = Promise.withResolvers<net.Socket>();
  await using server = await tcpServer(asked.resolve);
  const request = { kind: 'http', to: server.at, timeoutMs: 1000 } as const;
  const run = execa('perl', probeArgv(PROBE, request));
  const socket = await asked.promise;
  const state = async () => (await fs.readFile(`/proc/${run.pid}/stat`, 'utf8')).split(') ')[1]?.[0];
  const becomes = (what: string) =>
    until(`the probe is in state ${what}`, async () => ((await state()) === what ? true : undefined), {
      withinMs: 5000,
      everyMs: 10,
    });
  run.kill('SIGSTOP');
  await becomes('T');
  const began = performance.now();
  await until('it stood still', async () => (performance.now() - began > 1500 ? true : undefined), {
    withinMs: 5000,
    everyMs: 100,
  });
  // Its own time-out is long over, and nothing is there to be read: it has to go on waiting.
  run.kill('SIGCONT');
  await becomes('S');
  socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const [sample] = succeeded(parseSamples(request, (await run).stdout));
  assert.ok(
    sample && sample.ms > 1500 && Number(sample.lostMs) >= 1000 && Number(sample.lostMs) <= sample.ms,
  );
});

test('held connections that break', LIMIT, async () => {
  const words = (samples: SampleOf<{ kind: 'hold'; to: string; ms: number }>[]) =>
    samples.map((s) => `${s.event}${failed(s) ? ` ${s.phase} ${s.error}` : ''}`);
  await using once1 = await tcpServer((socket) => socket.once('data', () => socket.write('c1 0\n')));
  await using resetting = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const held = (to: string) =>
    probe({ kind: 'hold', to, ms: 500, everyMs: 200, timeoutMs: 1000 }).then(words);
  assert.deepEqual(await held(await silentPort()), ['close connect refused']);
  assert.deepEqual(await held(resetting.at), ['open', 'echo read reset', 'close read reset']);
  assert.deepEqual(await held(once1.at), ['open', 'echo', 'echo read timeout', 'echo read timeout', 'close']);

  await using workload = await Workload.start();
  const request = { kind: 'hold', to: workload.at(9000), ms: 20_000, everyMs: 50 } as const;
  const run = execa('perl', probeArgv(PROBE, request), { reject: false });
  await once(run.stdout, 'data');
  workload.kill('SIGKILL');
  const { stdout } = await run;
  const last = words(parseSamples(request, stdout)).at(-1);
  assert.match(last ?? '', /^close read (?:closed|reset)$/);
});

test('a held connection whose peer is silent is asked after', LIMIT, async () => {
  // What the kernel does then shows in its timer: 02 is that for keepalive, followed by when it is due, in hundredths of a second.
  await using workload = await Workload.start();
  const run = execa(
    'perl',
    probeArgv(PROBE, { kind: 'hold', to: workload.at(9000), ms: 2000, everyMs: 60_000, keepaliveS: 40 }),
  );
  await once(run.stdout, 'data');
  // Until what it sent first is acknowledged the timer is one for that.
  const timer = await until(
    'the timer of the connection is one for keepalive',
    async () => {
      const end = await tcpEnd({ remote: workload.base + 9000 });
      return end?.timer.startsWith('02') ? end.timer : undefined;
    },
    { withinMs: 1500, everyMs: 20 },
  );
  const [kind, due = ''] = timer.split(':');
  assert.equal(kind, '02');
  assert.ok(Number.parseInt(due, 16) <= 4000);
  await run;
});

const privileged = await execa('perl', ['-e', 'exit !socket my $s, 2, 3, 1'], { reject: false });
test('echo requests', { ...LIMIT, skip: privileged.exitCode !== 0 && 'raw sockets are denied' }, async () => {
  const samples = succeeded(await probe({ kind: 'ping', to: ['127.0.0.1', '127.0.0.2'], count: 2 }));
  assert.deepEqual(
    samples.map(({ to }) => to),
    ['127.0.0.1', '127.0.0.1', '127.0.0.2', '127.0.0.2'],
  );
  // Who has not asked for the right to broadcast has none (EACCES, socket(7)).
  assert.equal(await outcome({ kind: 'ping', to: '255.255.255.255' }), 'connect denied');
});
// --- dns -------------------------------------------------------------------------------------------------------------

const A = { name: 'vote', type: 'A' } as const;

function respond(query: Buffer, addresses: string[], more: Partial<dnsPacket.Packet> = {}): Buffer {
  const { id, questions = [] } = dnsPacket.decode(query);
  const answers: dnsPacket.Answer[] = addresses.map((data) => ({ type: 'A', name: 'vote', ttl: 600, data }));
  return dnsPacket.encode({ type: 'response', id, questions, answers, ...more });
}

test('DNS by UDP: a fresh port and a counted id for each query', LIMIT, async () => {
  const names: string[] = [];
  await using server = await udpServer((query) => {
    const { id = 0, questions = [] } = dnsPacket.decode(query);
    names.push(questions[0]?.name ?? '');
    // An answer to something else is no answer.
    return [
      respond(query, ['10.0.0.9'], { id: id + 1 }),
      Buffer.from('x'),
      respond(query, ['10.0.0.6', '10.0.0.5']),
    ];
  });
  const questions = [A, { name: 'tasks.vote', type: 'A' } as const];
  const samples = succeeded(await probe({ kind: 'dns', server: server.at, questions, count: 100 }));
  assert.ok(distinct(server.ports) > 180, 'ports are random, so a few may come twice');
  assert.deepEqual(names, [...Array(100).fill('vote'), ...Array(100).fill('tasks.vote')]);
  samples.forEach((sample, i) => {
    assert.deepEqual([sample.i, sample.id, sample.q, sample.rcode], [i, i, i < 100 ? 0 : 1, 'NOERROR']);
    assert.deepEqual(
      sample.answers.map(({ data, ttl }) => [data, ttl]),
      [
        ['10.0.0.6', 600],
        ['10.0.0.5', 600],
      ],
    );
  });
  const turns = await probe({ kind: 'dns', server: server.at, questions, count: 2, rounds: true, window: 4 });
  assert.deepEqual(
    turns.map(({ q }) => q),
    [0, 1, 0, 1],
  );
});

test('DNS by UDP that fails', LIMIT, async () => {
  await using mute = await udpServer(() => []);
  await using odd = await udpServer((query) => [
    Buffer.concat([query.subarray(0, 2), Buffer.alloc(20, 0xff)]),
  ]);
  const questions = [A];
  assert.equal(await outcome({ kind: 'dns', server: mute.at, questions, timeoutMs: 200 }), 'read timeout');
  assert.equal(await outcome({ kind: 'dns', server: odd.at, questions }), 'read malformed');
});

/** A DNS server on TCP that treats each query so. */
function dnsOverTcp(answer: (query: Buffer, reply: (message: Buffer) => void, socket: net.Socket) => void) {
  return tcpServer((socket) => {
    let input = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 2 && input.length >= 2 + input.readUInt16BE()) {
        const query = input.subarray(2, 2 + input.readUInt16BE());
        input = input.subarray(2 + query.length);
        answer(query, (message) => socket.write(dnsPacket.streamEncode(dnsPacket.decode(message))), socket);
      }
    });
  });
}

test(
  'DNS by TCP: pipelined up to the window, a new connection when one has had its share',
  LIMIT,
  async () => {
    const queries = new Map<net.Socket, number>();
    const outstanding = new Map<net.Socket, number>();
    let most = 0;
    await using server = await dnsOverTcp((query, reply, socket) => {
      queries.set(socket, (queries.get(socket) ?? 0) + 1);
      outstanding.set(socket, (outstanding.get(socket) ?? 0) + 1);
      most = Math.max(most, outstanding.get(socket) ?? 0);
      // Out of order: those with an odd id later.
      const { id = 0 } = dnsPacket.decode(query);
      setTimeout(
        () => {
          outstanding.set(socket, (outstanding.get(socket) ?? 0) - 1);
          reply(respond(query, [`10.0.0.${id % 250}`]));
        },
        id % 2 ? 8 : 1,
      );
    });
    const request = {
      kind: 'dns',
      server: server.at,
      questions: [A],
      count: 250,
      proto: 'tcp',
      window: 20,
    } as const;
    const samples = succeeded(await probe(request));
    for (const { i, answers } of samples) assert.equal(answers[0]?.data, `10.0.0.${i % 250}`);
    assert.deepEqual([...queries.values()], [100, 100, 50]);
    assert.ok(most > 1 && most <= 20, `${most} at once`);
    assert.equal(distinct(samples.map(({ source }) => source)), 3);
  },
);

test('DNS by TCP that fails, and goes on', LIMIT, async () => {
  let seen = 0;
  await using server = await dnsOverTcp((query, reply, socket) => {
    seen++;
    if (seen === 3) socket.end();
    else if (seen === 6)
      return; // no answer
    else reply(respond(query, ['10.0.0.5']));
  });
  const request = {
    kind: 'dns',
    server: server.at,
    questions: [A],
    count: 8,
    proto: 'tcp',
    timeoutMs: 300,
  } as const;
  const samples = await probe(request);
  assert.deepEqual(
    samples.map((sample) => (failed(sample) ? `${sample.phase} ${sample.error}` : 'ok')),
    ['ok', 'ok', 'read closed', 'ok', 'ok', 'read timeout', 'ok', 'ok'],
  );
  const refused = await probe({ ...request, server: await silentPort(), count: 3, window: 2 });
  assert.deepEqual(
    refused.map((sample) => failed(sample) && `${sample.phase} ${sample.error}`),
    Array(3).fill('connect refused'),
  );
});

test('DNS by TCP: a connection the server ends while idle is replaced', LIMIT, async () => {
  await using server = await dnsOverTcp((query, reply, socket) => {
    reply(respond(query, ['10.0.0.5']));
    socket.end();
  });
  const request = {
    kind: 'dns',
    server: server.at,
    questions: [A],
    count: 4,
    proto: 'tcp',
    intervalMs: 300,
  } as const;
  assert.equal(distinct(succeeded(await probe(request)).map(({ source }) => source)), 4);
});

// --- name ------------------------------------------------------------------------------------------------------------

test('a client that resolves anew takes the first record each time', LIMIT, async () => {
  await using one = await Workload.start({ CONTAINER_NAME: 'one' });
  let turn = 0;
  await using server = await udpServer((query) => [
    respond(query, ++turn % 2 ? ['127.0.0.1', '127.0.0.2'] : ['127.0.0.2', '127.0.0.1']),
  ]);
  const request = { kind: 'name', server: server.at, question: A, port: one.base + 80, count: 4 } as const;
  const samples = succeeded(await probe(request));
  assert.deepEqual(
    samples.map(({ first, local, container }) => [first, local, container]),
    ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2'].map((ip) => [ip, `${ip}:${one.base + 80}`, 'one']),
  );
  assert.deepEqual(samples[1]?.answers, ['127.0.0.2', '127.0.0.1']);
  assert.ok(samples.every(({ dnsMs }) => dnsMs > 0));
});

test('names that do not resolve', LIMIT, async () => {
  const resolving = async (answers: (query: Buffer) => Buffer[], timeoutMs?: number) => {
    await using server = await udpServer(answers);
    return await outcome({ kind: 'name', server: server.at, question: A, port: 80, timeoutMs });
  };
  assert.equal(await resolving(() => [], 200), 'dns timeout');
  assert.equal(await resolving((query) => [respond(query, [])]), 'dns nodata');
  assert.equal(await resolving((query) => [respond(query, [], { flags: 3 })]), 'dns rcode 3');
  assert.equal(await resolving((query) => [respond(query, ['10.0.0.5']).subarray(0, -1)]), 'dns malformed');
});

/** A DNS message written by hand: an A question, then records whose owner is written in one of three ways. */
interface Script {
  address: string[];
  owner: ('pointer' | 'labels' | 'both')[];
  alias: boolean;
  other: Buffer;
}

function written(id: number, { address, owner, alias, other }: Script): Buffer {
  const u16 = (...numbers: number[]) => Buffer.from(numbers.flatMap((n) => [n >> 8, n & 255]));
  const label = (text: string) => Buffer.from([text.length, ...Buffer.from(text)]);
  const question = Buffer.concat([label('vote'), label('app'), Buffer.from([0]), u16(1, 1)]);
  const owners = {
    pointer: u16(0xc00c), // the name of the question
    labels: Buffer.concat([label('vote'), label('app'), Buffer.from([0])]),
    both: Buffer.concat([label('vote'), u16(0xc011)]), // vote, then the question's second label
  };
  const record = (name: Buffer, type: number, data: Buffer) =>
    Buffer.concat([name, u16(type, 1, 0, 600, data.length), data]);
  const records = [
    ...(alias ? [record(owners.pointer, 5, Buffer.concat([label('web'), u16(0xc011)]))] : []),
    record(owners.labels, 16, other),
    ...address.map((ip, i) =>
      record(owners[owner[i % owner.length] ?? 'labels'], 1, Buffer.from(ip.split('.').map(Number))),
    ),
  ];
  return Buffer.concat([u16(id, 0x8180, 1, records.length, 0, 0), question, ...records]);
}

const script: fc.Arbitrary<Script> = fc.record({
  address: fc.array(fc.ipV4(), { maxLength: 6 }).map((rest) => ['127.0.0.1', ...rest]),
  owner: fc.array(fc.constantFrom('pointer' as const, 'labels' as const, 'both' as const), { minLength: 1 }),
  alias: fc.boolean(),
  other: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
});

/** One probe process resolves every message of the list, in order. */
async function resolveAll(messages: Buffer[]) {
  const refused = Number((await silentPort()).split(':')[1]);
  await using server = await udpServer((query) => {
    const id = query.readUInt16BE();
    return [Buffer.concat([query.subarray(0, 2), messages[id]?.subarray(2) ?? Buffer.alloc(10)])];
  });
  return await probe({ kind: 'name', server: server.at, question: A, port: refused, count: messages.length });
}

test('addresses are read from any answer, compressed or not', LIMIT, async () => {
  const scripts = fc.sample(script, 300);
  const samples = await resolveAll(scripts.map((one, id) => written(id, one)));
  scripts.forEach(({ address }, i) => {
    const sample = samples[i];
    assert.ok(sample && failed(sample) && sample.phase === 'connect' && sample.error === 'refused');
    assert.deepEqual(sample.answers, address);
    assert.equal(sample.first, '127.0.0.1');
  });
});

test('an answer that is cut anywhere is malformed', LIMIT, async () => {
  const whole = fc.sample(script, 100).map((one, id) => written(id, one));
  const cut = whole.map((message, i) => message.subarray(0, 12 + ((i * 37) % (message.length - 12))));
  for (const sample of await resolveAll(cut)) assert.equal(failed(sample) && sample.error, 'malformed');
});

test('no answer at all breaks the probe', LIMIT, async () => {
  const noise = fc.sample(fc.uint8Array({ minLength: 10, maxLength: 80 }), 300);
  // No more than ten answers, and 127.0.0.1 for every address: the probe must go nowhere else.
  const messages = noise.map((bytes) =>
    Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, 9]), Buffer.from(bytes)]),
  );
  for (const sample of await resolveAll(messages)) assert.ok(failed(sample) && sample.phase === 'dns');
});

test('every line of a probe is a record by itself', LIMIT, async () => {
  await using workload = await Workload.start({ CONTAINER_NAME: 'back\\slash "quote" \u00e9' });
  const request = { kind: 'http', to: workload.at(80), count: 5 } as const;
  const { stdout } = await execa('perl', probeArgv(PROBE, request));
  for (const line of stdout.split('\n')) {
    const sample = parseLine(request, line);
    assert.ok(!failed(sample));
    assert.equal(
      Buffer.from(sample.container ?? '', 'latin1').toString('utf8'),
      'back\\slash "quote" \u00e9',
    );
  }
});
