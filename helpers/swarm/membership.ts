import type Docker from 'dockerode';
import { messageOf } from '../errors.ts';
import { promptly } from '../waiting.ts';

/** What a node's own engine says of its membership (GET /info). */
export interface OwnMembership {
  /** Empty when it is no member, or does not answer. */
  id: string;
  /** `active` for a member; why there is no answer where there is none. */
  state: string;
}

/** A node in a manager's list (GET /nodes). */
export interface ListedNode {
  id: string;
  name: string;
  role: string;
  state: string;
  availability: string;
  leader: boolean;
}

/** Ours: an engine answers in milliseconds; one that is stopped keeps the connection and never does. */
export const ANSWER_MS = 10_000;

/** Asks an engine. One that does not answer is no member: that is an answer too, for the lab is asked separately. */
export async function viewOwnMembership(api: Docker): Promise<OwnMembership> {
  try {
    const { Swarm } = await promptly(api.info() as Promise<{ Swarm: ApiMembership }>, ANSWER_MS);
    return { id: Swarm.NodeID, state: Swarm.LocalNodeState };
  } catch (error) {
    return { id: '', state: `no answer: ${messageOf(error)}` };
  }
}

interface ApiMembership {
  NodeID: string;
  LocalNodeState: string;
}

interface ApiNode {
  ID: string;
  Description: { Hostname: string };
  Spec: { Role: string; Availability: string };
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean };
}

/** Asks a manager for its nodes; a manager that does not answer lists none. */
export async function viewNodes(manager: Docker): Promise<ListedNode[]> {
  const nodes = (await manager.listNodes().catch(() => [])) as ApiNode[];
  return nodes.map(({ ID, Description, Spec, Status, ManagerStatus }) => ({
    id: ID,
    name: Description.Hostname,
    role: Spec.Role,
    state: Status.State,
    availability: Spec.Availability,
    leader: ManagerStatus?.Leader ?? false,
  }));
}

/** The port that a node says its Swarm uses for data (GET /info); null where it tells none, as workers do. */
export async function viewDataPathPort(api: Docker): Promise<number | null> {
  const { Swarm } = (await api.info()) as { Swarm: { Cluster?: { DataPathPort?: number } | null } };
  return Swarm.Cluster?.DataPathPort ?? null;
}

/** Which of these nodes a manager's list does not show as ready, one line each. */
export function unready(list: readonly ListedNode[], names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const state = list.find((one) => one.name === name)?.state ?? 'not listed';
    return state === 'ready' ? [] : [`${name} is ${state}`];
  });
}
