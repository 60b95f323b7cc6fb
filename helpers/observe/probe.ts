/**
 * The measuring client `helpers/lab/images/probe.pl`: typed requests into its command line, its JSON lines into typed
 * samples. Nothing is run here. What each field means in detail is said at the head of the program.
 */

import { isIP, isIPv6 } from 'node:net';
import * as dnsPacket from 'dns-packet';
import { z } from 'zod';
import { Inconclusive } from '../errors.ts';
import { quote } from './shell.ts';

// --- requests --------------------------------------------------------------------------------------------------------

/** What every request can say. */
interface Shared {
  /** Operations per target, 1 unless given. */
  count?: number;
  /** Bounds each exchange as a whole, 5000 unless given. */
  timeoutMs?: number;
  /** Starts are at least so far apart, 0 unless given. */
  intervalMs?: number;
  /** Ask several targets (or questions) in turn, instead of the first `count` times before the next. */
  rounds?: boolean;
  /** Address to send from. */
  source?: string;
  /** Operation i is sent from port `sourcePort + i * sourceStep`; each from a fresh one of the kernel's choice unless given. */
  sourcePort?: number;
  /** 1 unless given; 0 reuses one port. */
  sourceStep?: number;
}

/** Fresh TCP connections with one GET each. */
export interface HttpRequest extends Shared {
  kind: 'http';
  /** One or more targets, see {@link endpoint}. */
  to: string | readonly string[];
  /** `/` unless given. */
  path?: string;
  /** Connections at once, 1 unless given. */
  parallel?: number;
}

/** For each operation: resolve anew, take the first address of the answer, one GET there. */
export interface NameRequest extends Shared {
  kind: 'name';
  /** Address of the DNS server, with or without a port. */
  server: string;
  question: Question;
  /** Port of the HTTP server. */
  port: number;
  path?: string;
  parallel?: number;
}

/** DNS queries; over UDP each from a fresh socket. */
export interface DnsRequest extends Shared {
  kind: 'dns';
  /** Address of the DNS server, with or without a port. */
  server: string;
  questions: readonly Question[];
  /** `udp` unless given. */
  proto?: 'udp' | 'tcp';
  /** Queries in flight, 1 unless given; over TCP they are pipelined. */
  window?: number;
  /** Queries on one TCP connection, 100 unless given: the engine answers no more than 128. */
  perConnection?: number;
}

/** Datagrams to the workload's echo port, each from a fresh socket. */
export interface UdpRequest extends Shared {
  kind: 'udp';
  to: string | readonly string[];
  /** 32 unless given. */
  payloadBytes?: number;
  parallel?: number;
}

/** TCP connections that stay open and carry a line now and then; `count` of them to each target, all at once. */
export interface HoldRequest extends Shared {
  kind: 'hold';
  to: string | readonly string[];
  /** How long a connection is held, from when it was asked for; it carries one line however late it opens. */
  ms: number;
  /** How often it carries a line, 1000 unless given. */
  everyMs?: number;
  /** TCP keepalive: the kernel asks after the peer when nothing was heard for so long, and as often from then on (s); none unless given. */
  keepaliveS?: number;
}

/** ICMP echo requests. */
export interface PingRequest extends Omit<Shared, 'sourcePort' | 'sourceStep'> {
  kind: 'ping';
  /** IPv4 addresses. */
  to: string | readonly string[];
}

export type ProbeRequest = HttpRequest | NameRequest | DnsRequest | UdpRequest | HoldRequest | PingRequest;

/** One DNS question, as it goes on the wire. */
export interface Question {
  name: string;
  type: 'A' | 'AAAA' | 'PTR' | 'SRV' | 'TXT' | 'MX' | 'NS' | 'SOA' | 'CNAME';
  /** The RD bit, set unless `false`. */
  recursionDesired?: boolean;
  /** Announces EDNS(0) with this payload size; no EDNS unless given. */
  ednsBytes?: number;
}

/** `10.0.0.5:80`, `[fd00::5]:80`. @throws RangeError when either is none. */
export function endpoint(ip: string, port: number): string {
  if (!isIP(ip) || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError(`${ip} port ${port} is not an endpoint`);
  }
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** The words that start the probe; `program` is where it lies. @throws RangeError on numbers or names that cannot be. */
export function probeArgv(program: string, request: ProbeRequest): string[] {
  const words = [program, request.kind];
  for (const [option, value] of options(request)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'number' && (!Number.isInteger(value) || value < 0 || value >= 1e9)) {
      throw new RangeError(`--${option} cannot be ${value}`);
    }
    words.push(`--${option}`);
    if (value !== true) words.push(String(value));
  }
  return words;
}

/** The same as one line for `sh`. */
export function probeCommand(program: string, request: ProbeRequest): string {
  return probeArgv(program, request).map(quote).join(' ');
}

type Option = [name: string, value: string | number | boolean | undefined];

function options(request: ProbeRequest): Option[] {
  return [
    ...ownOptions(request),
    ['count', request.count ?? 1],
    ['timeout-ms', request.timeoutMs],
    ['interval-ms', request.intervalMs],
    ['rounds', request.rounds],
    ['source', request.source],
    ['source-port', 'sourcePort' in request ? request.sourcePort : undefined],
    ['source-step', 'sourceStep' in request ? request.sourceStep : undefined],
  ];
}

function ownOptions(request: ProbeRequest): Option[] {
  const each = (option: string, values: string | readonly string[]): Option[] =>
    [values].flat().map((value) => [option, value]);
  switch (request.kind) {
    case 'http':
      return [...each('to', request.to), ['path', request.path], ['parallel', request.parallel]];
    case 'name':
      return [
        ['server', request.server],
        ['query', encodeQuery(request.question)],
        ['port', request.port],
        ['path', request.path],
        ['parallel', request.parallel],
      ];
    case 'dns':
      return [
        ['server', request.server],
        ...each('query', request.questions.map(encodeQuery)),
        ['proto', request.proto],
        ['window', request.window],
        ['per-connection', request.perConnection],
      ];
    case 'udp':
      return [
        ...each('to', request.to),
        ['payload-bytes', request.payloadBytes],
        ['parallel', request.parallel],
      ];
    case 'hold':
      return [
        ...each('to', request.to),
        ['ms', request.ms],
        ['every-ms', request.everyMs],
        ['keepalive-s', request.keepaliveS],
      ];
    case 'ping':
      return each('to', request.to);
  }
}

/** How many operations a request asks for. */
function operations(request: ProbeRequest): number {
  const targets =
    'to' in request ? [request.to].flat() : request.kind === 'dns' ? request.questions : [request.server];
  return targets.length * (request.count ?? 1);
}

/** A query in wire format, as hex, with id 0. @throws RangeError on a name that has no wire format. */
export function encodeQuery({ name, type, recursionDesired = true, ednsBytes }: Question): string {
  const labels = name
    .replace(/\.$/, '')
    .split('.')
    .map((label) => Buffer.byteLength(label));
  const root = name === '' || name === '.';
  if (
    !root &&
    (labels.some((bytes) => bytes < 1 || bytes > 63) || labels.reduce((sum, n) => sum + n + 1, 1) > 255)
  ) {
    throw new RangeError(`${JSON.stringify(name)} is not a DNS name`);
  }
  const edns: dnsPacket.Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: ednsBytes ?? 0,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
  const message = dnsPacket.encode({
    type: 'query',
    id: 0,
    flags: recursionDesired ? dnsPacket.RECURSION_DESIRED : 0,
    questions: [{ type, name: root ? '.' : name }],
    additionals: ednsBytes === undefined ? [] : [edns],
  });
  return message.toString('hex');
}

// --- samples ---------------------------------------------------------------------------------------------------------

const Started = {
  /** Counts the operations of a request from 0, in the order of their start. */
  i: z.int().min(0),
  /** Start in epoch ms, by the clock of the machine the probe ran on. */
  at: z.number(),
  /** How long it took. */
  ms: z.number().min(0),
  /** So much of it the probe itself stood still, as it does when the whole lab does; absent for none. No time-out counts it. */
  lostMs: z.number().optional(),
  /** The endpoint asked. */
  to: z.string(),
};

/** `closed`: ended before the answer did. `denied`: by a local rule. `address`: the source cannot be bound. */
const ERRORS = [
  'refused',
  'timeout',
  'reset',
  'unreachable',
  'closed',
  'malformed',
  'denied',
  'toobig',
  'address',
  'other',
] as const;

const Failed = {
  error: z.enum(ERRORS),
  /** `connect`: before the request had left; `read`: after it. */
  phase: z.enum(['connect', 'read']),
  /** The system's words for an `other` error. */
  detail: z.string().optional(),
};

const HttpAnswered = z.strictObject({
  ...Started,
  /** How long until the connection stood; a lost SYN shows here as 1000 and more. */
  connectMs: z.number(),
  /** The client's own end. */
  source: z.string(),
  /** As asked. */
  path: z.string(),
  status: z.int(),
  /** Who answered; missing when it is not the workload. */
  container: z.string().optional(),
  /** The client's end as the container saw it. */
  peer: z.string().optional(),
  /** The container's own end. */
  local: z.string().optional(),
  /** Length of the body. */
  bytes: z.int(),
});

const HttpFailed = z.strictObject({
  ...HttpAnswered.partial().shape,
  ...Started,
  ...Failed,
  path: z.string(),
});

const Resolved = {
  dnsMs: z.number(),
  /** Addresses of the DNS answer, in its order. */
  answers: z.array(z.string()),
  /** The first of them, which was connected to. */
  first: z.string(),
};

const NameAnswered = z.strictObject({ ...HttpAnswered.shape, ...Resolved });
const NameConnectFailed = z.strictObject({ ...HttpFailed.shape, ...Resolved });
const NameQueryFailed = z.strictObject({
  ...Started,
  source: z.string().optional(),
  dnsMs: z.number(),
  answers: z.array(z.string()),
  /** `rcode`: the server said no, see `rcode`; `nodata`: no address among its records. */
  error: z.enum([...ERRORS, 'rcode', 'nodata']),
  rcode: z.int().optional(),
  detail: z.string().optional(),
  phase: z.literal('dns'),
});
const NameFailed = z.discriminatedUnion('phase', [NameConnectFailed, NameQueryFailed]);

const UdpAnswered = z.strictObject({
  ...Started,
  source: z.string(),
  container: z.string(),
  /** The client's end as the container saw it. */
  peer: z.string(),
});
const UdpFailed = z.strictObject({ ...Started, ...Failed, source: z.string().optional() });

const Asked = {
  ...Started,
  /** Which of the request's questions. */
  q: z.int().min(0),
  proto: z.enum(['udp', 'tcp']),
};
const DnsAnswered = z.strictObject({
  ...Asked,
  source: z.string(),
  answer: z.string().regex(/^(?:[0-9a-f]{2})+$/),
});
const DnsFailed = z.strictObject({ ...Asked, ...Failed, source: z.string().optional() });

const HoldAnswered = z.discriminatedUnion('event', [
  /** The connection stands. */
  z.strictObject({ ...Started, event: z.literal('open'), source: z.string() }),
  /** Line `k` came back. */
  z.strictObject({ ...Started, event: z.literal('echo'), k: z.int().min(0), container: z.string() }),
  /** The probe closed it after its time; `at` and `ms` span the whole connection. */
  z.strictObject({ ...Started, event: z.literal('close'), source: z.string() }),
]);
const HoldFailed = z.discriminatedUnion('event', [
  /** Line `k` did not come back. */
  z.strictObject({ ...Started, ...Failed, event: z.literal('echo'), k: z.int().min(0) }),
  /** The connection could not be made, or broke. */
  z.strictObject({ ...Started, ...Failed, event: z.literal('close'), source: z.string().optional() }),
]);

const PingAnswered = z.strictObject(Started);
const PingFailed = z.strictObject({ ...Started, ...Failed });

/** A GET that was answered, with whatever status. */
export type HttpAnswer = z.infer<typeof HttpAnswered>;
/** A GET that was not. */
export type HttpFailure = z.infer<typeof HttpFailed>;
export type HttpSample = HttpAnswer | HttpFailure;

/** A name that was resolved, and its first address answered. */
export type NameAnswer = z.infer<typeof NameAnswered>;
/** A name that was not resolved (phase `dns`), or whose first address did not answer. */
export type NameFailure = z.infer<typeof NameFailed>;
export type NameSample = NameAnswer | NameFailure;

/** A datagram that came back. */
export type UdpAnswer = z.infer<typeof UdpAnswered>;
/** A datagram that did not. */
export type UdpFailure = z.infer<typeof UdpFailed>;
export type UdpSample = UdpAnswer | UdpFailure;

/** A DNS query that was answered, with whatever rcode; the message lies open beside its hex. */
export type DnsAnswer = Omit<z.infer<typeof DnsAnswered>, 'answer'> & DnsMessage & { hex: string };
/** A DNS query that was not, or by something that is no DNS message (`malformed`, with its hex). */
export type DnsFailure = z.infer<typeof DnsFailed> & { hex?: string };
export type DnsSample = DnsAnswer | DnsFailure;

/** An event of a held connection. */
export type HoldSample = z.infer<typeof HoldAnswered> | z.infer<typeof HoldFailed>;

/** An ICMP echo request; without `error` its reply came. */
export type PingSample = z.infer<typeof PingAnswered> | z.infer<typeof PingFailed>;

/** The samples that a request gives. */
export type SampleOf<R extends ProbeRequest> = {
  http: HttpSample;
  name: NameSample;
  dns: DnsSample;
  udp: UdpSample;
  hold: HoldSample;
  ping: PingSample;
}[R['kind']];

/** Whether the operation failed. */
export function failed<S extends object>(sample: S): sample is Extract<S, { error: string }> {
  return 'error' in sample;
}

const LINES = {
  http: { answered: HttpAnswered, failed: HttpFailed },
  name: { answered: NameAnswered, failed: NameFailed },
  dns: { answered: DnsAnswered, failed: DnsFailed },
  udp: { answered: UdpAnswered, failed: UdpFailed },
  hold: { answered: HoldAnswered, failed: HoldFailed },
  ping: { answered: PingAnswered, failed: PingFailed },
} as const;

/**
 * The samples in what the probe printed for this request, in the order in which the operations started.
 *
 * @param text all it printed; `stopped`: it was stopped, so the last operations may be missing.
 * @throws Inconclusive (observer), quoting the line, for one that is no record of this kind; and when operations are
 *   missing, for a judgement over part of the samples would pass for one over all.
 */
export function parseSamples<R extends ProbeRequest>(
  request: R,
  text: string,
  { stopped = false } = {},
): SampleOf<R>[] {
  const lines = text.trimEnd().split('\n');
  const samples = lines[0] === '' ? [] : lines.map((line) => parseLine(request, line));
  samples.sort((a, b) => a.i - b.i);

  const ended = samples
    .filter((sample) => !('event' in sample) || sample.event === 'close')
    .map((sample) => sample.i);
  const expected = operations(request);
  if (ended.some((i, at) => i !== at) || ended.length > expected || (ended.length < expected && !stopped)) {
    throw broken(
      `the probe should have reported operations 0 to ${expected - 1} once each`,
      ended.join(' ') || 'none',
    );
  }
  return samples;
}

/** One line of {@link parseSamples}, for output that is read as it comes. */
export function parseLine<R extends ProbeRequest>(request: R, line: string): SampleOf<R> {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    throw broken('the probe printed a line that is not JSON', line);
  }
  const isFailure = typeof record === 'object' && record !== null && failed(record);
  const parsed = LINES[request.kind][isFailure ? 'failed' : 'answered'].safeParse(record);
  if (!parsed.success) {
    const why = parsed.error.issues
      .map(({ path, message }) => `${path.join('.') || 'record'}: ${message}`)
      .join('; ');
    throw broken(`the probe printed a line that is no ${request.kind} record (${why})`, line);
  }
  const { data } = parsed;
  const sample = request.kind === 'dns' && 'answer' in data ? opened(DnsAnswered.parse(data)) : data;
  return sample as SampleOf<R>;
}

function broken(what: string, line: string): Inconclusive {
  return new Inconclusive('observer', `${what}: ${line.length > 500 ? `${line.slice(0, 500)}...` : line}`);
}

function opened({ answer, ...record }: z.infer<typeof DnsAnswered>): DnsSample {
  try {
    return { ...record, ...decodeMessage(answer), hex: answer };
  } catch {
    return { ...record, error: 'malformed', phase: 'read', hex: answer };
  }
}

// --- DNS messages ----------------------------------------------------------------------------------------------------

/** One resource record. */
export interface DnsRecord {
  name: string;
  type: string;
  class: string;
  ttl: number;
  /** An address or a name; anything else as JSON of what the library decodes. */
  data: string;
}

/** A DNS message, decoded. Records keep their order. */
export interface DnsMessage {
  id: number;
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL`, ... */
  rcode: string;
  flags: Record<'qr' | 'aa' | 'tc' | 'rd' | 'ra' | 'ad' | 'cd', boolean>;
  questions: { name: string; type: string }[];
  answers: DnsRecord[];
  authorities: DnsRecord[];
  /** Without the OPT record. */
  additionals: DnsRecord[];
  /** UDP payload size of the OPT record, if there is one. */
  ednsBytes?: number;
}

/** A message in wire format, decoded. @throws Error when it is none. */
export function decodeMessage(hex: string): DnsMessage {
  const packet = dnsPacket.decode(Buffer.from(hex, 'hex'));
  const edns = packet.additionals?.find((record) => record.type === 'OPT');
  return {
    id: packet.id ?? 0,
    rcode: z.object({ rcode: z.string() }).parse(packet).rcode,
    flags: {
      qr: packet.type === 'response',
      aa: packet.flag_aa,
      tc: packet.flag_tc,
      rd: packet.flag_rd,
      ra: packet.flag_ra,
      ad: packet.flag_ad,
      cd: packet.flag_cd,
    },
    questions: (packet.questions ?? []).map(({ name, type }) => ({ name, type })),
    answers: records(packet.answers),
    authorities: records(packet.authorities),
    additionals: records(packet.additionals),
    ...(edns && { ednsBytes: edns.udpPayloadSize }),
  };
}

function records(answers: dnsPacket.Answer[] = []): DnsRecord[] {
  return answers.flatMap((record) => {
    if (record.type === 'OPT') return [];
    const { name, type, data } = record;
    const text =
      typeof data === 'string' ? data : JSON.stringify(Array.isArray(data) ? data.map(String) : data);
    return [{ name, type, class: record.class ?? 'IN', ttl: record.ttl ?? 0, data: text }];
  });
}
