import { isIPv4 } from 'node:net';
import type Docker from 'dockerode';
import type { NamespaceState } from '../observe/node.ts';
import { networkOf, withoutPrefix } from './view.ts';

/** A network as one node's engine shows it: its own endpoints, and the services that gossip told it of; serialisable. */
export interface NetworkOnNode {
  node: string;
  name: string;
  subnet: string;
  /** Addresses of gateways, as allocated; on an overlay nothing answers there. */
  gateways: string[];
  /** Address by endpoint name: this node's containers, and its balancer as `<network>-endpoint`. */
  endpoints: Record<string, string>;
  services: KnownService[];
  /** Addresses of the nodes that take part in an overlay; empty where this node does not, and for other networks. */
  peers: string[];
  /** What it was created with and what the driver added, such as the list of VXLAN identifiers. */
  options: Record<string, string>;
}

/** A service on a network, as libnetwork knows it. */
export interface KnownService {
  name: string;
  /** null where there is none: dnsrr services, and the nameless entry of plain containers. */
  vip: string | null;
  /** The engine's number for this service on this network (LocalLBIndex): what its packets are marked with. */
  mark: number;
  /** Address by task name. */
  tasks: Record<string, string>;
}

interface ApiNetwork {
  Name: string;
  IPAM?: { Config?: { Subnet?: string; Gateway?: string }[] };
  Containers?: Record<string, { Name: string; IPv4Address: string }> | null;
  Peers?: { IP: string }[] | null;
  Options?: Record<string, string> | null;
  Services?: Record<
    string,
    { VIP: string; LocalLBIndex: number; Tasks?: { Name: string; EndpointIP: string }[] | null }
  >;
}

/** Asks an engine for a network (GET /networks/{id}?verbose=true). */
export async function viewNetwork(node: string, api: Docker, id: string): Promise<NetworkOnNode> {
  // The types know of no options, the client passes them on as the query.
  const network = api.getNetwork(id) as unknown as { inspect(options: object): Promise<ApiNetwork> };
  const { Name, IPAM, Containers, Services = {}, Peers, Options } = await network.inspect({ verbose: true });
  return {
    node,
    name: Name,
    subnet: IPAM?.Config?.[0]?.Subnet ?? '',
    gateways: (IPAM?.Config ?? []).flatMap(({ Gateway }) => Gateway || []),
    endpoints: Object.fromEntries(
      Object.values(Containers ?? {})
        .filter(({ IPv4Address }) => IPv4Address)
        .map((endpoint) => [endpoint.Name, withoutPrefix(endpoint.IPv4Address)]),
    ),
    services: Object.entries(Services).map(([name, { VIP, LocalLBIndex, Tasks }]) => ({
      name,
      // Go prints an address that is not there as <nil>.
      vip: VIP === '' || VIP === '<nil>' ? null : VIP,
      mark: LocalLBIndex,
      tasks: Object.fromEntries((Tasks ?? []).map((task) => [task.Name, task.EndpointIP])),
    })),
    peers: (Peers ?? []).map(({ IP }) => IP),
    options: Options ?? {},
  };
}

/** A network in an engine's list. */
export interface ListedNetwork {
  id: string;
  name: string;
  driver: string;
  scope: string;
  ingress: boolean;
  /** Its blocks of addresses and their gateways, in the order given; none until they are allocated. */
  pools: { subnet: string; gateway: string | null }[];
}

/** Asks an engine for its networks (GET /networks). */
export async function viewNetworks(api: Docker): Promise<ListedNetwork[]> {
  const networks = await api.listNetworks();
  return networks.map(({ Id, Name, Driver, Scope, Ingress, IPAM }) => ({
    id: Id,
    name: Name,
    driver: Driver,
    scope: Scope,
    ingress: Ingress,
    pools: (IPAM?.Config ?? []).map(({ Subnet = '', Gateway }) => ({
      subnet: Subnet,
      gateway: Gateway || null,
    })),
  }));
}

/** The embedded DNS server, at the same address in every task (moby daemon/libnetwork/sandbox_dns_unix.go, resolverIPSandbox). */
export const EMBEDDED_DNS = '127.0.0.11';

/** Bridge of a node through which its tasks reach the world, and published packets reach `ingress_sbox`. */
export const GATEWAY_BRIDGE = 'docker_gwbridge';

/** An interface, and on which networks its IPv4 addresses lie; an address on none stands for itself. */
export interface Attachment {
  link: string;
  networks: string[];
  /** With prefix length. */
  addresses: string[];
}

/** The interfaces of a namespace besides loopback. */
export function attachments(
  state: NamespaceState | undefined,
  networks: readonly { name: string; subnet: string }[],
): Attachment[] {
  return (state?.links ?? [])
    .filter(({ name }) => name !== 'lo')
    .map(({ name, addresses }) => {
      const own = addresses.filter(({ address }) => isIPv4(address));
      return {
        link: name,
        networks: [...new Set(own.map(({ address }) => networkOf(address, networks)))],
        addresses: own.map(({ address, prefix }) => `${address}/${prefix}`),
      };
    });
}
