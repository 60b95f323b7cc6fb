import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { Inconclusive, messageOf } from '../errors.ts';

/** Where the project keeps its clauses: one file for each area, the generations of the engine, failures that users
 * have met, and the log policy. */
export const CATALOGUE = fileURLToPath(new URL('../../specs/catalogue/', import.meta.url));
const GENERATIONS = 'generations.yaml';
export const LOGS = 'logs.yaml';
const REGRESSIONS = 'regressions.yaml';

const text = z.string().trim().min(1, 'must not be empty');
const line = text.regex(/^[^\n]+$/, 'must be one line');

/** A regular expression, as text in the data. @param flags such as `s` where what it is held against has many lines. */
export const pattern = (flags = '') =>
  z.string().transform((source, context) => {
    try {
      return new RegExp(source, flags);
    } catch (error) {
      context.addIssue({ code: 'custom', message: String(error) });
      return z.NEVER;
    }
  });

/** An engine version in the catalogue's data. */
export const version = z.string().regex(/^\d+\.\d+\.\d+$/, 'must look like 28.0.1');

const Clause = z.strictObject({
  id: z.string().regex(/^[A-Z]+-\d{3}$/, 'must look like VIP-015'),
  /** The promise, in one line. */
  title: line,
  /** must: documented, or shown in the seed article; should: held by the engine's own tests or code; detail: how it is built. */
  level: z.enum(['must', 'should', 'detail']),
  /** Judged in every profile, because it carries a claim of the seed article. */
  core: z.boolean(),
  /** Takes long by nature: judged only when SOAK says how long it may. */
  soak: z.boolean().optional(),
  /** Written, but not yet seen to judge rightly: left out unless the setting DRAFTS says yes. */
  draft: z.boolean().optional(),
  /** What a user may rely on. */
  statement: text,
  /** Where the promise and the expected values come from, versioned where the source is. */
  sources: z.array(z.strictObject({ name: line, ref: line })).min(1, 'must name at least one source'),
  /** How this suite judges it: samples, bounds, and the false-alarm probability where chance is involved. */
  observe: text,
  /** What the expected value rests on first of all. */
  basis: z.enum(['doc', 'seed', 'code', 'measured', 'inferred']),
  /** Where engine versions differ; absent when they do not. The values themselves are in the generations. */
  engines: text.optional(),
  /** Known defects: the clause is judged all the same, but a fail there is expected, and a pass is told as surprising. */
  expectedFail: z
    .array(
      z
        .strictObject({
          since: version.nullable(),
          until: version.nullable(),
          defect: line,
          ref: line,
          /** What the clause says when the defect shows: one that fails otherwise fails for a reason of its own. */
          shown: pattern('s').optional(),
          /** The defect shows in some runs only; then `shown` tells those from other failures. */
          sometimes: z.literal(true).optional(),
        })
        .refine(({ sometimes, shown }) => !sometimes || shown, 'what shows in some runs only needs `shown`'),
    )
    .optional(),
  /** Failures users met that it would catch, by their entry in regressions.yaml. */
  regressions: z.array(z.string().regex(/^REG-\d{3}$/, 'must look like REG-023')).optional(),
  /** The claims of the seed article it carries. */
  seed: z.array(z.string().regex(/^[SVM]\d+$/, 'must look like S1, V1 or M1')),
});

const RegressionEntry = z.strictObject({
  id: z.string().regex(/^REG-\d{3}$/, 'must look like REG-023'),
  title: line,
  /** Where it was told, the first account first. */
  links: z.array(z.url()).min(1),
  /** Why no clause catches it here; absent when one does. */
  elsewhere: text.optional(),
});

/** A failure that users of Swarm networking have met. */
export type Regression = z.infer<typeof RegressionEntry>;

/** One documented behaviour, as the catalogue states it. */
export type ClauseData = Omit<z.infer<typeof Clause>, 'regressions'> & {
  /** The folder of its spec and the file of its entry: `vip` for VIP-015. */
  area: string;
  /** Failures users met that it would catch. */
  regressions: readonly Regression[];
};

const Facts = z.strictObject({
  /** Which namespace and chain of the mangle table hold the MARK rule of a virtual IP. */
  vipMark: z.strictObject({ namespace: z.enum(['lb', 'container']), chain: z.enum(['INPUT', 'OUTPUT']) }),
  /** File of a network's balancer namespace: the prefix, then so many characters of an id; null where there is none. */
  lbNamespaceName: z
    .strictObject({ prefix: z.string(), of: z.enum(['network', 'sandbox']), characters: z.int().positive() })
    .nullable(),
  /** Subnet of `ingress` in a new Swarm with the default address pool. */
  defaultIngressSubnet: text,
  /** What the engine writes to net.ipv4.vs.conn_reuse_mode of its balancers; null where it leaves the kernel's value. */
  connReuseMode: z.int().nullable(),
  /** What the engine writes to net.ipv4.vs.expire_quiescent_template of its balancers; null where it leaves the kernel's value. */
  expireQuiescentTemplate: z.int().nullable(),
  /** HTTP status with which a subnet that is no CIDR block is refused. */
  malformedSubnetStatus: z.int(),
  /** Whether a request for an overlay without IPv4 is refused; engines before know no such field and make one with IPv4. */
  refusesOverlayWithoutIpv4: z.boolean(),
  /** Whether each record of an answer that is cut to size repeats the whole name, so that under a long one none may be left. */
  cutAnswersRepeatNames: z.boolean(),
  /** What a query for a foreign name gets if no server outside can be reached or answers. */
  unservedQuery: z.enum(['silence', 'SERVFAIL']),
  /** Whether IPv6 nameservers of the node appear in a task's resolv.conf, after 127.0.0.11. */
  resolvConfListsIpv6: z.boolean(),
  /** How long the file of a removed namespace may still lie, unmounted, in /run/docker/netns. */
  netnsFileLingerSeconds: z.number().nonnegative(),
  /** Chain of the filter table that holds the jump to DOCKER-INGRESS. */
  filterIngressJump: z.enum(['FORWARD', 'DOCKER-FORWARD']),
  /** Chains whose jumps may stand before that jump. */
  mayPrecedeIngressJump: z.array(text),
  /** What becomes of a TCP connection over IPv6 to a port published in ingress mode, with the userland proxy that is the default. */
  ingressOverIpv6: z.enum(['hangs', 'answered']),
  /** Firewall backends with which this engine can be a Swarm member. */
  swarmFirewallBackends: z.array(z.enum(['iptables', 'nftables'])),
});

const GenerationEntry = z.strictObject({
  id: line,
  since: version.nullable(),
  until: version.nullable(),
  facts: Facts.partial(),
  /** The clauses whose judgement consults these facts. */
  clauses: z.array(z.string()).min(1),
  sources: z.array(line).min(1),
});

/** Everything known of one engine version that a judgement may depend on. */
export type Generation = z.infer<typeof Facts>;
/** Facts that hold from `since` (included) up to `until` (excluded). */
export type GenerationEntry = z.infer<typeof GenerationEntry>;

/**
 * Reads every clause of a catalogue, by id, areas in alphabetical order.
 *
 * Throws on the first thing that is wrong, naming file, clause and field.
 */
export function loadCatalogue(folder: string = CATALOGUE): Map<string, ClauseData> {
  const clauses = new Map<string, ClauseData>();
  const regressions = loadRegressions(folder);
  const files = readdirSync(folder).filter(
    (name) => name.endsWith('.yaml') && ![GENERATIONS, LOGS, REGRESSIONS].includes(name),
  );
  for (const name of files.toSorted()) {
    const file = path.join(folder, name);
    const area = path.basename(name, '.yaml');
    for (const clause of readEntries(file, Clause)) {
      if (clause.id.split('-')[0] !== area.toUpperCase()) {
        throw problem(file, clause.id, 'id', `belongs to another area than this file, ${area}`);
      }
      if (clauses.has(clause.id)) throw problem(file, clause.id, 'id', 'is used twice');
      if (clause.core !== clause.seed.length > 0) {
        throw problem(file, clause.id, 'core', 'must be true if and only if seed names a claim');
      }
      const caught = (clause.regressions ?? []).map((id) => {
        const known = regressions.get(id);
        if (!known) throw problem(file, clause.id, 'regressions', `${id} is not in ${REGRESSIONS}`);
        return known;
      });
      clauses.set(clause.id, { ...clause, area, regressions: caught });
    }
  }
  if (clauses.size === 0) throw new Error(`${shown(folder)}: no clauses here`);
  return clauses;
}

/** Reads the failures that users have met, by id; none where the catalogue has no such file. */
export function loadRegressions(folder: string = CATALOGUE): Map<string, Regression> {
  const file = path.join(folder, REGRESSIONS);
  const entries = existsSync(file) ? readEntries(file, RegressionEntry) : [];
  return new Map(entries.map((entry) => [entry.id, entry]));
}

/** Reads the differences between engine versions. Refuses a fact that some version lacks or has twice. */
export function loadGenerations(folder: string = CATALOGUE): GenerationEntry[] {
  const file = path.join(folder, GENERATIONS);
  const entries = readEntries(file, GenerationEntry);
  // What holds changes at the boundaries only, so these versions stand for all.
  const boundaries = entries.flatMap(({ since, until }) => [since ?? '0.0.0', until ?? '0.0.0']);
  for (const at of new Set(boundaries)) {
    for (const fact of Object.keys(Facts.shape)) {
      const given = entries.filter((entry) => holds(entry, at) && fact in entry.facts).map(({ id }) => id);
      if (given.length !== 1) {
        const by = given.length === 0 ? 'no entry' : given.join(' and ');
        throw new Error(
          `${shown(file)}: fact ${fact} for version ${at} is given by ${by}, not by exactly one`,
        );
      }
    }
  }
  return entries;
}

/**
 * What holds for an engine, by the version it reports: `28.5.2`, but also `26.1.5+dfsg1` or `18.09.9-ce`.
 *
 * A suffix does not count, so a release candidate is taken for its release.
 */
export function generationOf(
  engineVersion: string,
  entries: GenerationEntry[] = loadGenerations(),
): Generation {
  if (!/^\d+\.\d+(\.\d+)?(?![\d.])/.test(engineVersion)) {
    throw new Inconclusive(
      'suite',
      `cannot tell the generation of engine version '${engineVersion}': an engine of your own is built with a number, such as VERSION=29.1.0-dev`,
    );
  }
  const facts = entries.filter((entry) => holds(entry, engineVersion)).map((entry) => entry.facts);
  return Facts.parse(Object.assign({}, ...facts));
}

/** Whether a range of versions, `since` included and `until` excluded, holds an engine's version. */
export function holds(
  { since, until }: Pick<GenerationEntry, 'since' | 'until'>,
  engineVersion: string,
): boolean {
  const notBefore = since === null || compareVersions(engineVersion, since) >= 0;
  return notBefore && (until === null || compareVersions(engineVersion, until) < 0);
}

/** Negative, zero or positive, by the leading numbers; a missing number counts as 0. */
function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((v) => (/^[\d.]+/.exec(v)?.[0] ?? '').split('.').map(Number));
  const difference = [0, 1, 2].map((i) => (a?.[i] ?? 0) - (b?.[i] ?? 0));
  return difference.find((d) => d !== 0) ?? 0;
}

/** The entries of one file, each checked against its schema. */
function readEntries<T>(file: string, schema: z.ZodType<T>): T[] {
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${shown(file)}: ${messageOf(error)}`, { cause: error });
  }
  if (!Array.isArray(content)) throw new Error(`${shown(file)}: must be a list of entries`);
  return content.map((entry: unknown, index) => {
    const result = schema.safeParse(entry);
    if (result.success) return result.data;
    const id = z.object({ id: z.string() }).safeParse(entry).data?.id ?? `entry ${index + 1}`;
    const [issue] = result.error.issues;
    throw problem(file, id, issue?.path.join('.') || 'entry', issue?.message ?? 'is not valid');
  });
}

function problem(file: string, entry: string, field: string, message: string): Error {
  return new Error(`${shown(file)}: ${entry}: ${field}: ${message}`);
}

function shown(file: string): string {
  return path.relative(process.cwd(), file) || file;
}
