import type { NamespaceState } from '../observe/node.ts';
import {
  condition,
  destination,
  destinationPort,
  protocol,
  type Rule,
  setMark,
  toDestination,
} from '../observe/parse/iptables.ts';
import { virtualService } from '../swarm/agreement.ts';
import { chainRules, INGRESS_CHAIN } from '../swarm/ingress.ts';
import { EMBEDDED_DNS } from '../swarm/network.ts';
import type { NetworkView, ServiceView, TaskView } from '../swarm/view.ts';
import { type Destination, destinationOf, firstNode, type Published, tasksAt } from './destination.ts';
import { droppedBy } from './drops.ts';
import type { NodeSeen, Outcome, WalkEvidence } from './evidence.ts';
import type { Fact, Hop, Leg, Walk } from './model.ts';
import { failuresOf, times } from './routes.ts';

/**
 * Tells the way that packets took from what was seen: which hops there are, what is known of each, and which of them is broken.
 *
 * A hop is broken when what was seen there cannot carry the packets; when nothing that was seen explains why requests fail, the
 * tasks from which no answer came are. What is said holds for the moment at which the nodes were looked at.
 *
 * @returns undefined for requests to places outside of what services offer.
 */
export function follow(evidence: WalkEvidence): Walk | undefined {
  const goal = destinationOf(evidence, evidence.view, evidence.nodes);
  if (!goal) return undefined;
  return new Follower(evidence, goal).walk();
}

/** How many alternatives are drawn one by one; the others are told together. */
const MOST_BRANCHES = 6;

/** A hop before it is known whether packets come there. */
type NewHop = Omit<Hop, 'state' | 'why'> & { seen?: boolean; wrong?: string | undefined };

/** An address that packets may go on to, and the task that has it. */
interface Branch {
  address: string;
  task: TaskView | undefined;
}

class Follower {
  readonly #evidence: WalkEvidence;
  readonly #goal: Destination;
  readonly #hops: Hop[] = [];
  readonly #legs: Leg[] = [];
  /** Tasks' hops: the ends of the way, with the answers that came from each. */
  readonly #ends = new Map<string, number>();
  readonly #failures: number;
  readonly #asked: number;

  constructor(evidence: WalkEvidence, goal: Destination) {
    this.#evidence = evidence;
    this.#goal = goal;
    this.#failures = failuresOf(evidence);
    this.#asked = times(evidence.outcomes);
  }

  walk(): Walk {
    const asker = this.#asker();
    const goal = this.#goal;
    const start = this.#evidence.asked.name === undefined ? asker : this.#dns(asker);
    if (goal.kind === 'name') this.#answers(start, goal.name);
    else if (goal.kind === 'virtual-ip') this.#virtualIp(start, goal);
    else if (goal.kind === 'tasks') this.#direct(start, goal.network, goal.tasks);
    else this.#port(start, goal);
    this.#settle();
    return {
      title: this.#title(),
      result: this.#result(),
      troubled: this.#failures > 0 || this.#hops.some(({ state }) => state === 'broken'),
      seenAt: this.#evidence.at,
      hops: this.#hops,
      legs: this.#legs,
      nodes: Object.fromEntries(this.#evidence.nodes.map(({ name, address }) => [name, address])),
    };
  }

  // --- the parts of the way ------------------------------------------------------------------------------------------

  #asker(): string {
    const { from, view, outcomes } = this.#evidence;
    const source = outcomes.find((one) => one.source)?.source;
    const facts = [...(source ? [fact('sends from', source)] : []), fact('requests', `${this.#asked}`)];
    if (from.kind === 'outsider')
      return this.#hop({
        id: 'client',
        node: null,
        namespace: null,
        title: 'Client outside the Swarm',
        facts: [fact('address', from.address), ...facts],
      });
    const on = { id: 'client', node: from.node };
    if (from.kind !== 'process') {
      const namespace = from.kind === 'host' ? HOST : from.name;
      return this.#hop({ ...on, namespace, title: `Client on ${from.node}`, facts });
    }
    const task = view.services
      .flatMap(({ tasks }) => tasks)
      .find(({ node, pid }) => node === from.node && pid === from.pid);
    const own = Object.entries(task?.addresses ?? {}).map(([network, address]) =>
      fact(`on ${network}`, address),
    );
    const state = this.#node(from.node)?.processes?.[from.pid];
    const to = this.#packet();
    const wrong =
      state === null
        ? 'its network namespace is gone'
        : this.#failures > 0
          ? droppedBy(state, to)
          : undefined;
    return this.#hop({
      ...on,
      namespace: `task ${from.what}`,
      title: `Client ${from.what}`,
      facts: [...own, ...facts],
      wrong,
    });
  }

  /** The embedded DNS, which answers inside the asker's own namespace. */
  #dns(asker: string): string {
    const { from, asked, outcomes } = this.#evidence;
    const { name = '' } = asked;
    const rule =
      from.kind === 'process'
        ? chainRules(this.#process(from.node, from.pid), 'nat', 'DOCKER_OUTPUT').find(
            (one) => one.jump === 'DNAT' && protocol(one)?.value === 'udp',
          )
        : undefined;
    const seen = from.kind === 'process' ? this.#process(from.node, from.pid)?.rules : undefined;
    const said = [...Map.groupBy(outcomes, answerText)].map(([text, alike]) =>
      fact(`answered ${times(alike)}×`, text),
    );
    const facts = [
      fact('asked for', `${name}, type A`),
      ...(rule ? [fact('DNAT to', `${toDestination(rule)} (${rule.packets ?? 0} packets)`)] : []),
      ...said.slice(0, MOST_BRANCHES),
    ];
    const place =
      from.kind === 'outsider'
        ? { node: null, namespace: null }
        : { node: from.node, namespace: from.kind === 'process' ? `task ${from.what}` : HOST };
    const wrong = seen && !rule ? 'nat DOCKER_OUTPUT has no DNAT rule for port 53' : this.#wrongAnswer(name);
    return this.#hop({ id: 'dns', ...place, title: `Embedded DNS ${EMBEDDED_DNS}`, facts, wrong }, asker);
  }

  /** What is wrong with what the DNS said, when the name is that of a service the asker shares a network with. */
  #wrongAnswer(name: string): string | undefined {
    const unheard = this.#evidence.outcomes.find(({ answers, error }) => answers === undefined && error);
    if (unheard) return `no answer: ${unheard.error}`;
    const due = this.#due(name);
    if (due.length === 0) return undefined;
    for (const outcome of this.#evidence.outcomes) {
      const { answers = [], truncated } = outcome;
      if (truncated || due.some((set) => sameSet(set, answers))) continue;
      return `answered ${answerText(outcome)}, due ${due.map((set) => set.join(' ')).join(' or ')}`;
    }
    return undefined;
  }

  /** The sets of addresses, one for each network, of which DNS owes the asker one; none when the name is not a service's. */
  #due(name: string): string[][] {
    const { from, view } = this.#evidence;
    if (from.kind !== 'process') return [];
    const asker = view.services
      .flatMap(({ tasks }) => tasks)
      .find(({ node, pid }) => node === from.node && pid === from.pid);
    const plain = name.replace(/\.$/, '');
    return view.networks
      .filter((network) => !network.ingress && asker?.addresses[network.name])
      .flatMap(({ name: network }) => {
        const short = plain.endsWith(`.${network}`) ? plain.slice(0, -network.length - 1) : plain;
        const own = view.services.find(
          (one) => one.networks.includes(network) && [one.name, `tasks.${one.name}`].includes(short),
        );
        if (!own) return [];
        const vip = own.vips[network];
        if (short === own.name && own.endpointMode === 'vip') return vip ? [[vip]] : [];
        return [own.tasks.flatMap(({ addresses }) => addresses[network] ?? [])];
      })
      .filter((set) => set.length > 0);
  }

  /** Where the addresses in DNS answers lie, when nothing was sent there. */
  #answers(from: string, name: string): void {
    const { outcomes, view } = this.#evidence;
    const answered = times(outcomes.filter(({ answers }) => answers));
    const heard = outcomes.flatMap(({ answers = [] }) => answers);
    const due = this.#due(name);
    const best = due.find((set) => set.some((address) => heard.includes(address))) ?? due[0] ?? [];
    const branches = [...new Set([...best, ...heard])].map((address) => ({
      address,
      task: this.#taskAt(address),
    }));
    this.#branch(from, branches, ({ address, task }) => {
      const service = view.services.find(({ vips }) => Object.values(vips).includes(address));
      const named = times(outcomes.filter(({ answers = [] }) => answers.includes(address)));
      const owner = task
        ? taskName(task)
        : service
          ? `Virtual IP of ${service.name}`
          : `No task has ${address}`;
      const place = task
        ? { node: task.node, namespace: `task ${taskName(task)}` }
        : { node: null, namespace: null };
      const facts = [fact('address', address), fact('in answers', `${named} of ${answered}`)];
      this.#ends.set(this.#hop({ id: `answer ${address}`, ...place, title: owner, facts }, from), named);
    });
  }

  #virtualIp(from: string, { service, network, vip }: Extract<Destination, { kind: 'virtual-ip' }>): void {
    const entry = this.#entry();
    const state = entry?.balancer;
    const namespace = `balancer of ${network.name}`;
    const link = state?.links?.find(({ addresses }) => addresses.some(({ address }) => address === vip));
    const place = { node: entry?.name ?? null, namespace };
    const known = this.#hop(
      {
        id: 'virtual IP',
        ...place,
        title: `Virtual IP ${vip}`,
        facts: [
          fact('service', service.name),
          ...(state ? [fact('namespace', state.name)] : []),
          ...(link ? [fact('address of', `${link.name}, ${link.mac ?? ''}`)] : []),
        ],
        seen: state !== undefined,
        wrong:
          state === null
            ? `${entry?.name} has no balancer namespace for ${network.name}`
            : state?.links && !link
              ? `no interface of the balancer has ${vip}, so nobody answers for it`
              : this.#failures > 0
                ? droppedBy(state, { ...this.#packet(), to: vip })
                : undefined,
      },
      from,
    );
    const chain = entry?.markChain ?? '';
    const rule = chainRules(state ?? undefined, 'mangle', chain).find(
      (one) => destination(one)?.value === `${vip}/32`,
    );
    this.#balanced(known, { state, namespace, rule, chain, asks: `-d ${vip}/32` }, network, service);
  }

  #port(from: string, goal: Extract<Destination, { kind: 'port' }>): void {
    const entry = this.#entry();
    const { published, port } = goal;
    const { protocol: proto } = this.#evidence.asked;
    const mesh = published === null || published.mode !== 'host';
    const chain = mesh ? INGRESS_CHAIN : 'DOCKER';
    const rules = chainRules(entry?.host ?? undefined, 'nat', chain);
    const rule = rules.find(
      (one) =>
        one.jump === 'DNAT' && destinationPort(one)?.value === String(port) && protocol(one)?.value === proto,
    );
    const sender = this.#evidence.from;
    const first = sender.kind === 'host' && sender.node === goal.entry ? 'OUTPUT' : 'PREROUTING';
    const led =
      !entry?.host?.rules || chainRules(entry.host, 'nat', first).some(({ jump }) => jump === chain);
    const inside = rule ? toDestination(rule) : null;
    const at = this.#hop(
      {
        id: 'port',
        node: goal.entry,
        namespace: HOST,
        title: `${mesh ? 'Published port' : 'Host port'} ${port}/${proto}`,
        facts: [
          fact('on', `${goal.entry}, ${entry?.address ?? ''}`),
          fact('service', published ? `${published.service.name}, port ${published.target}` : 'none'),
          ...(rule ? [fact('DNAT to', `${inside} (${rule.packets ?? 0} packets)`)] : []),
        ],
        seen: entry?.host !== undefined,
        wrong: !entry?.host?.rules
          ? undefined
          : !led
            ? `nat ${first} has no jump to ${chain}`
            : !rule
              ? `nat ${chain} has no DNAT rule for ${proto} port ${port}`
              : this.#failures > 0
                ? droppedBy(entry.host, this.#packet())
                : undefined,
      },
      from,
    );
    if (!published) return;
    if (published.mode === 'host') this.#hosted(at, goal.entry, published, inside);
    else this.#mesh(at, published, inside);
  }

  #mesh(from: string, { service }: Published, inside: string | null): void {
    const entry = this.#entry();
    const network = this.#evidence.view.networks.find(({ ingress }) => ingress);
    if (!entry || !network) return;
    const { asked } = this.#evidence;
    const state = entry.balancer;
    const namespace = 'ingress_sbox';
    const rule = chainRules(state ?? undefined, 'mangle', 'PREROUTING').find(
      (one) => destinationPort(one)?.value === String(asked.port) && protocol(one)?.value === asked.protocol,
    );
    const address = inside?.split(':')[0];
    const link = state?.links?.find(({ addresses }) => addresses.some((one) => one.address === address));
    const gate = this.#hop(
      {
        id: 'sandbox',
        node: entry.name,
        namespace,
        title: 'Ingress sandbox',
        facts: link && address ? [fact('in by', `${link.name}, ${address} on docker_gwbridge`)] : [],
        seen: state !== undefined,
        wrong:
          state === null
            ? `${entry.name} has no namespace ingress_sbox`
            : state?.links && address && !link
              ? `no interface of it has ${address}, to which the port is translated`
              : this.#failures > 0
                ? droppedBy(state, { ...this.#packet(), ...(address && { to: address }) })
                : undefined,
      },
      from,
    );
    const asks = `-p ${asked.protocol} --dport ${asked.port}`;
    this.#balanced(gate, { state, namespace, rule, chain: 'PREROUTING', asks }, network, service);
  }

  #hosted(from: string, node: string, { service, target }: Published, inside: string | null): void {
    const [address = '', port] = inside?.split(':') ?? [];
    const tasks = service.tasks.filter((one) => one.node === node);
    const seen = tasks.filter((task) => this.#process(node, task.pid)?.links !== undefined);
    const owner =
      address !== '' && seen.length > 0
        ? seen.find((task) => hasAddress(this.#process(node, task.pid), address))
        : tasks[0];
    if (owner) {
      const facts = [...(address ? [fact('on docker_gwbridge', `${address}, port ${port ?? target}`)] : [])];
      this.#end(from, owner, facts, undefined);
      return;
    }
    const wrong =
      tasks.length === 0
        ? `no task of ${service.name} runs on ${node}`
        : `no task of ${service.name} on ${node} has ${address}`;
    this.#hop(
      { id: 'nobody', node, namespace: HOST, title: `Task of ${service.name}`, facts: [], wrong },
      from,
    );
  }

  #direct(from: string, network: NetworkView, tasks: readonly TaskView[]): void {
    const branches = tasks.map((task) => ({ address: task.addresses[network.name] ?? '', task }));
    this.#branch(from, branches, ({ address, task }) => this.#onward(from, network, address, task));
  }

  /** From what marks packets to the tasks: the mark, IPVS, and each real server. */
  #balanced(
    from: string,
    by: {
      state: NamespaceState | null | undefined;
      namespace: string;
      rule: Rule | undefined;
      chain: string;
      asks: string;
    },
    network: NetworkView,
    service: ServiceView,
  ): void {
    const state = by.state ?? undefined;
    const place = { node: this.#entry()?.name ?? null, namespace: by.namespace };
    const mark = by.rule && setMark(by.rule);
    const marked = this.#hop(
      {
        id: 'mark',
        ...place,
        title: mark ? `Mark ${hex(mark)}` : 'Mark',
        facts: by.rule
          ? [fact(`mangle ${by.chain}`, by.asks), fact('packets', `${by.rule.packets ?? 0}`)]
          : [],
        seen: state?.rules !== undefined,
        wrong: state?.rules && !mark ? `no rule in mangle ${by.chain} marks ${by.asks}` : undefined,
      },
      from,
    );
    const table = state && mark ? virtualService(state, mark) : undefined;
    const stats = state?.stats?.find((one) => one.kind === 'fwmark' && one.fwmark === mark);
    const servers = table?.realServers ?? [];
    const balanced = this.#hop(
      {
        id: 'IPVS',
        ...place,
        title: mark ? `IPVS FWM ${mark}` : 'IPVS',
        facts: table
          ? [
              fact('scheduler', table.scheduler),
              fact('real servers', `${servers.length}`),
              ...(stats ? [fact('connections', `${stats.stats.connections}`)] : []),
            ]
          : [],
        seen: state?.ipvs !== undefined,
        wrong:
          !state?.ipvs || !mark
            ? undefined
            : !table
              ? `mark ${hex(mark)} has no IPVS service`
              : servers.every(({ weight }) => weight === 0)
                ? servers.length === 0
                  ? 'it has no real server'
                  : 'no real server has a weight'
                : undefined,
      },
      marked,
    );
    // What IPVS passes on carries the balancer's address, so that the answer comes back through it.
    const snat = chainRules(state, 'nat', 'POSTROUTING').find(
      (one) => one.jump === 'SNAT' && one.args.includes('--ipvs'),
    );
    const direct = servers.length > 0 && servers.every(({ method }) => method === 'Route');
    const masked = direct
      ? balanced
      : this.#hop(
          {
            id: 'SNAT',
            ...place,
            title: snat ? `SNAT to ${condition(snat, '--to-source')?.value}` : 'SNAT',
            facts: snat
              ? [
                  fact('nat POSTROUTING', `-d ${destination(snat)?.value ?? 'any'}`),
                  fact('packets', `${snat.packets ?? 0}`),
                ]
              : [],
            seen: state?.rules !== undefined,
            wrong:
              state?.rules && !snat
                ? 'nat POSTROUTING has no SNAT rule for what IPVS passes on: answers do not come back this way'
                : undefined,
          },
          balanced,
        );
    const tasks = service.tasks.flatMap((task) => ({ address: task.addresses[network.name] ?? '', task }));
    const strangers = servers.filter(({ address }) => !tasks.some((one) => one.address === address));
    const branches: Branch[] = [
      ...tasks,
      ...strangers.map(({ address }) => ({ address, task: this.#taskAt(address) })),
    ];
    this.#branch(masked, branches, ({ address, task }) => {
      const server = servers.find((one) => one.address === address);
      const counted = stats?.realServers.find((one) => one.address === address)?.stats;
      const due = service.tasks.some(({ addresses }) => addresses[network.name] === address);
      const wrong = !table
        ? undefined
        : !server
          ? `IPVS has no real server ${address}`
          : due && server.weight === 0
            ? 'weight 0: it gets no new connections'
            : !due && server.weight > 0
              ? `no running task of ${service.name} has this address`
              : undefined;
      const hop = this.#hop(
        {
          id: `server ${address}`,
          ...place,
          title: `Real server ${address}`,
          facts: server
            ? [
                fact('forwards by', `${server.method}, weight ${server.weight}`),
                ...(counted
                  ? [
                      fact(
                        'connections',
                        `${counted.connections} (${counted.inPackets} packets in, ${counted.outPackets} out)`,
                      ),
                    ]
                  : []),
              ]
            : [],
          seen: state?.ipvs !== undefined,
          wrong,
        },
        masked,
      );
      if (task) this.#onward(hop, network, address, task, by.namespace === 'ingress_sbox');
    });
  }

  /** From an address on an overlay to the task that has it: over VXLAN when that is on another node. */
  #onward(
    from: string,
    network: NetworkView,
    address: string,
    task: TaskView | undefined,
    published = false,
  ): void {
    if (!task) return;
    const start = this.#entry();
    const target = this.#node(task.node);
    let at = from;
    if (start && start.name !== task.node) {
      at = this.#departs(from, start, target, network, address);
      at = this.#arrives(at, start, target, network, address);
    }
    this.#end(at, task, [fact(`on ${network.name}`, address)], { network, address, published });
  }

  /** The overlay's namespace on the node that packets leave. */
  #departs(
    from: string,
    start: NodeSeen,
    target: NodeSeen | undefined,
    network: NetworkView,
    address: string,
  ): string {
    const state = start.overlay;
    if (state === undefined) return from;
    const neighbour = state?.neighbours?.find((one) => one.address === address && one.mac);
    const rows = state?.forwarding?.filter((one) => one.mac === neighbour?.mac && one.node) ?? [];
    const vxlan = vxlanOf(state, neighbour?.link);
    const leads = rows.map(({ node }) => node);
    const other = this.#evidence.nodes.find(
      (one) => one.name !== target?.name && leads.includes(one.address),
    );
    // Traffic that passes proves the way, however it is written down.
    const trouble = this.#failures > 0;
    const wrong =
      state === null
        ? `${start.name} has no namespace of ${network.name}`
        : !vxlan && state.links
          ? 'it has no VXLAN interface'
          : vxlan && !vxlan.up
            ? `${vxlan.name} is down`
            : !trouble
              ? undefined
              : state.neighbours && !neighbour
                ? `no neighbour entry for ${address}`
                : state.forwarding && leads.length === 0
                  ? `no FDB row says behind which node ${neighbour?.mac} is`
                  : other && !leads.includes(target?.address)
                    ? `FDB leads to ${other.name} (${other.address}), the task runs on ${target?.name}`
                    : droppedBy(start.host, {
                        protocol: 'udp',
                        port: vxlan?.vxlan?.port ?? 4789,
                        from: start.address,
                        ...(target && { to: target.address }),
                        crosses: true,
                      });
    return this.#hop(
      {
        id: `leaves for ${address}`,
        node: start.name,
        namespace: `overlay ${network.name}`,
        title: `VXLAN to ${target?.name ?? 'another node'}`,
        facts: [
          ...(vxlan?.vxlan ? [fact('VNI', `${vxlan.vxlan.vni}, UDP ${vxlan.vxlan.port}`)] : []),
          ...(neighbour ? [fact('neighbour', `${neighbour.mac}`)] : []),
          ...(leads.length > 0 ? [fact('FDB', `behind ${leads.join(' and ')}`)] : []),
        ],
        wrong,
      },
      from,
    );
  }

  /** The overlay's namespace on the node that packets reach. */
  #arrives(
    from: string,
    start: NodeSeen,
    target: NodeSeen | undefined,
    network: NetworkView,
    address: string,
  ): string {
    const state = target?.overlay;
    if (!target || state === undefined) return from;
    const vxlan = vxlanOf(state);
    const sent = vxlanOf(start.overlay)?.vxlan?.vni;
    const sameSubnet = (state?.links?.filter(({ kind }) => kind === 'vxlan').length ?? 0) === 1;
    const wrong =
      state === null
        ? `${target.name} has no namespace of ${network.name}`
        : state.links && !vxlan
          ? 'it has no VXLAN interface'
          : vxlan && !vxlan.up
            ? `${vxlan.name} is down`
            : sameSubnet && sent !== undefined && vxlan?.vxlan && vxlan.vxlan.vni !== sent
              ? `it has VNI ${vxlan.vxlan.vni}, ${start.name} sends with ${sent}`
              : this.#failures > 0
                ? droppedBy(target.host, {
                    protocol: 'udp',
                    port: vxlan?.vxlan?.port ?? 4789,
                    from: start.address,
                    to: target.address,
                    crosses: true,
                  })
                : undefined;
    const facts = vxlan?.vxlan
      ? [fact('from', start.address), fact('VNI', `${vxlan.vxlan.vni}, UDP ${vxlan.vxlan.port}`)]
      : [];
    return this.#hop(
      {
        id: `arrives for ${address}`,
        node: target.name,
        namespace: `overlay ${network.name}`,
        title: `VXLAN on ${target.name}`,
        facts,
        wrong,
      },
      from,
    );
  }

  /** The task, with the rule by which a port of the mesh becomes its own. */
  #end(
    from: string,
    task: TaskView,
    known: readonly Fact[],
    on: { network: NetworkView; address: string; published: boolean } | undefined,
  ): void {
    const target = this.#node(task.node);
    const state = target?.processes?.[task.pid];
    const place = { node: task.node, namespace: `task ${taskName(task)}` };
    let at = from;
    const { asked, outcomes } = this.#evidence;
    const published = this.#goal.kind === 'port' ? this.#goal.published : null;
    if (on?.published && state?.rules) {
      const rule = chainRules(state, 'nat', 'PREROUTING').find(
        (one) =>
          one.jump === 'REDIRECT' &&
          destinationPort(one)?.value === String(asked.port) &&
          protocol(one)?.value === asked.protocol,
      );
      at = this.#hop(
        {
          id: `redirect ${task.id}`,
          ...place,
          title: `REDIRECT ${asked.port} to ${rule ? condition(rule, '--to-ports')?.value : (published?.target ?? '')}`,
          facts: rule ? [fact('packets', `${rule.packets ?? 0}`)] : [],
          wrong:
            !rule && asked.port !== published?.target
              ? `nat PREROUTING has no REDIRECT rule for ${asked.protocol} port ${asked.port}`
              : undefined,
        },
        at,
      );
    }
    const own = outcomes.filter(({ container, address }) =>
      container ? task.container.startsWith(container) : asked.protocol === 'icmp' && address === on?.address,
    );
    const answered = times(own.filter(({ error }) => error === undefined));
    const saw = own.find(({ peer }) => peer)?.peer;
    const wrong =
      state === null
        ? 'its process is gone'
        : state?.links && on && !hasAddress(state, on.address)
          ? `no interface of it has ${on.address}`
          : this.#failures > 0
            ? droppedBy(state, { ...this.#packet(), ...(on && { to: on.address }) })
            : undefined;
    const id = this.#hop(
      {
        id: `task ${task.id}`,
        ...place,
        title: taskName(task),
        facts: [
          ...known,
          fact('container', task.container.slice(0, 12)),
          ...(saw ? [fact('sees client as', saw)] : []),
          fact('answered', `${answered} of ${this.#asked}`),
        ],
        seen: answered > 0 || state !== undefined,
        wrong,
      },
      at,
    );
    this.#ends.set(id, answered);
  }

  // --- helpers ---------------------------------------------------------------------------------------------------------

  /** Adds a hop behind another. */
  #hop({ seen = true, wrong, ...hop }: NewHop, from?: string, label?: string): string {
    this.#hops.push({
      ...hop,
      state: wrong ? 'broken' : seen ? 'stands' : 'unseen',
      ...(wrong && { why: wrong }),
    });
    if (from !== undefined) this.#legs.push({ from, to: hop.id, ...(label && { label }) });
    return hop.id;
  }

  /** Follows each of several alternatives; of many alike only some, with a word on the others. */
  #branch(from: string, branches: readonly Branch[], go: (branch: Branch) => void): void {
    const before = this.#hops.length;
    for (const branch of branches) go(branch);
    if (branches.length <= MOST_BRANCHES) return;
    // Every one is followed, so that none that is broken is left out of the drawing.
    const added = this.#hops.slice(before);
    const heads = this.#legs
      .filter((leg) => leg.from === from && added.some(({ id }) => id === leg.to))
      .map(({ to }) => to);
    const broken = heads.filter((head) => this.#behind(head).some(({ state }) => state === 'broken'));
    const kept = new Set(
      [...broken, ...heads.filter((head) => !broken.includes(head))].slice(0, MOST_BRANCHES - 1),
    );
    const left = heads.filter((head) => !kept.has(head));
    const gone = new Set(left.flatMap((head) => this.#behind(head)).map(({ id }) => id));
    const answered = left
      .flatMap((head) => this.#behind(head))
      .reduce((sum, { id }) => sum + (this.#ends.get(id) ?? 0), 0);
    const stillBroken = left.filter((head) => broken.includes(head)).length;
    remove(this.#hops, ({ id }) => gone.has(id));
    remove(this.#legs, ({ from, to }) => gone.has(from) || gone.has(to));
    for (const id of gone) this.#ends.delete(id);
    this.#hop(
      {
        id: 'others',
        node: null,
        namespace: null,
        title: `${left.length} more`,
        facts: answered > 0 ? [fact('answered', `${answered} of ${this.#asked}`)] : [],
        wrong: stillBroken > 0 ? `${stillBroken} of them are broken, too` : undefined,
      },
      from,
    );
  }

  /** A hop and all that come after it. */
  #behind(id: string): Hop[] {
    const own = this.#hops.filter((hop) => hop.id === id);
    return [...own, ...this.#legs.filter(({ from }) => from === id).flatMap(({ to }) => this.#behind(to))];
  }

  /** Finds out which hops packets reach, and blames tasks that stay silent where nothing else explains it. */
  #settle(): void {
    const reached = new Set<string>();
    const go = (id: string): void => {
      reached.add(id);
      if (this.#hops.find((hop) => hop.id === id)?.state === 'broken') return;
      for (const { from, to } of this.#legs) if (from === id) go(to);
    };
    go('client');
    const explained = this.#hops.some(({ id, state }) => state === 'broken' && reached.has(id));
    for (const [at, hop] of this.#hops.entries()) {
      const answered = this.#ends.get(hop.id);
      // One that answered was reached, whatever stands on its way now.
      if (!reached.has(hop.id) && !answered) this.#hops[at] = withState(hop, 'unreached');
      if (reached.has(hop.id) && answered === 0 && this.#failures > 0 && !explained)
        this.#hops[at] = withState(hop, 'broken', `no answer came from it: ${this.#errors()}`);
    }
  }

  #title(): string {
    const { from, asked } = this.#evidence;
    const who =
      from.kind === 'outsider'
        ? 'A client outside the Swarm'
        : from.kind === 'process'
          ? `${from.what} on ${from.node}`
          : from.node;
    const port =
      asked.port === undefined
        ? asked.protocol.toUpperCase()
        : `${asked.protocol.toUpperCase()} port ${asked.port}`;
    const goal = this.#goal;
    if (goal.kind === 'name') return `${who} asks DNS for ${goal.name}`;
    const named = asked.name === undefined ? '' : ` by its name ${asked.name}`;
    if (goal.kind === 'virtual-ip')
      return `${who} asks ${goal.service.name}${named} at its virtual IP ${goal.vip}, ${port}`;
    if (goal.kind === 'tasks')
      return `${who} asks ${goal.service.name}${named} at ${goal.tasks.length === 1 ? "its task's own address" : "its tasks' own addresses"}, ${port}`;
    return `${who} asks ${goal.entry}, ${port}${goal.published ? `, published by ${goal.published.service.name} in ${goal.published.mode} mode` : ', which no service publishes'}`;
  }

  #result(): string {
    const answered = this.#asked - this.#failures;
    return this.#failures === 0
      ? `All ${this.#asked} requests were answered.`
      : `${answered} of ${this.#asked} requests were answered; ${this.#errors()}.`;
  }

  /** What happened instead of answers, as in `2× timeout in connect`. */
  #errors(): string {
    const failed = this.#evidence.outcomes.filter(({ error }) => error);
    const kinds = Map.groupBy(failed, ({ error = '', rcode }) => (rcode ? `${error} (${rcode})` : error));
    return [...kinds].map(([error, alike]) => `${times(alike)}× ${error}`).join(', ');
  }

  /** The packets of this walk as its first node's rules see them. */
  #packet() {
    const { from, asked, outcomes } = this.#evidence;
    const [to] =
      asked.addresses.length > 0 ? asked.addresses : outcomes.flatMap(({ address }) => address ?? []);
    return {
      protocol: asked.protocol,
      ...(to && { to }),
      ...(from.kind === 'outsider' && { from: from.address }),
      ...(asked.port !== undefined && { port: asked.port }),
    };
  }

  #entry(): NodeSeen | undefined {
    const name = firstNode(this.#evidence, this.#goal);
    return name === undefined ? undefined : this.#node(name);
  }

  #node(name: string): NodeSeen | undefined {
    return this.#evidence.nodes.find((node) => node.name === name);
  }

  #process(node: string, pid: number): NamespaceState | undefined {
    return this.#node(node)?.processes?.[pid] ?? undefined;
  }

  #taskAt(address: string): TaskView | undefined {
    const tasks = [
      ...tasksAt(this.#goal),
      ...this.#evidence.view.services.flatMap((service) => service.tasks),
    ];
    return tasks.find(({ addresses }) => Object.values(addresses).includes(address));
  }
}

/** How the node's own namespace is called for readers. */
const HOST = 'the node itself';

function fact(label: string, value: string): Fact {
  return { label, value };
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}

/** `three.2`: the task as its service counts it. */
function taskName({ containerName, service, slot }: TaskView): string {
  return slot > 0 ? `${service}.${slot}` : containerName.split('.').slice(0, 1).join();
}

function answerText({ answers = [], rcode, error }: Outcome): string {
  if (answers.length > 0) {
    const sorted = answers.toSorted();
    return sorted.length > 3
      ? `${sorted.slice(0, 3).join(' ')} and ${sorted.length - 3} more`
      : sorted.join(' ');
  }
  return rcode ?? error ?? 'nothing';
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return new Set(one).size === new Set(other).size && one.every((member) => other.includes(member));
}

function hasAddress(state: NamespaceState | undefined, address: string): boolean {
  return (state?.links ?? []).some(({ addresses }) => addresses.some((one) => one.address === address));
}

/** The VXLAN interface of an overlay; of several, one for each subnet, that of the neighbour. */
function vxlanOf(state: NamespaceState | null | undefined, link?: string) {
  const links = state?.links?.filter(({ kind }) => kind === 'vxlan') ?? [];
  return links.find(({ name }) => name === link) ?? links[0];
}

function withState(hop: Hop, state: Hop['state'], why?: string): Hop {
  const { why: _, ...plain } = hop;
  return { ...plain, state, ...(why && { why }) };
}

function remove<T>(list: T[], unwanted: (one: T) => boolean): void {
  list.splice(0, list.length, ...list.filter((one) => !unwanted(one)));
}
