/** Faults of names: what a task's embedded DNS server says reaches the task changed, or not at all. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { quote } from '../observe/shell.ts';
import { EMBEDDED_DNS } from '../swarm/network.ts';
import { type Damage, fault, Unproven } from './fault.ts';
import { hold } from './hold.ts';
import { nodesOf, type Place, placeFields, placesOf } from './place.ts';

const PROGRAM = readFileSync(path.join(import.meta.dirname, 'programs', 'dns-tamper.pl'), 'utf8');

/** A port on 127.0.0.11 that the engine's own servers, which take ports of chance from 32768 on, do not have. */
const PORT = 5399;

/** What the program makes of answers, see its head; VALUE is given with the fault. */
const HOWS = {
  sorted: 'records come in the order of their addresses',
  lost: 'the last record is left out',
  frozen: 'the first answer is given again and again',
  remembered: 'records of earlier answers are in it, too',
  foreign: 'VALUE is given for every address',
  ttl: 'every record lives VALUE s',
  whole: 'answers that are cut do not say so',
  'none-of-aaaa': 'questions for AAAA are told that there is no such name',
  pointer: 'every address leads back to VALUE',
  'first-label': 'what comes after the first dot of a question is ignored',
  untasked: 'tasks.NAME is answered as NAME',
  silent: 'nothing is answered',
  late: 'answers come VALUE ms late',
} as const;
type How = keyof typeof HOWS;

/** Where the program lies beside a node: quoted on its way into a namespace and a loop it would be many times as long. */
const INSTALLED = '/tmp/dns-tamper.pl';
const install = `cat > ${INSTALLED} <<'END-OF-PROGRAM'\n${PROGRAM}\nEND-OF-PROGRAM`;

/** Puts the program between one namespace and its server; only rules that are there are used. */
const tamper = (log: string, how: How, value: string) =>
  [
    'udp=$(iptables -t nat -S DOCKER_OUTPUT | sed -n "s/.*-p udp .*--to-destination 127.0.0.11:\\([0-9]*\\).*/\\1/p")',
    'tcp=$(iptables -t nat -S DOCKER_OUTPUT | sed -n "s/.*-p tcp .*--to-destination 127.0.0.11:\\([0-9]*\\).*/\\1/p")',
    '[ -n "$udp" ] && [ -n "$tcp" ] || exit 1',
    `perl ${INSTALLED} ${EMBEDDED_DNS} ${PORT} $udp $tcp ${log} ${how}${value === '' ? '' : ` ${quote(value)}`} || exit 1`,
    ...['udp', 'tcp'].map(
      (protocol) =>
        `iptables -t nat -I OUTPUT -d ${EMBEDDED_DNS} -p ${protocol} --dport 53 -j DNAT --to-destination ${EMBEDDED_DNS}:${PORT} || exit 1`,
    ),
  ].join('\n');

/** Asks the resolver for the program's own name, by hand: a query for A of tampered.invalid and the address in its answer. */
const CONTROL = `perl -MSocket -e ${quote(
  `socket my $s, AF_INET, SOCK_DGRAM, 0; connect $s, pack_sockaddr_in(53, inet_aton("${EMBEDDED_DNS}")); ` +
    'send $s, pack("n6", 7, 256, 1, 0, 0, 0) . "\\x08tampered\\x07invalid\\0" . pack("n2", 1, 1), 0; ' +
    'my $r = ""; vec($r, fileno $s, 1) = 1; select($r, undef, undef, 5) or die "no answer\\n"; recv $s, my $a, 512, 0; print join ".", unpack "C4", substr $a, -4',
)}`;

const tampered = fault(
  'names-tampered',
  z.strictObject({
    /** Whose names: the tasks of a service; left out, of every task on the nodes, also of those that come later. */
    of: z.string().optional(),
    on: placeFields.on,
    how: z.enum(Object.keys(HOWS) as [How, ...How[]]),
    value: z.union([z.string(), z.number()]).default(''),
  }),
  {
    areas: ['dns'],
    describe: ({ of, on, how, value }) =>
      `${HOWS[how].replace('VALUE', String(value))}, in names that ${of === undefined ? 'every task' : `a task of ${of}`} is told${on === undefined ? '' : ` on ${[on].flat().join(' and ')}`}`,
    somewhere: (node, lot) => ({
      on: node,
      how: lot < 0.5 ? 'foreign' : 'lost',
      value: lot < 0.5 ? '192.0.2.9' : '',
    }),
    inflict: async (swarm, { of, on, how, value }): Promise<Damage> => {
      const resolved = await named(swarm, String(value));
      if (of === undefined) return everywhere(nodesOf(swarm, on), how, resolved);
      const places = await placesOf(swarm, { ...(on !== undefined && { on }), in: `tasks ${of}` });
      const log = (place: Place) => `/tmp/tampered-${place.name.replaceAll(/\W/g, '-')}`;
      for (const place of places) {
        await place.node.toolbox.must(install);
        const { text, status } = await place.run(tamper(log(place), how, resolved));
        if (status !== 0)
          throw new Unproven(`the names of ${place.name} could not be tampered with: ${text.trim()}`);
      }
      return {
        nodes: [...new Set(places.map(({ node }) => node.name))],
        there: async () => {
          for (const place of places) {
            const heard = (await place.must(CONTROL)).trim();
            if (heard !== '192.0.2.53')
              throw new Unproven(`${place.name} heard ${heard} for tampered.invalid`);
          }
          return `${places.map(({ name }) => name).join(', ')}: tampered.invalid is 192.0.2.53`;
        },
        met: async () =>
          met(await Promise.all(places.map((place) => place.node.toolbox.must(`cat ${log(place)}`)))),
      };
    },
  },
);

/** `vip SERVICE@NETWORK` and `task SERVICE@NETWORK` stand for addresses that are known only once the stack runs. */
async function named(swarm: Parameters<typeof nodesOf>[0], value: string): Promise<string> {
  const [, kind, name = '', network = ''] = /^(vip|task) (\S+)@(\S+)$/.exec(value) ?? [];
  if (!kind) return value;
  const { vips, tasks } = await swarm.service(name);
  const address = kind === 'vip' ? vips[network] : tasks[0]?.addresses[network];
  if (!address) throw new Unproven(`${value} has no address`);
  return address;
}

function met(logs: readonly string[]): string {
  const lines = logs.flatMap((text) => text.split('\n')).filter((line) => line !== '');
  if (lines.length === 0) throw new Unproven('no answer was changed');
  return `${lines.length} answers changed, the first to ${lines[0]}`;
}

/** In each namespace of a node that may be a task's; status 0 says that the script ended with 0 in one of them. */
const inEach = (script: string) =>
  [
    'n=1; for ns in /proc/1/root/run/docker/netns/*; do',
    '  case "$ns" in */lb_*|*/ingress_sbox|*/default) continue;; esac',
    `  nsenter --net="$ns" sh -c ${quote(script)} && n=0`,
    'done; exit $n',
  ].join('\n');

/** Whether a namespace has a DNS server before which nothing stands. */
const UNREACHED = [
  'iptables -t nat -S DOCKER_OUTPUT >/dev/null 2>&1 || exit 1',
  `! iptables -t nat -C OUTPUT -d ${EMBEDDED_DNS} -p udp --dport 53 -j DNAT --to-destination ${EMBEDDED_DNS}:${PORT} 2>/dev/null`,
].join('\n');

/** Every task of some nodes, whenever it comes: a loop looks for namespaces with a DNS server that nothing stands before yet. */
async function everywhere(nodes: ReturnType<typeof nodesOf>, how: How, value: string): Promise<Damage> {
  const log = '/tmp/tampered-everywhere';
  const inside = [
    `iptables -t nat -S OUTPUT 2>/dev/null | grep -q ":${PORT}" && exit 1`,
    tamper(log, how, value),
  ].join('\n');
  for (const node of nodes) {
    await node.toolbox.must(`${install}\n: > ${log}`);
    await hold(node, inEach(inside));
  }
  return {
    nodes: nodes.map(({ name }) => name),
    // Tasks that come later are reached later: where there is none yet, `met` is the proof.
    there: async () => {
      for (const { name, toolbox } of nodes) {
        const { status } = await toolbox.run(inEach(UNREACHED));
        if (status === 0) throw new Unproven(`a task of ${name} hears its own DNS server`);
      }
      return `nothing on ${nodes.map(({ name }) => name).join(', ')} hears its own DNS server`;
    },
    met: async () => met(await Promise.all(nodes.map(({ toolbox }) => toolbox.must(`cat ${log}`)))),
  };
}

export const dnsFaults = [tampered];
