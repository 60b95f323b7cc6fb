import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import * as dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { Inconclusive } from '../errors.ts';
import {
  type DnsRequest,
  decodeMessage,
  encodeQuery,
  endpoint,
  failed,
  type HoldRequest,
  type HttpRequest,
  type NameRequest,
  type ProbeRequest,
  parseLine,
  parseSamples,
  probeArgv,
  probeCommand,
  type UdpRequest,
} from './probe.ts';

const A = { name: 'vote', type: 'A' } as const;
const VOTE = '000001000001000000000000' + '04766f746500' + '00010001';

// --- requests --------------------------------------------------------------------------------------------------------

const ARGV: [request: ProbeRequest, words: string][] = [
  [{ kind: 'http', to: '10.0.0.5:80' }, 'http --to 10.0.0.5:80 --count 1'],
  [
    {
      kind: 'http',
      to: ['10.0.0.5:80', '[fd00::5]:80'],
      count: 200,
      path: '/hold?ms=9',
      parallel: 4,
      rounds: true,
    },
    'http --to 10.0.0.5:80 --to [fd00::5]:80 --path /hold?ms=9 --parallel 4 --count 200 --rounds',
  ],
  [
    {
      kind: 'http',
      to: '10.0.0.5:80',
      count: 6,
      timeoutMs: 900,
      intervalMs: 2000,
      rounds: false,
      source: '10.0.0.9',
      sourcePort: 40_000,
      sourceStep: 0,
    },
    'http --to 10.0.0.5:80 --count 6 --timeout-ms 900 --interval-ms 2000 --source 10.0.0.9 --source-port 40000 --source-step 0',
  ],
  [
    { kind: 'name', server: '127.0.0.11', question: A, port: 80, count: 40, path: '/x', parallel: 2 },
    `name --server 127.0.0.11 --query ${VOTE} --port 80 --path /x --parallel 2 --count 40`,
  ],
  [
    {
      kind: 'dns',
      server: '127.0.0.11:53',
      questions: [A, { ...A, recursionDesired: false }],
      count: 600,
      proto: 'tcp',
      window: 20,
      perConnection: 128,
    },
    `dns --server 127.0.0.11:53 --query ${VOTE} --query ${VOTE.replace('0100', '0000')} --proto tcp --window 20 --per-connection 128 --count 600`,
  ],
  [
    { kind: 'udp', to: '10.0.0.5:9000', payloadBytes: 0, parallel: 3 },
    'udp --to 10.0.0.5:9000 --payload-bytes 0 --parallel 3 --count 1',
  ],
  [
    { kind: 'hold', to: ['10.0.0.5:9000'], ms: 20_000, everyMs: 500, count: 3 },
    'hold --to 10.0.0.5:9000 --ms 20000 --every-ms 500 --count 3',
  ],
  [
    { kind: 'hold', to: '10.0.0.5:9000', ms: 20_000, keepaliveS: 3 },
    'hold --to 10.0.0.5:9000 --ms 20000 --keepalive-s 3 --count 1',
  ],
  [
    { kind: 'ping', to: ['10.0.0.5', '10.0.0.6'], count: 2, source: '10.0.0.9' },
    'ping --to 10.0.0.5 --to 10.0.0.6 --count 2 --source 10.0.0.9',
  ],
];
for (const [request, words] of ARGV) {
  test(`argv: ${words}`, () => assert.deepEqual(probeArgv('probe', request), ['probe', ...words.split(' ')]));
}

test('numbers that cannot be are refused', () => {
  for (const count of [-1, 1.5, Number.NaN, 1e9]) {
    assert.throws(() => probeArgv('probe', { kind: 'http', to: '10.0.0.5:80', count }), RangeError);
  }
});

test('a shell reads the words of the command line as they were meant', () => {
  const texts = fc
    .sample(fc.string({ unit: 'grapheme-ascii' }), 200)
    .concat(["it's", '$HOME `id` "x" \\', '*', '', '\n']);
  const words = (text: string): HttpRequest => ({
    kind: 'http',
    to: '10.0.0.5:80',
    path: text,
    source: text,
  });
  const script = texts.map((text) => `printf '%s\\0' ${probeCommand('a probe', words(text))}`).join('\n');
  const seen = execFileSync('sh', { input: script, encoding: 'utf8' }).split('\0');
  assert.deepEqual(
    seen.slice(0, -1),
    texts.flatMap((text) => probeArgv('a probe', words(text))),
  );
});

test('endpoints', () => {
  assert.equal(endpoint('10.0.0.5', 80), '10.0.0.5:80');
  assert.equal(endpoint('fd00::5', 65_535), '[fd00::5]:65535');
  for (const [ip, port] of [
    ['vote', 80],
    ['10.0.0.5', 0],
    ['10.0.0.5', 65_536],
    ['10.0.0.5', 1.5],
  ] as const) {
    assert.throws(() => endpoint(ip, port), RangeError);
  }
});

// --- DNS messages ----------------------------------------------------------------------------------------------------

const label = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,62}$/);
const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));

test('a query is what was asked', () => {
  const type = fc.constantFrom('A' as const, 'AAAA' as const, 'PTR' as const, 'TXT' as const, 'SRV' as const);
  const edns = fc.option(fc.integer({ min: 512, max: 65_535 }), { nil: undefined });
  fc.assert(
    fc.property(
      name.filter((text) => text.length < 254),
      type,
      fc.boolean(),
      edns,
      (text, kind, recursionDesired, ednsBytes) => {
        const message = decodeMessage(encodeQuery({ name: text, type: kind, recursionDesired, ednsBytes }));
        assert.deepEqual(message.questions, [{ name: text, type: kind }]);
        assert.deepEqual([message.id, message.flags.qr, message.flags.rd], [0, false, recursionDesired]);
        assert.equal(message.ednsBytes, ednsBytes);
        assert.deepEqual([...message.answers, ...message.authorities, ...message.additionals], []);
      },
    ),
  );
});

test('names of any legal shape, and no others', () => {
  assert.equal(encodeQuery({ name: 'vote.', type: 'A' }), VOTE);
  assert.deepEqual(decodeMessage(encodeQuery({ name: '.', type: 'NS' })).questions, [
    { name: '.', type: 'NS' },
  ]);
  const longest = [63, 63, 63, 61].map((length) => 'x'.repeat(length)).join('.');
  assert.equal(decodeMessage(encodeQuery({ name: longest, type: 'A' })).questions[0]?.name, longest);
  for (const wrong of ['x'.repeat(64), `${longest}x`, 'a..b', '.a', 'é'.repeat(32)]) {
    assert.throws(() => encodeQuery({ name: wrong, type: 'A' }), RangeError, wrong);
  }
});

const ANSWER = dnsPacket.encode({
  type: 'response',
  id: 7,
  flags: dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.TRUNCATED_RESPONSE,
  questions: [A],
  answers: [
    { type: 'CNAME', name: 'vote', ttl: 60, data: 'web' },
    { type: 'A', name: 'web', ttl: 600, data: '10.0.0.6' },
    { type: 'A', name: 'web', ttl: 600, data: '10.0.0.5' },
    { type: 'AAAA', name: 'web', ttl: 600, data: 'fd00::5' },
    { type: 'TXT', name: 'web', ttl: 600, data: ['one', 'two'] },
    { type: 'SRV', name: 'web', ttl: 600, data: { port: 80, target: 'web', priority: 1, weight: 2 } },
  ],
});

test('an answer keeps the order of its records, with TTL, flags and data', () => {
  const { answers, flags, rcode, id } = decodeMessage(ANSWER.toString('hex'));
  assert.deepEqual(
    answers.map(({ name: owner, type, ttl, data }) => `${owner} ${ttl} ${type} ${data}`),
    [
      'vote 60 CNAME web',
      'web 600 A 10.0.0.6',
      'web 600 A 10.0.0.5',
      'web 600 AAAA fd00::5',
      'web 600 TXT ["one","two"]',
      'web 600 SRV {"priority":1,"weight":2,"port":80,"target":"web"}',
    ],
  );
  assert.deepEqual(flags, { qr: true, aa: true, tc: true, rd: false, ra: false, ad: false, cd: false });
  assert.deepEqual([rcode, id], ['NOERROR', 7]);
  const refusal = dnsPacket.encode({ type: 'response', flags: 3, questions: [A] }).toString('hex');
  assert.equal(decodeMessage(refusal).rcode, 'NXDOMAIN');
});

// --- samples ---------------------------------------------------------------------------------------------------------

const HTTP: HttpRequest = { kind: 'http', to: '10.0.0.5:80', count: 2 };
const NAME: NameRequest = { kind: 'name', server: '127.0.0.11', question: A, port: 80 };
const DNS: DnsRequest = { kind: 'dns', server: '127.0.0.11', questions: [A] };
const UDP: UdpRequest = { kind: 'udp', to: '10.0.0.5:9000' };
const HOLD: HoldRequest = { kind: 'hold', to: '10.0.0.5:9000', ms: 1000 };

const STARTED = { i: 0, at: 1795384850186.756, ms: 1.272, to: '10.0.0.5:80' };
const GOT = {
  ...STARTED,
  connectMs: 0.417,
  source: '10.0.0.9:47004',
  path: '/',
  status: 200,
  container: 'vote.1',
  peer: '10.0.0.9:47004',
  local: '10.0.0.5:80',
  bytes: 104,
};
const RESOLVED = { dnsMs: 3.5, answers: ['10.0.0.5', '10.0.0.6'], first: '10.0.0.5' };

const LINES: [request: ProbeRequest, record: object][] = [
  [HTTP, GOT],
  [HTTP, { ...STARTED, path: '/', error: 'refused', phase: 'connect' }],
  [HTTP, { ...GOT, error: 'closed', phase: 'read' }],
  [HTTP, { ...STARTED, path: '/', error: 'other', phase: 'connect', detail: 'Protocol not available' }],
  [NAME, { ...GOT, ...RESOLVED }],
  [NAME, { ...STARTED, ...RESOLVED, path: '/', error: 'timeout', phase: 'connect' }],
  [NAME, { ...STARTED, dnsMs: 1.2, answers: [], error: 'rcode', rcode: 3, phase: 'dns' }],
  [UDP, { ...STARTED, source: '10.0.0.9:4', container: 'vote.1', peer: '10.0.0.9:4' }],
  [UDP, { ...STARTED, source: '10.0.0.9:4', error: 'timeout', phase: 'read' }],
  [DNS, { ...STARTED, q: 0, proto: 'udp', source: '10.0.0.9:4', error: 'timeout', phase: 'read' }],
  [HOLD, { ...STARTED, event: 'open', source: '10.0.0.9:4' }],
  [HOLD, { ...STARTED, event: 'echo', k: 3, container: 'vote.1' }],
  [HOLD, { ...STARTED, event: 'echo', k: 3, error: 'timeout', phase: 'read' }],
  [HOLD, { ...STARTED, event: 'close', source: '10.0.0.9:4' }],
  [HOLD, { ...STARTED, event: 'close', error: 'reset', phase: 'read' }],
];
for (const [request, record] of LINES) {
  const line = JSON.stringify(record);
  test(`a record of ${request.kind}: ${line.slice(line.indexOf('"to"'))}`, () => {
    const sample = parseLine(request, line);
    assert.deepEqual(sample, record);
    assert.equal(failed(sample), 'error' in record);
  });
}

test('a DNS answer lies open, with its hex', () => {
  const record = { ...STARTED, q: 0, proto: 'udp', source: '10.0.0.9:4' };
  const hex = ANSWER.toString('hex');
  const sample = parseLine(DNS, JSON.stringify({ ...record, answer: hex }));
  assert.deepEqual(sample, { ...record, ...decodeMessage(hex), hex });
  assert.ok(!failed(sample) && sample.answers[1]?.data === '10.0.0.6');

  const odd = parseLine(DNS, JSON.stringify({ ...record, answer: `${'f'.repeat(40)}` }));
  assert.deepEqual(odd, { ...record, error: 'malformed', phase: 'read', hex: 'f'.repeat(40) });
});

const WRONG: [request: ProbeRequest, line: string, why: RegExp][] = [
  [HTTP, 'sh: 1: probe: not found', /not JSON: sh: 1: probe: not found$/],
  [HTTP, '', /not JSON/],
  [HTTP, 'null', /no http record/],
  [HTTP, '[]', /no http record/],
  [HTTP, '{"i":0}', /at: .*: \{"i":0\}$/],
  [HTTP, JSON.stringify({ ...GOT, colour: 'red' }), /colour/],
  [HTTP, JSON.stringify({ ...GOT, status: '200' }), /status: /],
  [HTTP, JSON.stringify({ ...STARTED, path: '/', error: 'bored', phase: 'read' }), /error: /],
  [HTTP, JSON.stringify({ ...GOT, event: 'open' }), /event/],
  [UDP, JSON.stringify(GOT), /no udp record/],
  [NAME, JSON.stringify(GOT), /dnsMs: /],
  [DNS, JSON.stringify({ ...STARTED, q: 0, proto: 'udp', source: 'x', answer: 'abc' }), /answer: /],
  [HOLD, JSON.stringify({ ...STARTED, event: 'tea' }), /event: /],
];
for (const [request, line, why] of WRONG) {
  test(`no record of ${request.kind}, so it is quoted: ${line.slice(0, 60)}`, () => {
    assert.throws(
      () => parseLine(request, line),
      (error) => {
        assert.ok(error instanceof Inconclusive && error.reason === 'observer');
        assert.match(error.message, why);
        assert.ok(error.message.endsWith(line));
        return true;
      },
    );
  });
}

test('samples come in the order in which they started', () => {
  const text = `${JSON.stringify({ ...GOT, i: 1 })}\n${JSON.stringify(GOT)}\n`;
  assert.deepEqual(
    parseSamples(HTTP, text).map(({ i }) => i),
    [0, 1],
  );
  const events = [
    { ...STARTED, event: 'open', source: 'x', i: 1 },
    { ...STARTED, event: 'open', source: 'x', i: 0 },
    { ...STARTED, event: 'close', source: 'x', i: 1 },
    { ...STARTED, event: 'close', source: 'x', i: 0 },
  ];
  const samples = parseSamples(
    { ...HOLD, count: 2 },
    events.map((event) => JSON.stringify(event)).join('\n'),
  );
  assert.equal(samples.map(({ i, event }) => `${i} ${event}`).join(), '0 open,0 close,1 open,1 close');
});

test('missing, doubled and surplus operations are no result', () => {
  const lines = (...is: number[]) => is.map((i) => JSON.stringify({ ...GOT, i })).join('\n');
  const refused = (request: ProbeRequest, text: string, options = {}) =>
    assert.throws(() => parseSamples(request, text, options), /operations 0 to \d+ once each/);
  assert.equal(parseSamples(HTTP, lines(0, 1)).length, 2);
  refused(HTTP, '');
  refused(HTTP, lines(0));
  refused(HTTP, lines(0, 0));
  refused(HTTP, lines(0, 1, 2));
  refused({ ...HTTP, to: ['10.0.0.5:80', '10.0.0.6:80'] }, lines(0, 1));
  refused(HOLD, JSON.stringify({ ...STARTED, event: 'open', source: 'x' }));

  const stopped = { stopped: true };
  assert.equal(parseSamples(HTTP, '', stopped).length, 0);
  assert.equal(parseSamples(HTTP, lines(0), stopped).length, 1);
  refused(HTTP, lines(1), stopped);
});
