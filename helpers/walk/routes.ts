import type { Journey, Place } from '../observe/journal.ts';
import { failed } from '../observe/probe.ts';
import { EMBEDDED_DNS } from '../swarm/network.ts';
import type { SwarmView } from '../swarm/view.ts';
import type { Asked, Outcome, WalkEvidence } from './evidence.ts';

/** Traffic that went one way: what a walk is told from before any node was looked at. */
export type Route = Pick<WalkEvidence, 'from' | 'asked' | 'outcomes'>;

/** One request, and what became of it. */
interface Operation {
  asked: Omit<Asked, 'addresses'>;
  outcome: Outcome;
}

/**
 * The ways that traffic went, in the order in which each was last used: alike requests from one place are one way, and so are
 * those to the own addresses of one service's tasks.
 */
export function routesIn(journeys: readonly Journey[], view: SwarmView): Route[] {
  const goals = goalsIn(view);
  const routes = new Map<string, { route: Route; ends: Map<string, Outcome> }>();
  for (const journey of journeys) {
    const place = placeKey(journey.from);
    for (const { asked, outcome } of operationsOf(journey)) {
      const { address, answers, rcode, container, error } = outcome;
      const goal = asked.name === undefined && address !== undefined ? (goals.get(address) ?? address) : '';
      const key = [place, asked.protocol, asked.name, asked.port, goal].join(' ');
      const route: Route = { from: journey.from, asked: { ...asked, addresses: [] }, outcomes: [] };
      const known = routes.get(key) ?? { route, ends: new Map() };
      // Taken out and put back: a map keeps the order of insertion.
      routes.delete(key);
      routes.set(key, known);
      const { addresses } = known.route.asked;
      if (asked.name === undefined && address !== undefined && !addresses.includes(address))
        addresses.push(address);
      const end = [address, answers?.toSorted(), rcode, container, error].join(' ');
      const alike = known.ends.get(end);
      if (alike) alike.times += 1;
      else known.ends.set(end, outcome);
    }
  }
  return [...routes.values()].map(({ route, ends }) => ({ ...route, outcomes: [...ends.values()] }));
}

/** Addresses of one service's tasks on one network count as one goal. */
function goalsIn({ services }: SwarmView): Map<string, string> {
  const goals = services.flatMap(({ name, tasks }) =>
    tasks.flatMap(({ addresses }) =>
      Object.entries(addresses).map(([network, address]) => [address, `${name} on ${network}`] as const),
    ),
  );
  return new Map(goals);
}

/** Requests that got no answer. An answer of DNS that says no is one, too. */
export function failuresOf({ outcomes }: Pick<Route, 'outcomes'>): number {
  return times(outcomes.filter(({ error }) => error !== undefined));
}

/** How many requests these are. */
export function times(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((sum, one) => sum + one.times, 0);
}

function placeKey(place: Place): string {
  return place.kind === 'process' ? `${place.node} ${place.pid}` : JSON.stringify(place);
}

function operationsOf(journey: Journey): Operation[] {
  switch (journey.request.kind) {
    case 'http':
    case 'udp': {
      const protocol = journey.request.kind === 'udp' ? 'udp' : 'tcp';
      return (journey as Extract<Journey, { request: { kind: 'http' | 'udp' } }>).samples.map((sample) => {
        const { address, port } = endpointIn(sample.to);
        const { source, peer, local } = { peer: undefined, local: undefined, ...sample };
        const end = { ...(source && { source }), ...(peer && { peer }), ...(local && { local }) };
        return { asked: { protocol, port }, outcome: { times: 1, address, ...end, ...answer(sample) } };
      });
    }
    case 'ping':
      return (journey as Extract<Journey, { request: { kind: 'ping' } }>).samples.map((sample) => ({
        asked: { protocol: 'icmp' },
        outcome: { times: 1, address: sample.to, ...(failed(sample) && { error: sample.error }) },
      }));
    case 'hold':
      return held(journey as Extract<Journey, { request: { kind: 'hold' } }>);
    case 'name':
      return named(journey as Extract<Journey, { request: { kind: 'name' } }>);
    case 'dns':
      return resolved(journey as Extract<Journey, { request: { kind: 'dns' } }>);
  }
}

function answer(sample: object): Pick<Outcome, 'container' | 'error'> {
  const { container, error, phase } = sample as { container?: string; error?: string; phase?: string };
  return { ...(container && { container }), ...(error && { error: phase ? `${error} in ${phase}` : error }) };
}

/** A held connection is answered when its lines come back and it does not break. */
function held({ samples }: Extract<Journey, { request: { kind: 'hold' } }>): Operation[] {
  return [...Map.groupBy(samples, ({ i }) => i).values()].map((events) => {
    const [{ to } = { to: '' }] = events;
    const { address, port } = endpointIn(to);
    const broke = events.find((event) => failed(event));
    const echo = events.find((event) => event.event === 'echo' && !failed(event));
    return {
      asked: { protocol: 'tcp', port },
      outcome: { times: 1, address, ...(echo && answer(echo)), ...(broke && answer(broke)) },
    };
  });
}

function named({ request, samples }: Extract<Journey, { request: { kind: 'name' } }>): Operation[] {
  if (request.server !== EMBEDDED_DNS || request.question.type !== 'A') return [];
  const asked = { protocol: 'tcp', name: request.question.name, port: request.port } as const;
  return samples.map((sample) => {
    const { answers } = sample;
    const end =
      'first' in sample
        ? {
            address: sample.first,
            ...(sample.source && { source: sample.source }),
            ...(sample.peer && { peer: sample.peer }),
            ...(sample.local && { local: sample.local }),
          }
        : { ...(sample.rcode !== undefined && { rcode: `rcode ${sample.rcode}` }) };
    return { asked, outcome: { times: 1, answers, ...end, ...answer(sample) } };
  });
}

function resolved({ request, samples }: Extract<Journey, { request: { kind: 'dns' } }>): Operation[] {
  if (request.server !== EMBEDDED_DNS) return [];
  return samples.flatMap((sample): Operation[] => {
    const { name = '', type } = request.questions[sample.q] ?? {};
    if (type !== 'A') return [];
    const asked = { protocol: request.proto ?? 'udp', name } as const;
    if (failed(sample)) return [{ asked, outcome: { times: 1, ...answer(sample) } }];
    const answers = sample.answers.filter((record) => record.type === 'A').map(({ data }) => data);
    return [
      {
        asked,
        outcome: {
          times: 1,
          answers,
          ...(sample.rcode !== 'NOERROR' && { rcode: sample.rcode }),
          ...(sample.flags.tc && { truncated: true }),
        },
      },
    ];
  });
}

/** `10.0.0.5:80`, `[fd00::5]:80`. */
function endpointIn(text: string): { address: string; port: number } {
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}
