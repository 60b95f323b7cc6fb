/** Faults by Docker's API: a request that is another than the clause meant, a service changed behind its back. */
import { z } from 'zod';
import { unfinished } from '../swarm/agreement.ts';
import type { Node } from '../swarm/node.ts';
import { type ApiPart, laidOver } from '../swarm/services.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { SwarmView } from '../swarm/view.ts';
import { until } from '../waiting.ts';
import { type Damage, fault, Unproven } from './fault.ts';

/** What dockerode hands to docker-modem for each request; what else is in it stays as it is. */
interface Dialled {
  path: string;
  method: string;
  options?: Record<string, unknown>;
}
type Answered = (error: { statusCode?: number } | null, data: unknown) => void;
interface Modem {
  dial: (request: Dialled, answered: Answered) => void;
}

/** Requests that were altered, with how they were answered. */
export interface Altered {
  request: string;
  status: 'accepted' | number;
}

/**
 * Has every client of a Swarm's nodes send some requests altered: what a user would have done instead.
 *
 * @param alter gives the new body, or undefined to leave this request as it is.
 * @param elsewhere path of a GET that is sent in its place.
 */
export function alterRequests(
  nodes: readonly Pick<Node, 'api'>[],
  matches: (method: string, path: string) => boolean,
  alter: (body: Record<string, unknown>) => Record<string, unknown> | undefined,
  elsewhere?: string,
): readonly Altered[] {
  const altered: Altered[] = [];
  for (const { api } of nodes) {
    const modem = api.modem as unknown as Modem;
    const { dial } = modem;
    modem.dial = (request, answered) => {
      const path = request.path.replace(/\?.*$/, '');
      const own = request.options ?? {};
      // Some requests carry their body beside their query.
      const body = (own._body ?? own) as Record<string, unknown>;
      const instead = matches(request.method, path) ? alter(body) : undefined;
      if (instead === undefined) return dial.call(modem, request, answered);
      const record: Altered = { request: `${request.method} ${path}`, status: 'accepted' };
      const options = own._body ? { ...own, _body: instead } : instead;
      const sent =
        elsewhere === undefined
          ? { ...request, options }
          : { path: elsewhere, method: 'GET', statusCodes: { 200: true } };
      return dial.call(modem, sent, (error, data) => {
        if (error) record.status = error.statusCode ?? 0;
        altered.push(record);
        answered(error, data);
      });
    };
  }
  return altered;
}

const part = z.record(z.string(), z.unknown());

const requestAltered = fault(
  'request-altered',
  z.strictObject({
    /** Method and path, as in `POST /services/create`; `*` stands for one part of the path. */
    request: z.string().regex(/^(GET|POST|DELETE) \/\S+$/),
    /** Only requests whose body is like this, such as `{ Name: web }`. */
    of: part.default({}),
    /** Laid over the body; arrays replace what was there. */
    lay: part.default({}),
    /** Members of the body that are left out, as paths with dots. */
    without: z.array(z.string()).default([]),
    /** Another request that is sent in its place, as in `GET /version`: the engine then accepts, and does nothing. */
    instead: z
      .string()
      .regex(/^GET \/\S+$/)
      .optional(),
    /** So many of these requests are sent as they are before one is altered. */
    after: z.int().default(0),
    /** What the altered request asks for, in words. */
    meaning: z.string(),
  }),
  {
    areas: ['err'],
    describe: ({ request, meaning }) => `${request} is sent as one that ${meaning}`,
    inflict: async (swarm, { request, of, lay, without, instead, after }): Promise<Damage> => {
      const [method, wanted = ''] = request.split(' ');
      const pattern = new RegExp(`^${wanted.replaceAll('.', '\\.').replaceAll('*', '[^/]+')}$`);
      let left = after;
      const altered = alterRequests(
        swarm.everyone,
        (asked, path) => asked === method && pattern.test(path),
        (body) => {
          if (!alike(of, body)) return undefined;
          if (left > 0) {
            left -= 1;
            return undefined;
          }
          const changed = structuredClone(laidOver(body, lay)) as Record<string, unknown>;
          for (const path of without) remove(changed, path.split('.'));
          return changed;
        },
        instead?.slice('GET '.length),
      );
      return {
        nodes: [],
        met: async () => {
          if (altered.length === 0) throw new Unproven(`there was no request ${request} to alter`);
          const accepted = altered.filter(({ status }) => status === 'accepted').length;
          return `${altered.length} requests altered, ${accepted} accepted`;
        },
      };
    },
  },
);

/** Whether everything in a pattern is in a body, too. */
function alike(pattern: Record<string, unknown>, body: unknown): boolean {
  return Object.entries(pattern).every(([key, value]) => {
    const own = Object(body)[key] as unknown;
    return typeof value === 'object' && value !== null
      ? alike(value as Record<string, unknown>, own)
      : own === value;
  });
}

function remove(from: Record<string, unknown>, [key = '', ...rest]: string[]): void {
  if (rest.length === 0) delete from[key];
  else if (typeof from[key] === 'object' && from[key] !== null)
    remove(from[key] as Record<string, unknown>, rest);
}

/** Ours: tasks of a changed service are replaced one after another, in 10 to 30 s each under emulation. */
const CHANGED = { withinMs: 240_000, everyMs: 500 };

/** Ours: a manager begins an update within a second of being asked for it; before that everything looks done. So many looks in a row. */
const LOOKS = 6;

const serviceChanged = fault(
  'service-changed',
  z.strictObject({ service: z.string(), to: part, meaning: z.string() }),
  {
    areas: [],
    describe: ({ service, meaning }) => `${service} was updated, so that it ${meaning}`,
    inflict: async (swarm, { service, to, meaning }): Promise<Damage> => {
      const before = await swarm.record(service);
      const change = withNetworkIds(to, (await swarm.view()).networks) as ApiPart;
      await swarm.update(service, change);
      await settled(swarm, service);
      return {
        nodes: [],
        there: async () => {
          const { spec } = await swarm.record(service);
          if (!alike(change, spec)) throw new Unproven(`${service} is no service that ${meaning}`);
          if (JSON.stringify(spec) === JSON.stringify(before.spec))
            throw new Unproven(`${service} is as it was`);
          return `${service} ${meaning}: ${JSON.stringify(to)}`;
        },
      };
    },
  },
);

const serviceGone = fault('service-gone', z.strictObject({ service: z.string() }), {
  areas: ['dns', 'vip', 'mesh'],
  describe: ({ service }) => `${service} was removed`,
  inflict: async (swarm, { service }): Promise<Damage> => {
    await swarm.remove(service);
    const left = async () => ((await swarm.containersOf(service)).length === 0 ? true : undefined);
    await until(`the containers of ${service} to stop`, left, CHANGED);
    return {
      nodes: [],
      there: async () => {
        const { services } = await swarm.view();
        if (services.some(({ name }) => name === service)) throw new Unproven(`${service} is there`);
        return `there is no ${service}`;
      },
    };
  },
});

/** A specification names networks by their ids; data cannot know them. */
function withNetworkIds(part: unknown, networks: SwarmView['networks']): unknown {
  if (Array.isArray(part)) return part.map((one) => withNetworkIds(one, networks));
  if (typeof part !== 'object' || part === null) return part;
  const entries = Object.entries(part).map(([key, value]) => {
    const network = key === 'Target' && networks.find(({ name }) => name === value);
    return [key, network ? network.id : withNetworkIds(value, networks)];
  });
  return Object.fromEntries(entries);
}

async function settled(swarm: Swarm, service: string): Promise<void> {
  let looks = 0;
  const ready = async () => {
    const view = await swarm.view();
    const { update } = await swarm.record(service);
    const missing = unfinished({ ...view, services: view.services.filter(({ name }) => name === service) });
    looks = missing.length === 0 && update?.state !== 'updating' ? looks + 1 : 0;
    return looks === LOOKS ? true : undefined;
  };
  await until(`the tasks of ${service} to be replaced`, ready, CHANGED);
}

const availability = fault(
  'node-availability',
  z.strictObject({ on: z.string(), to: z.enum(['active', 'pause', 'drain']) }),
  {
    areas: ['node'],
    describe: ({ on, to }) => `${on} is set to ${to}`,
    inflict: async (swarm, { on, to }): Promise<Damage> => {
      await swarm.setAvailability(on, to);
      return {
        nodes: [on],
        there: async () => {
          const nodes = (await swarm.manager.api.listNodes()) as {
            Description: { Hostname: string };
            Spec: { Availability: string };
          }[];
          const own = nodes.find(({ Description }) => Description.Hostname === on)?.Spec.Availability;
          if (own !== to) throw new Unproven(`${on} is ${own}`);
          return `${on} is ${own}`;
        },
      };
    },
  },
);

const promoted = fault('worker-promoted', z.strictObject({ on: z.string() }), {
  areas: ['err'],
  describe: ({ on }) => `${on} was made a manager`,
  inflict: async (swarm, { on }): Promise<Damage> => {
    const node = swarm.node(on);
    await swarm.setRole(node, 'manager');
    const manages = async () => ((await node.api.listNodes()).length > 0 ? true : undefined);
    await until(`${on} to be a manager`, manages, CHANGED);
    return {
      nodes: [on],
      there: async () => {
        const { Swarm: own } = (await node.api.info()) as { Swarm: { ControlAvailable: boolean } };
        if (!own.ControlAvailable) throw new Unproven(`${on} is no manager`);
        return `${on} says that it is a manager`;
      },
    };
  },
});

export const requestFaults = [requestAltered, serviceChanged, serviceGone, availability, promoted];
