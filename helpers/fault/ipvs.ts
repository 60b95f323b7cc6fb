/** Faults of IPVS: what the balancers of virtual IPs and of the routing mesh are made of. */
import { z } from 'zod';
import { INGRESS_SANDBOX } from '../swarm/agreement.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { networkIn, serviceIn } from '../swarm/view.ts';
import { type Damage, type Fault, fault, Unproven } from './fault.ts';
import { type Hold, hold } from './hold.ts';
import { nodeNames, nodesOf, type Place, placed, placeFields, placesOf } from './place.ts';

const address = z.ipv4();
/** The service whose entry is meant. In `ingress` its published port decides, in a balancer its virtual IP. */
const service = z.string();

/** Kernel's own listing: another source than ipvsadm, which clauses read. Addresses and marks are in hexadecimal there. */
const KERNEL_LIST = 'cat /proc/net/ip_vs';

/** One virtual service in the kernel's listing. */
export interface KernelService {
  mark: number;
  scheduler: string;
  servers: { address: string; weight: number }[];
}

/** Reads /proc/net/ip_vs (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show), services of marks alone. */
export function parseKernelList(text: string): KernelService[] {
  const services: KernelService[] = [];
  let current: KernelService | undefined;
  for (const line of text.split('\n')) {
    const virtual = /^(FWM|TCP|UDP|SCTP)\s+(\S+)\s+(\S+)/.exec(line);
    if (virtual) {
      current =
        virtual[1] === 'FWM'
          ? { mark: Number.parseInt(virtual[2] ?? '', 16), scheduler: virtual[3] ?? '', servers: [] }
          : undefined;
      if (current) services.push(current);
    }
    const real = /^\s+->\s+([0-9A-F]{8}):[0-9A-F]{4}\s+\S+\s+(\d+)/.exec(line);
    if (real)
      current?.servers.push({
        address: [0, 2, 4, 6].map((at) => Number.parseInt((real[1] ?? '').slice(at, at + 2), 16)).join('.'),
        weight: Number(real[2]),
      });
  }
  return services;
}

async function listed(place: Place): Promise<KernelService[]> {
  return parseKernelList(await place.must(KERNEL_LIST));
}

/** The entry of a service at a place: the mark its packets get there. */
async function entryAt(swarm: Swarm, place: Place, where: string, name: string): Promise<KernelService> {
  const view = await swarm.view();
  const { vips, ports, tasks } = serviceIn(view, name);
  const network =
    where === 'ingress'
      ? view.networks.find(({ ingress }) => ingress)
      : networkIn(view, where.split(' ')[1] ?? '');
  const marking = await place.must('iptables -t mangle -S');
  const [port] = ports.filter(({ mode }) => mode === 'ingress');
  const pattern =
    where === 'ingress'
      ? new RegExp(
          `-A PREROUTING -p ${port?.protocol} .*--dport ${port?.published} .*--set-x?mark (0x[0-9a-f]+)`,
        )
      : new RegExp(`-d ${vips[network?.name ?? '']?.replaceAll('.', '\\.')}/32 .*--set-x?mark (0x[0-9a-f]+)`);
  const mark = Number(pattern.exec(marking)?.[1] ?? Number.NaN);
  const entry = (await listed(place)).find((one) => one.mark === mark);
  if (!entry)
    throw new Unproven(`${place.name} has no IPVS service of ${name}, which has ${tasks.length} tasks`);
  return entry;
}

const target = z.strictObject({ ...placeFields, service });
type Target = z.output<typeof target>;

/** Does something to a service's entry at each place, and looks in the kernel's own list whether it is so. */
function onEntries<P extends Target>(
  act: (
    entry: KernelService,
    parameters: P,
  ) => { script: string; done: (now: KernelService[], before: KernelService) => boolean },
): Fault<P>['inflict'] {
  return async (swarm, parameters): Promise<Damage> => {
    const places = await placesOf(swarm, parameters);
    const acts = await Promise.all(
      places.map(async (place) => {
        const entry = await entryAt(swarm, place, parameters.in, parameters.service);
        return { place, entry, ...act(entry, parameters) };
      }),
    );
    for (const { place, script } of acts) await place.must(script);
    return {
      nodes: nodeNames(places),
      there: async () => {
        const seen: string[] = [];
        for (const { place, entry, done } of acts) {
          const now = await listed(place);
          const written = now.map(written1).join('; ');
          if (!done(now, entry)) throw new Unproven(`${place.name} is as it was: ${written}`);
          seen.push(`${place.name}: ${written}`);
        }
        return seen.join('\n');
      },
    };
  };
}

function written1({ mark, scheduler, servers }: KernelService): string {
  return `${mark} ${scheduler} ${servers.map((one) => `${one.address} weight ${one.weight}`).join(', ')}`;
}

const first = ({ servers }: KernelService) => {
  const [server] = servers;
  if (!server) throw new Unproven('the IPVS service has no server');
  return server.address;
};
const same = (now: readonly KernelService[], { mark }: KernelService) => now.find((one) => one.mark === mark);
const serverOf = (now: readonly KernelService[], entry: KernelService, address: string) =>
  same(now, entry)?.servers.find((one) => one.address === address);

const scheduler = fault('ipvs-scheduler', target.extend({ to: z.enum(['sh', 'lc', 'wrr']).default('sh') }), {
  areas: ['vip', 'mesh'],
  describe: ({ to, service, ...at }) => `the scheduler of ${service} is ${to} in ${placed(at)}`,
  inflict: onEntries(({ mark }, { to }) => ({
    script: `ipvsadm -E -f ${mark} -s ${to}`,
    done: (now, entry) => same(now, entry)?.scheduler === to,
  })),
});

const serverLost = fault('ipvs-server-lost', target, {
  areas: ['vip', 'mesh'],
  describe: ({ service, ...at }) => `one destination of ${service} is gone from ${placed(at)}`,
  inflict: onEntries((entry) => ({
    script: `ipvsadm -d -f ${entry.mark} -r ${first(entry)}`,
    done: (now) => same(now, entry) !== undefined && !serverOf(now, entry, first(entry)),
  })),
});

const serverAdded = fault('ipvs-server-added', target.extend({ address: address.default('192.0.2.1') }), {
  areas: ['vip', 'mesh'],
  describe: ({ service, address, ...at }) =>
    `${address}, which is no task, is a destination of ${service} in ${placed(at)}`,
  inflict: onEntries((entry, { address }) => ({
    script: `ipvsadm -a -f ${entry.mark} -r ${address} -m -w 1`,
    done: (now) => serverOf(now, entry, address) !== undefined,
  })),
});

const weight = fault('ipvs-weight', target.extend({ to: z.int().nonnegative() }), {
  areas: ['vip', 'mesh'],
  describe: ({ service, to, ...at }) => `one destination of ${service} has weight ${to} in ${placed(at)}`,
  inflict: onEntries((entry, { to }) => ({
    script: `ipvsadm -e -f ${entry.mark} -r ${first(entry)} -m -w ${to}`,
    done: (now) => serverOf(now, entry, first(entry))?.weight === to,
  })),
});

/** So far from every number an engine gives, which counts up from 256. */
const ELSEWHERE = 1000;

const moved = fault('ipvs-service-moved', target, {
  areas: ['vip', 'mesh'],
  describe: ({ service, ...at }) =>
    `the IPVS service of ${service} has another number than its mark in ${placed(at)}`,
  inflict: onEntries((entry) => {
    const to = entry.mark + ELSEWHERE;
    return {
      script: [
        `ipvsadm -A -f ${to} -s ${entry.scheduler}`,
        ...entry.servers.map((one) => `ipvsadm -a -f ${to} -r ${one.address} -m -w ${one.weight}`),
        `ipvsadm -D -f ${entry.mark}`,
      ].join(' && '),
      done: (now) => !same(now, entry) && now.some(({ mark }) => mark === to),
    };
  }),
});

const foreign = fault(
  'ipvs-service-added',
  z.strictObject({ ...placeFields, mark: z.int(), ipv6: z.boolean().default(false) }),
  {
    areas: ['vip', 'mesh'],
    describe: ({ mark, ipv6, ...at }) =>
      `an IPVS service of nobody${ipv6 ? ', of IPv6,' : ''} has the number ${mark} in ${placed(at)}`,
    inflict: async (swarm, { mark, ipv6, ...at }) => {
      const places = await placesOf(swarm, at);
      const six = ipv6 ? ' -6' : '';
      const server = ipv6 ? '[fd00:77::9]' : '192.0.2.1';
      for (const place of places)
        await place.must(
          `ipvsadm -A -f ${mark}${six} -s rr && ipvsadm -a -f ${mark}${six} -r ${server} -m -w 1`,
        );
      return {
        nodes: nodeNames(places),
        there: async () => {
          const seen: string[] = [];
          for (const place of places) {
            const list = await place.must(KERNEL_LIST);
            const hex = mark.toString(16).toUpperCase().padStart(8, '0');
            if (!list.includes(`FWM  ${hex}`))
              throw new Unproven(`${place.name} has no IPVS service ${mark}:\n${list}`);
            seen.push(`${place.name} has FWM ${hex}`);
          }
          return seen.join('\n');
        },
      };
    },
  },
);

const timeouts = fault(
  'ipvs-timeouts',
  z.strictObject({ ...placeFields, to: z.tuple([z.int(), z.int(), z.int()]) }),
  {
    areas: ['sys', 'vip'],
    describe: ({ to, ...at }) => `IPVS forgets idle connections after ${to.join(', ')} s in ${placed(at)}`,
    inflict: async (swarm, { to, ...at }) => {
      const places = await placesOf(swarm, at);
      for (const place of places) await place.must(`ipvsadm --set ${to.join(' ')}`);
      return {
        nodes: nodeNames(places),
        there: async () => {
          const seen = await Promise.all(places.map((place) => place.must('ipvsadm -L --timeout')));
          const wrong = seen.find((text) => !text.includes(to.join(' ')));
          if (wrong !== undefined) throw new Unproven(`timeouts are: ${wrong}`);
          return seen.join('\n');
        },
      };
    },
  },
);

/** In all balancers of a node, also those that come later. */
const everyBalancer = (script: string) =>
  [
    'did=1',
    `for ns in /proc/1/root/run/docker/netns/lb_* /proc/1/root/run/docker/netns/${INGRESS_SANDBOX}; do`,
    `  [ -e "$ns" ] && nsenter --net="$ns" sh -c '${script}' && did=0`,
    'done; exit $did',
  ].join('\n');

/** By name, what is done again and again: damage in every balancer of some nodes, whenever there is something to damage. No apostrophe in it. */
export const HELD = {
  scheduler: {
    title: 'the scheduler of every IPVS service is sh',
    script:
      'n=1; for f in $(ipvsadm -Sn | grep -- "^-A .*-s rr" | cut -d " " -f 3); do ipvsadm -E -f $f -s sh && n=0; done; exit $n',
  },
  'weight-0': {
    title: 'the first destination of every IPVS service of several gets nothing',
    script:
      'n=1; for f in $(ipvsadm -Sn | grep -- "^-A" | cut -d " " -f 3); do set -- $(ipvsadm -Sn | grep -- "^-a -f $f " | grep -v "w 0" | cut -d " " -f 5); [ $# -gt 1 ] && ipvsadm -e -f $f -r $1 -m -w 0 && n=0; done; exit $n',
  },
  'weight-back': {
    title: 'whatever has weight 0 gets weight 1 again',
    script:
      't=$TMPDIR; [ -n "$t" ] || t=/tmp; n=1; ipvsadm -Sn | grep -- "-w 0" > $t/zero.$$; while read -r a f m r s rest; do ipvsadm -e $f $m $r $s -m -w 1 && n=0; done < $t/zero.$$; rm -f $t/zero.$$; exit $n',
  },
  ghosts: {
    title: 'every destination that there was stays one',
    script:
      't=$TMPDIR; [ -n "$t" ] || t=/tmp; k=$t/seen.$(stat -Lc %i /proc/self/ns/net); touch $k; n=1; ipvsadm -Sn | grep -- "^-a" > $k.now; while read -r l; do grep -qxF -- "$l" $k.now || { ipvsadm $l 2>/dev/null && n=0; }; done < $k; cat $k $k.now | sed "s/-w 0/-w 1/" | sort -u > $k.new; mv $k.new $k; exit $n',
  },
  'counters-zeroed': { title: 'the counters of IPVS are set to 0 again and again', script: 'ipvsadm -Z' },
} as const;
type Holding = keyof typeof HELD;

const held = fault(
  'ipvs-held',
  z.strictObject({
    on: placeFields.on,
    what: z.enum(Object.keys(HELD) as [Holding, ...Holding[]]),
  }),
  {
    areas: ['vip', 'mesh'],
    describe: ({ on, what }) =>
      `${HELD[what].title}, in every balancer of ${on === undefined ? 'every node' : [on].flat().join(' and ')}, again and again`,
    somewhere: (node, lot) => ({ on: node, what: lot < 0.5 ? 'scheduler' : 'weight-0' }),
    inflict: async (swarm, { on, what }) => {
      const nodes = nodesOf(swarm, on);
      const holds: Hold[] = [];
      for (const node of nodes) holds.push(await hold(node, everyBalancer(HELD[what].script)));
      return {
        nodes: nodes.map(({ name }) => name),
        met: async () => {
          const deeds = await Promise.all(holds.map((one) => one.deeds()));
          const sum = deeds.reduce((total, one) => total + one, 0);
          if (sum === 0) throw new Unproven('no balancer gave the loop anything to do');
          return `rounds that did damage: ${deeds.join(', ')}`;
        },
      };
    },
  },
);

export const ipvsFaults = [scheduler, serverLost, serverAdded, weight, moved, foreign, timeouts, held];
