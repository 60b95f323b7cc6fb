/** Where faults are done: the network namespaces of a node, by what they are for. */
import { z } from 'zod';
import { HOST } from '../observe/node.ts';
import { quote } from '../observe/shell.ts';
import { INGRESS_SANDBOX, lbNamespace, overlayNamespace, withoutEpoch } from '../swarm/agreement.ts';
import type { Node } from '../swarm/node.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { networkIn, type SwarmView, serviceIn } from '../swarm/view.ts';
import { Unproven } from './fault.ts';

const NETNS = '/proc/1/root/run/docker/netns';

/** Which nodes: one, several, or all members whose engines run. */
const nodes = z.union([z.string(), z.array(z.string()).min(1)]);

/** What the data say of a place. */
export const placeFields = {
  /** Nodes by name; left out, all. */
  on: nodes.optional(),
  /** `host`, `ingress` (ingress_sbox), `balancer NETWORK`, `overlay NETWORK`, or `tasks SERVICE`. */
  in: z
    .string()
    .regex(
      /^(?:host|ingress|(?:balancer|overlay|tasks) \S+)$/,
      'must be host, ingress, balancer NETWORK, overlay NETWORK or tasks SERVICE',
    ),
};
export type PlaceData = z.output<z.ZodObject<typeof placeFields>>;

/** For people: `ingress_sbox of m1`. */
export function placed({ on, in: where }: PlaceData): string {
  const name = where === 'ingress' ? INGRESS_SANDBOX : where;
  return `${name} of ${on === undefined ? 'every node' : [on].flat().join(' and ')}`;
}

/** One network namespace of a node. */
export class Place {
  readonly node: Node;
  /** For people. */
  readonly name: string;
  readonly #path: string;

  /** @param path of the namespace as the node's toolbox sees it. */
  constructor(node: Node, name: string, path: string) {
    this.node = node;
    this.name = name;
    this.#path = path;
  }

  /** Runs a script there. @throws Inconclusive (observer) when it fails. */
  async must(script: string): Promise<string> {
    return this.node.toolbox.must(this.command(script));
  }

  /** The same without asking that it succeeds. */
  async run(script: string): Promise<{ text: string; status: number }> {
    return this.node.toolbox.run(this.command(script));
  }

  /** The words that run a script there, for the node's toolbox. */
  command(script: string): string {
    return `nsenter --net=${this.#path} sh -c ${quote(script)}`;
  }
}

/** The nodes that data name. @throws Unproven when there is none of such a name. */
export function nodesOf(swarm: Swarm, on: PlaceData['on']): readonly Node[] {
  if (on === undefined) return swarm.up;
  return [on].flat().map((name) => {
    const node = swarm.everyone.find((one) => one.name === name);
    if (!node)
      throw new Unproven(
        `there is no node ${name}; there are ${swarm.everyone.map((one) => one.name).join(', ')}`,
      );
    return node;
  });
}

/** The namespaces that data name. @throws Unproven when there is none. */
export async function placesOf(swarm: Swarm, data: PlaceData): Promise<Place[]> {
  const chosen = nodesOf(swarm, data.on);
  const places = await find(swarm, data, chosen);
  if (places.length === 0) throw new Unproven(`there is no ${placed(data)}`);
  return places;
}

async function find(swarm: Swarm, { in: where }: PlaceData, chosen: readonly Node[]): Promise<Place[]> {
  if (where === 'host')
    return chosen.map((node) => new Place(node, `${HOST} of ${node.name}`, '/proc/1/ns/net'));
  if (where === 'ingress') return existing(chosen.map((node) => [node, INGRESS_SANDBOX]));
  const [kind, name = ''] = where.split(' ');
  const view = await swarm.view();
  if (kind === 'tasks') return tasksOf(view, name, chosen);
  const network = networkIn(view, name);
  if (kind === 'balancer')
    return existing(chosen.map((node) => [node, lbNamespace(network, node.generation)]));
  const found = await Promise.all(
    chosen.map(async (node) => {
      const states = await node.observe([], ['[0-9]*-*']);
      return states
        .filter((state) => withoutEpoch(state.name, [network]) === overlayNamespace(network))
        .map((state) => new Place(node, `${state.name} of ${node.name}`, `${NETNS}/${state.name}`));
    }),
  );
  return found.flat();
}

function tasksOf(view: SwarmView, service: string, chosen: readonly Node[]): Place[] {
  return serviceIn(view, service).tasks.flatMap(({ node, pid, containerName }) => {
    const own = chosen.find(({ name }) => name === node);
    return own
      ? [
          new Place(
            own,
            `${containerName.split('.').slice(0, 2).join('.')} of ${node}`,
            `/proc/${pid}/ns/net`,
          ),
        ]
      : [];
  });
}

async function existing(wanted: readonly (readonly [Node, string])[]): Promise<Place[]> {
  const found = await Promise.all(
    wanted.map(async ([node, file]) => {
      const { status } = await node.toolbox.run(`nsenter --net=${NETNS}/${file} true`);
      return status === 0 ? [new Place(node, `${file} of ${node.name}`, `${NETNS}/${file}`)] : [];
    }),
  );
  return found.flat();
}

/** The nodes of some places, each once. */
export function nodeNames(places: readonly Place[]): string[] {
  return [...new Set(places.map(({ node }) => node.name))];
}
