import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import packet, { type Answer, type Packet } from 'dns-packet';
import { execa } from 'execa';

/*
 * The program is tried between a client and a server of our own, which answers like an engine: two.front has three addresses in an
 * order that goes round, a PTR, no AAAA, and over UDP every answer to `long` is cut.
 */

const PROGRAM = path.join(import.meta.dirname, 'programs', 'dns-tamper.pl');
const LIMIT = { timeout: 30_000 };
const ADDRESS = '127.0.0.1';
const THREE = ['10.0.1.7', '10.0.1.5', '10.0.1.6'];

let folder: string;
const udp = dgram.createSocket('udp4');
const tcp = net.createServer();
let asked = 0;

/** What the engine would say. */
function answered(query: Packet, cut: boolean): Buffer {
  const [question] = query.questions ?? [];
  const { name = '', type = 'A' } = question ?? {};
  asked += 1;
  const a = (name: string, data: string): Answer => ({ type: 'A', name, ttl: 600, data });
  let answers: Answer[] = [];
  if (type === 'A' && name === 'two') answers = THREE.map((_, i) => a(name, THREE[(i + asked) % 3] ?? ''));
  if (type === 'A' && name === 'two.front') answers = [a(name, '10.0.2.9')];
  if (type === 'A' && name === 'tasks.two') answers = [a(name, '10.0.1.5'), a(name, '10.0.1.6')];
  if (type === 'A' && name === 'changing') answers = [a(name, `10.0.3.${asked}`)];
  if (type === 'PTR') answers = [{ type: 'PTR', name, ttl: 600, data: 'two.1.abc' }];
  const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | (cut ? packet.TRUNCATED_RESPONSE : 0);
  return packet.encode({
    type: 'response',
    id: query.id ?? 0,
    flags,
    questions: query.questions ?? [],
    answers,
  });
}

before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'tamper-'));
  udp.on('message', (data, from) => {
    const query = packet.decode(data);
    udp.send(answered(query, query.questions?.[0]?.name === 'long'), from.port, from.address);
  });
  udp.bind(0, ADDRESS);
  await once(udp, 'listening');
  tcp.on('connection', (socket) => {
    let text = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text = Buffer.concat([text, data]);
      while (text.length >= 2 && text.length >= 2 + text.readUInt16BE(0)) {
        const query = packet.decode(text.subarray(2, 2 + text.readUInt16BE(0)));
        text = text.subarray(2 + text.readUInt16BE(0));
        const answer = answered(query, false);
        socket.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]));
      }
    });
  });
  tcp.listen(0, ADDRESS);
  await once(tcp, 'listening');
});

after(async () => {
  udp.close();
  tcp.close();
  await fs.rm(folder, { recursive: true });
});

/** Starts the program, in one of its ways, and gives what asks it; it ends with the test. */
async function tampering(how: string, value?: string) {
  const free = dgram.createSocket('udp4').bind(0, ADDRESS);
  await once(free, 'listening');
  const { port } = free.address();
  free.close();
  const log = path.join(folder, `${how}.log`);
  const { port: tcpPort } = tcp.address() as net.AddressInfo;
  await execa('perl', [
    PROGRAM,
    ADDRESS,
    String(port),
    String(udp.address().port),
    String(tcpPort),
    log,
    how,
    ...(value ? [value] : []),
  ]);
  const query = (name: string, type: 'A' | 'AAAA' | 'PTR') =>
    packet.encode({ type: 'query', id: 4711, flags: packet.RECURSION_DESIRED, questions: [{ type, name }] });
  return {
    async ask(name: string, type: 'A' | 'AAAA' | 'PTR' = 'A') {
      const socket = dgram.createSocket('udp4');
      try {
        socket.send(query(name, type), port, ADDRESS);
        const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(2000) })) as [Buffer];
        const decoded = packet.decode(answer);
        assert.equal(decoded.id, 4711);
        assert.deepEqual(
          decoded.questions?.map((one) => [one.name, one.type]),
          [[name, type]],
        );
        return decoded;
      } finally {
        socket.close();
      }
    },
    async askOverTcp(...names: string[]) {
      const socket = net.connect(port, ADDRESS);
      await once(socket, 'connect');
      const frames = names
        .map((name) => query(name, 'A'))
        .map((one) => Buffer.concat([Buffer.from([0, one.length]), one]));
      socket.write(Buffer.concat(frames));
      let text = Buffer.alloc(0);
      const answers: Packet[] = [];
      for await (const data of socket) {
        text = Buffer.concat([text, data as Buffer]);
        while (text.length >= 2 && text.length >= 2 + text.readUInt16BE(0)) {
          answers.push(packet.decode(text.subarray(2, 2 + text.readUInt16BE(0))));
          text = text.subarray(2 + text.readUInt16BE(0));
        }
        if (answers.length === names.length) break;
      }
      return answers;
    },
    deeds: async () => (await fs.readFile(log, 'utf8')).split('\n').filter(Boolean),
    [Symbol.asyncDispose]: async () => {
      process.kill(Number(await fs.readFile(`${log}.pid`, 'utf8')));
    },
  };
}

/** The types of dns-packet lack it. */
const codeOf = (answer: object) => (answer as { rcode?: string }).rcode;
const addresses = ({ answers = [] }: Packet) => answers.map((one) => ('data' in one ? String(one.data) : ''));

test('it shows that it is in between, and passes on what it leaves alone', LIMIT, async () => {
  await using between = await tampering('whole');
  assert.deepEqual(addresses(await between.ask('tampered.invalid')), ['192.0.2.53']);
  assert.deepEqual(addresses(await between.ask('two')).toSorted(), THREE.toSorted());
  assert.deepEqual(await between.deeds(), []);
});

test('sorted: always the same order, over TCP too', LIMIT, async () => {
  await using between = await tampering('sorted');
  for (let i = 0; i < 4; i += 1) assert.deepEqual(addresses(await between.ask('two')), THREE.toSorted());
  const [one, other] = await between.askOverTcp('two', 'tasks.two');
  assert.deepEqual(addresses(one ?? {}), THREE.toSorted());
  assert.deepEqual(addresses(other ?? {}), ['10.0.1.5', '10.0.1.6']);
  assert((await between.deeds()).length >= 2);
});

test('lost, foreign, and lives of records', LIMIT, async () => {
  await using lost = await tampering('lost');
  assert.equal(addresses(await lost.ask('two')).length, 2);
  await using foreign = await tampering('foreign', '192.0.2.9');
  assert.deepEqual(addresses(await foreign.ask('two')), ['192.0.2.9']);
  await using ttl = await tampering('ttl', '0');
  const { answers = [] } = await ttl.ask('two');
  assert.deepEqual(
    answers.map((one) => 'ttl' in one && one.ttl),
    [0, 0, 0],
  );
  for (const one of [lost, foreign, ttl]) assert.deepEqual(await one.deeds(), ['two/1']);
});

test('frozen gives the first answer again, remembered all there were', LIMIT, async () => {
  await using frozen = await tampering('frozen');
  const first = addresses(await frozen.ask('changing'));
  assert.deepEqual(addresses(await frozen.ask('changing')), first);
  await using remembered = await tampering('remembered');
  const one = addresses(await remembered.ask('changing'));
  const two = addresses(await remembered.ask('changing'));
  assert.deepEqual([two.length, two.includes(one[0] ?? '')], [2, true]);
});

test('codes and marks: no name for AAAA, and an answer that was cut does not say so', LIMIT, async () => {
  await using aaaa = await tampering('none-of-aaaa');
  assert.equal(codeOf(await aaaa.ask('two', 'AAAA')), 'NXDOMAIN');
  assert.equal(codeOf(await aaaa.ask('two')), 'NOERROR');
  await using whole = await tampering('whole');
  assert.equal((await whole.ask('long')).flag_tc, false);
  assert.deepEqual(await whole.deeds(), ['long/1']);
});

test('other questions are passed on than were asked, and nobody is told', LIMIT, async () => {
  await using first = await tampering('first-label');
  assert.equal((await first.ask('two.front')).answers?.length, 3);
  await using untasked = await tampering('untasked');
  const { answers = [] } = await untasked.ask('tasks.two');
  assert.deepEqual(
    answers.map(({ name }) => name),
    ['tasks.two', 'tasks.two', 'tasks.two'],
  );
  await using pointer = await tampering('pointer', 'nobody.front');
  assert.deepEqual(addresses(await pointer.ask('5.1.0.10.in-addr.arpa', 'PTR')), ['nobody.front']);
});

test('silent answers nothing, but the control', LIMIT, async () => {
  await using silent = await tampering('silent');
  assert.deepEqual(addresses(await silent.ask('tampered.invalid')), ['192.0.2.53']);
  await assert.rejects(silent.ask('two'), /abort/i);
  assert.deepEqual(await silent.deeds(), ['two/1']);
});
