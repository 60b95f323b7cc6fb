import type { NamespaceState } from '../observe/node.ts';
import { inInterface, outInterface, type Rule } from '../observe/parse/iptables.ts';
import { until } from '../waiting.ts';
import { GATEWAY_BRIDGE } from './network.ts';
import type { Node } from './node.ts';
import type { Swarm } from './swarm.ts';
import { withoutPrefix } from './view.ts';

/** docker_gwbridge as its node's engine shows it; serialisable. */
export interface GatewayBridge {
  options: Record<string, string>;
  ipv6: boolean;
  internal: boolean;
  subnet: string;
  gateway: string;
  /** Address by endpoint name: `gateway_<first 12 of the sandbox id>`, see {@link gatewayEndpoint}. */
  endpoints: Record<string, string>;
}

/** Asks a node's engine for docker_gwbridge. */
export async function viewGatewayBridge({ api }: Node): Promise<GatewayBridge> {
  const { Options, EnableIPv6, Internal, IPAM, Containers } = await api.getNetwork(GATEWAY_BRIDGE).inspect();
  const [{ Subnet = '', Gateway = '' } = {}] = IPAM?.Config ?? [];
  return {
    options: Options ?? {},
    ipv6: EnableIPv6 ?? false,
    internal: Internal,
    subnet: Subnet,
    gateway: Gateway,
    endpoints: Object.fromEntries(
      Object.values(Containers ?? {}).map(({ Name, IPv4Address }) => [Name, withoutPrefix(IPv4Address)]),
    ),
  };
}

/** Name of a sandbox's endpoint on docker_gwbridge (moby libnetwork/default_gateway.go, setupDefaultGW: 12 characters of the id). */
export function gatewayEndpoint(sandboxId: string): string {
  return `gateway_${sandboxId.slice(0, 12)}`;
}

/** The rules of all chains of a table that are for packets from one interface to another. */
export function rulesBetween(state: NamespaceState, table: string, from: string, to: string): Rule[] {
  const chains = Object.values(state.rules?.tables[table]?.chains ?? {});
  const names = (rule: Rule) =>
    [inInterface(rule), outInterface(rule)].map((one) => one && !one.negated && one.value);
  return chains.flatMap(({ rules }) => rules.filter((rule) => names(rule).join() === [from, to].join()));
}

/** Ours: the workload starts in a fraction of a second; the rest is for a loaded host. */
const OUTSIDE_SERVES = { withinMs: 30_000, everyMs: 200 };

/**
 * Has the outsider serve as the workload does, under the name `outsider`: somewhere to go for packets that leave the Swarm.
 *
 * @throws Inconclusive (lab) when it does not.
 */
export async function serveOutside({ outsider }: Swarm): Promise<void> {
  await outsider.must('CONTAINER_NAME=outsider setsid /usr/bin/workload serve >/dev/null 2>&1 </dev/null &');
  await until(
    'the outsider to serve',
    async () => {
      const [sample] = await outsider.probe({ kind: 'http', to: `${outsider.address}:80` });
      return sample && 'container' in sample && sample.container === 'outsider' ? true : undefined;
    },
    OUTSIDE_SERVES,
  );
}
