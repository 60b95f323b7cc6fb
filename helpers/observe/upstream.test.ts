import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { type DnsMessage, decodeMessage, encodeQuery, type Question } from './probe.ts';
import {
  parseUpstreamLog,
  SILENT_NAME,
  UPSTREAM_TTL_SECONDS,
  upstreamAddress,
  upstreamName,
} from './upstream.ts';

const PROGRAM = path.join(import.meta.dirname, 'upstream.pl');
const LIMIT = { timeout: 30_000 };

let folder: string;
let port: number;
const log = () => path.join(folder, 'log');
const start = () => execa('perl', [PROGRAM, '127.0.0.1', String(port), log()]);
const running = async () => Number(await fs.readFile(`${log()}.pid`, 'utf8'));

before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'upstream-'));
  const free = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(free, 'listening');
  port = free.address().port;
  free.close();
  await start();
});

after(async () => {
  process.kill(await running());
  await fs.rm(folder, { recursive: true });
});

/** Asks all at once. */
async function ask(...questions: Question[]): Promise<(DnsMessage & { ms: number })[]> {
  return Promise.all(
    questions.map(async (question) => {
      const socket = dgram.createSocket('udp4');
      const started = performance.now();
      socket.send(Buffer.from(encodeQuery(question), 'hex'), port, '127.0.0.1');
      try {
        const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(3000) })) as [Buffer];
        return { ...decodeMessage(answer.toString('hex')), ms: performance.now() - started };
      } finally {
        socket.close();
      }
    }),
  );
}

test('a name of the zone has its own address, and the answer is authoritative', LIMIT, async () => {
  const [answer] = await ask({ name: upstreamName(773), type: 'A' });
  assert.equal(answer?.rcode, 'NOERROR');
  assert.deepEqual(answer?.answers, [
    {
      name: 'n773.upstream.test',
      type: 'A',
      class: 'IN',
      ttl: UPSTREAM_TTL_SECONDS,
      data: upstreamAddress(773),
    },
  ]);
  assert.deepEqual(
    answer?.authorities.map(({ name, ttl, data }) => ({ name, ttl, data })),
    [{ name: 'upstream.test', ttl: 23, data: 'n0.upstream.test' }],
  );
  assert.equal(upstreamAddress(773), '198.18.3.5');
  assert.ok(answer?.flags.aa && answer.flags.ra && answer.flags.rd);
});

test('another type is empty, any other name does not exist', LIMIT, async () => {
  const answers = await ask(
    { name: upstreamName(1), type: 'AAAA' },
    { name: 'vote', type: 'A' },
    { name: '2.0.0.10.in-addr.arpa', type: 'PTR' },
    { name: 'n65536.upstream.test', type: 'A' },
  );
  assert.deepEqual(
    answers.map(({ rcode, answers: records }) => [rcode, records.length]),
    [
      ['NOERROR', 0],
      ['NXDOMAIN', 0],
      ['NXDOMAIN', 0],
      ['NXDOMAIN', 0],
    ],
  );
});

test('a late answer keeps no other one waiting', LIMIT, async () => {
  const [late, later, prompt] = await ask(
    { name: upstreamName(2, { lateMs: 400 }), type: 'A' },
    { name: upstreamName(3, { lateMs: 700 }), type: 'A' },
    { name: upstreamName(4), type: 'A' },
  );
  assert.ok(late && later && prompt);
  assert.ok(prompt.ms < 400 && late.ms >= 400 && late.ms < 700 && later.ms >= 700);
  assert.equal(late.answers[0]?.data, upstreamAddress(2));
});

test('it writes down who asked for what, also where it is silent', LIMIT, async () => {
  await assert.rejects(ask({ name: SILENT_NAME, type: 'A' }));
  const asked = parseUpstreamLog(await fs.readFile(log(), 'utf8'));
  assert.ok(asked.every(({ from }) => /^127\.0\.0\.1:\d+$/.test(from)));
  assert.deepEqual(
    asked.filter(({ name }) => name === SILENT_NAME).map(({ type }) => type),
    [1],
  );
  assert.deepEqual(
    asked.filter(({ name }) => name.endsWith('.arpa')).map(({ type }) => type),
    [12],
  );
});

test('what is no query is not answered and ends nothing', LIMIT, async () => {
  const socket = dgram.createSocket('udp4');
  for (const junk of ['', '00', 'ff'.repeat(40), encodeQuery({ name: 'a.b', type: 'A' }).slice(0, 36)])
    socket.send(Buffer.from(junk, 'hex'), port, '127.0.0.1');
  const [answer] = await ask({ name: 'N5.Upstream.TEST', type: 'A' });
  socket.close();
  assert.equal(answer?.answers[0]?.data, upstreamAddress(5));
});

test('started again, it takes the place of the former one with an empty log', LIMIT, async () => {
  const former = await running();
  await start();
  assert.notEqual(await running(), former);
  await ask({ name: upstreamName(6), type: 'A' });
  assert.deepEqual(
    parseUpstreamLog(await fs.readFile(log(), 'utf8')).map(({ name }) => name),
    ['n6.upstream.test'],
  );
});

test('a line that is no query is refused', () => {
  assert.throws(() => parseUpstreamLog('{"from":"x"}\n'), /no query: \{"from"/);
});
