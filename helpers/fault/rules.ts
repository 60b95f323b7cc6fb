/** Faults of packet filters, marks and address translation: rules that are gone, and rules that should not be. */
import { z } from 'zod';
import { CUT } from '../swarm/cut.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { type Damage, fault, Unproven } from './fault.ts';
import { type Hold, holdIn } from './hold.ts';
import { nodeNames, type Place, placed, placeFields, placesOf } from './place.ts';

const table = z.enum(['raw', 'mangle', 'nat', 'filter']);

/** What the engine's rules are called in the domain, and how they are known in `iptables -S`; VALUE stands for a parameter. */
const KINDS = {
  'mark-of-port': { table: 'mangle', pattern: '^-A PREROUTING .*--dport VALUE .*-j MARK', area: 'mesh' },
  'mark-of-vip': { table: 'mangle', pattern: '^-A \\S+ -d VALUE/32 .*-j MARK', area: 'vip' },
  'dnat-of-port': { table: 'nat', pattern: '^-A DOCKER-INGRESS .*--dport VALUE .*-j DNAT', area: 'mesh' },
  'jump-to-ingress': { table: 'nat', pattern: '^-A PREROUTING .*-j DOCKER-INGRESS', area: 'sys' },
  'source-of-balancer': { table: 'nat', pattern: '^-A POSTROUTING .*--ipvs.* -j SNAT', area: 'vip' },
  'redirection-of-port': {
    table: 'nat',
    pattern: '^-A PREROUTING .*--dport VALUE .*-j REDIRECT',
    area: 'mesh',
  },
  masquerading: { table: 'nat', pattern: '^-A POSTROUTING .*-j MASQUERADE', area: 'sys' },
  'masquerading-of-local': {
    table: 'nat',
    pattern: '^-A POSTROUTING .*--src-type LOCAL .*-j MASQUERADE',
    area: 'mesh',
  },
  'masquerading-of-bridge': {
    table: 'nat',
    pattern: '^-A POSTROUTING .*! -o docker_gwbridge -j MASQUERADE',
    area: 'sys',
  },
  'mark-of-encryption': { table: 'mangle', pattern: '^-A OUTPUT .*--dport 4789 .*-j MARK', area: 'enc' },
  'cleartext-barrier': { table: 'filter', pattern: '^-A INPUT .*--dport 4789 .*-j DROP', area: 'enc' },
} as const satisfies Record<string, { table: z.output<typeof table>; pattern: string; area: string }>;
type Kind = keyof typeof KINDS;

/** The rules of a table that match, as `iptables -S` writes them. */
async function matching(place: Place, rules: { table: string; pattern: string }): Promise<string[]> {
  const text = await place.must(`iptables -t ${rules.table} -S`);
  return text.split('\n').filter((line) => new RegExp(rules.pattern).test(line));
}

/** A virtual IP is named by its service and network, any other value stands for itself. */
async function resolved(swarm: Swarm, of: string | number | undefined): Promise<string> {
  const [service, network] = typeof of === 'string' ? of.split('@') : [];
  if (!network) return String(of ?? '').replaceAll('.', '\\.');
  const vip = (await swarm.service(service ?? '')).vips[network];
  if (!vip) throw new Unproven(`${service} has no virtual IP on ${network}`);
  return vip.replaceAll('.', '\\.');
}

const missing = fault(
  'rule-missing',
  z.strictObject({
    ...placeFields,
    rule: z.enum(Object.keys(KINDS) as [Kind, ...Kind[]]),
    /** A port, or `SERVICE@NETWORK` for a virtual IP, where the kind of rule has one. */
    of: z.union([z.string(), z.number()]).optional(),
    /** Whether it is taken out again whenever it comes back. */
    held: z.boolean().default(false),
  }),
  {
    areas: ['vip', 'mesh', 'sys', 'enc'],
    describe: ({ rule, of, held, ...at }) =>
      `the rule ${rule}${of === undefined ? '' : ` of ${of}`} is missing in ${placed(at)}${held ? ', whenever it comes back' : ''}`,
    inflict: async (swarm, { rule, of, held, ...at }) => {
      const places = await placesOf(swarm, at);
      const kind = KINDS[rule];
      const value = await resolved(swarm, of);
      const wanted = { table: kind.table, pattern: kind.pattern.replace('VALUE', () => value) };
      if (held) return heldMissing(places, wanted);
      const taken = await Promise.all(
        places.map(async (place) => ({ place, rules: await matching(place, wanted) })),
      );
      if (taken.every(({ rules }) => rules.length === 0))
        throw new Unproven(`${placed(at)} has no rule ${rule}`);
      for (const { place, rules } of taken)
        for (const one of rules) await place.must(`iptables -t ${wanted.table} ${one.replace('-A', '-D')}`);
      return {
        nodes: nodeNames(places),
        there: async () => {
          // Asked one by one, as nothing else does: iptables says by its status whether there is such a rule.
          for (const { place, rules } of taken)
            for (const one of rules) {
              const { status } = await place.run(`iptables -t ${wanted.table} ${one.replace('-A', '-C')}`);
              if (status === 0) throw new Unproven(`${place.name} still has ${one}`);
            }
          return taken.map(({ place, rules }) => `${place.name} lacks ${rules.join(' and ')}`).join('\n');
        },
      };
    },
  },
);

async function heldMissing(
  places: readonly Place[],
  { table, pattern }: { table: string; pattern: string },
): Promise<Damage> {
  const script = `n=1; iptables -t ${table} -S | grep -E -e '${pattern.replaceAll('\\S', '[^ ]').replaceAll('\\d', '[0-9]')}' | sed 's/^-A/-D/' > /tmp/rules.$$; while read -r rule; do iptables -t ${table} $rule && n=0; done < /tmp/rules.$$; rm -f /tmp/rules.$$; exit $n`;
  const holds: Hold[] = [];
  for (const place of places) holds.push(await holdIn(place, script));
  return {
    nodes: nodeNames(places),
    met: async () => {
      const deeds = await Promise.all(holds.map((one) => one.deeds()));
      if (deeds.every((one) => one === 0)) throw new Unproven('there never was such a rule');
      return `rounds that took rules out: ${deeds.join(', ')}`;
    },
  };
}

/** Puts rules in at places and looks for them one by one. */
async function withRules(
  places: readonly Place[],
  rules: readonly {
    family?: 'ip' | 'ip6';
    table: string;
    chain: string;
    rule: string;
    at?: 'first' | 'last';
  }[],
): Promise<Damage> {
  const words = ({ family = 'ip', table, chain, rule }: (typeof rules)[number], verb: string) =>
    `${family}tables -t ${table} ${verb} ${chain} ${rule}`;
  for (const place of places)
    for (const one of rules) await place.must(words(one, one.at === 'last' ? '-A' : '-I'));
  return {
    nodes: nodeNames(places),
    there: async () => {
      for (const place of places)
        for (const one of rules) {
          const { status } = await place.run(words(one, '-C'));
          if (status !== 0) throw new Unproven(`${place.name} lacks ${words(one, '-A')}`);
        }
      return `${places.map(({ name }) => name).join(', ')}: ${rules.map((one) => words(one, '-A')).join('; ')}`;
    },
  };
}

const added = fault(
  'rule-added',
  z.strictObject({
    ...placeFields,
    table,
    chain: z.string(),
    rule: z.string(),
    family: z.enum(['ip', 'ip6']).default('ip'),
    at: z.enum(['first', 'last']).default('first'),
  }),
  {
    areas: ['vip', 'mesh', 'sys', 'port'],
    describe: ({ table, chain, rule, at, family, ...place }) =>
      `${family}tables ${table} ${chain} has the rule ${rule}, ${at}, in ${placed(place)}`,
    inflict: async (swarm, { table, chain, rule, at, family, ...place }) => {
      const value = /VIP\((\S+)\)/.exec(rule);
      const written = value
        ? rule.replace(value[0], (await resolved(swarm, value[1])).replaceAll('\\', ''))
        : rule;
      return withRules(await placesOf(swarm, place), [{ family, table, chain, rule: written, at }]);
    },
  },
);

const full = fault('conntrack-full', z.strictObject(placeFields), {
  areas: ['vip', 'mesh'],
  describe: (at) =>
    `new connections are dropped, as they are when the table of connections is full, in ${placed(at)}`,
  somewhere: (node) => ({ on: node, in: 'ingress' }),
  // The limit itself is the whole kernel's (nf_conntrack_max): lowered, it would cut us off, too.
  inflict: async (swarm, at) =>
    withRules(await placesOf(swarm, at), [
      { table: 'mangle', chain: 'PREROUTING', rule: '! -i lo -m conntrack --ctstate NEW -j DROP' },
    ]),
});

const flushed = fault('chain-flushed', z.strictObject({ ...placeFields, table, chain: z.string() }), {
  areas: ['vip', 'mesh', 'sys', 'dns'],
  describe: ({ table, chain, ...at }) => `${table} ${chain} is empty in ${placed(at)}`,
  inflict: async (swarm, { table, chain, ...at }) => {
    const places = await placesOf(swarm, at);
    for (const place of places) {
      const rules = await matching(place, { table, pattern: `^-A ${chain} ` });
      if (rules.length === 0) throw new Unproven(`${chain} of ${table} is empty already in ${place.name}`);
      await place.must(`iptables -t ${table} -F ${chain}`);
    }
    return {
      nodes: nodeNames(places),
      there: async () => {
        const seen = await Promise.all(places.map((place) => place.must(`iptables -t ${table} -S ${chain}`)));
        const rest = seen.flatMap((text) => text.split('\n')).filter((line) => line.startsWith('-A'));
        if (rest.length > 0) throw new Unproven(`left: ${rest.join('; ')}`);
        return seen.map((text) => text.trim()).join('\n');
      },
    };
  },
});

/** What passes between nodes, by what it is for (docs: Docker, overlay network driver, firewall rules). */
const TRAFFIC = {
  gossip: ['-p tcp --PORT 7946', '-p udp --PORT 7946'],
  vxlan: ['-p udp --PORT 4789'],
  'vxlan-7777': ['-p udp --PORT 7777'],
  esp: ['-p esp'],
  management: ['-p tcp --PORT 2377'],
  dns: ['-p udp --PORT 53', '-p tcp --PORT 53'],
} as const;
type Traffic = keyof typeof TRAFFIC;

const dropped = fault(
  'traffic-dropped',
  z.strictObject({
    on: placeFields.on,
    what: z.enum(Object.keys(TRAFFIC) as [Traffic, ...Traffic[]]),
    way: z.enum(['in', 'out', 'both']).default('both'),
    family: z.enum(['ip', 'ip6']).default('ip'),
    /** Left out, from the beginning; `mended`, as soon as the node was cut off and mended again. */
    once: z.enum(['mended']).optional(),
  }),
  {
    areas: ['dns', 'mesh', 'overlay', 'reg', 'node'],
    describe: ({ on, what, way, family, once }) =>
      `${once ? `once ${once}, ` : ''}${what}${family === 'ip6' ? ' over IPv6' : ''} is dropped, ${way === 'both' ? 'in and out' : way}, on ${on === undefined ? 'every node' : [on].flat().join(' and ')}`,
    somewhere: (node, lot) => ({ on: node, what: lot < 0.5 ? 'vxlan' : 'gossip', way: 'both', family: 'ip' }),
    inflict: async (swarm, { on, what, way, family, once }) => {
      const places = await placesOf(swarm, { ...(on !== undefined && { on }), in: 'host' });
      const rules = TRAFFIC[what].flatMap((match) => {
        // A reply has the known port as its source: whichever end began, both are the traffic meant.
        const both = match.includes('PORT')
          ? [match.replace('PORT', 'dport'), match.replace('PORT', 'sport')]
          : [match];
        return both.flatMap((one) => [
          ...(way === 'out'
            ? []
            : [{ family, table: 'raw', chain: 'PREROUTING', rule: `! -i lo ${one} -j DROP` }]),
          ...(way === 'in'
            ? []
            : [{ family, table: 'raw', chain: 'OUTPUT', rule: `! -o lo ${one} -j DROP` }]),
        ]);
      });
      return once ? onceMended(places, rules) : withRules(places, rules);
    },
  },
);

/** The same rules as soon as a node is mended: a loop sees the chain by which it is cut off come and go. */
async function onceMended(places: readonly Place[], rules: Parameters<typeof withRules>[1]): Promise<Damage> {
  const insert = rules
    .map(({ table, chain, rule }) => `iptables -t ${table} -I ${chain} ${rule}`)
    .join(' && ');
  const script = [
    `if iptables -t raw -S ${CUT} >/dev/null 2>&1; then touch /tmp/fault-was-cut; exit 1; fi`,
    '[ -e /tmp/fault-was-cut ] && [ ! -e /tmp/fault-is-back ] || exit 1',
    `${insert} && touch /tmp/fault-is-back`,
  ].join('\n');
  const holds: Hold[] = [];
  for (const place of places) holds.push(await holdIn(place, script));
  return {
    nodes: nodeNames(places),
    met: async () => {
      const deeds = await Promise.all(holds.map((one) => one.deeds()));
      if (deeds.some((one) => one === 0)) throw new Unproven('the node was never cut off and mended');
      return 'the node was cut off and mended, and then lost this traffic again';
    },
  };
}

/** What a network does to packets, in the words of tc-netem(8). */
const IMPAIRMENTS = {
  loss: 'loss 40%',
  delay: 'delay 400ms',
  corruption: 'corrupt 40%',
  duplication: 'duplicate 60%',
} as const;
type Impairment = keyof typeof IMPAIRMENTS;

const impaired = fault(
  'link-impaired',
  z.strictObject({
    ...placeFields,
    link: z.string().default('eth0'),
    by: z.enum(Object.keys(IMPAIRMENTS) as [Impairment, ...Impairment[]]),
  }),
  {
    areas: ['overlay', 'mesh', 'vip'],
    describe: ({ link, by, ...at }) => `${link} has ${IMPAIRMENTS[by]} in ${placed(at)}`,
    inflict: async (swarm, { link, by, ...at }) => {
      const places = await placesOf(swarm, at);
      for (const place of places)
        await place.must(`tc qdisc replace dev ${link} root netem ${IMPAIRMENTS[by]}`);
      return {
        nodes: nodeNames(places),
        there: async () => {
          const seen = await Promise.all(places.map((place) => place.must(`tc qdisc show dev ${link}`)));
          if (seen.some((text) => !text.includes('netem'))) throw new Unproven(`qdiscs: ${seen.join('; ')}`);
          return seen.join('\n').trim();
        },
      };
    },
  },
);

export const ruleFaults = [missing, added, full, flushed, dropped, impaired];
