import type { Toolbox } from '../observe/shell.ts';
import { LAB_NETWORK } from './facts.ts';

/** Chain of the rules by which a node is cut off, on every host of the lab network. */
export const CUT = 'SWARMPROOF-CUT';

/** A host of the lab network: a node, or the outsider. */
interface Host {
  readonly address: string;
  readonly toolbox: Toolbox;
}

/** What is cut: everything, or what goes to some ports, either way, by some protocols. */
export interface CutOptions {
  ports?: readonly number[];
  protocols?: readonly ('udp' | 'tcp')[];
}

/**
 * Cuts a host off from the others, as a pulled cable does; its API stays within our reach. One at a time, until {@link mend}.
 *
 * Each host drops what comes in, so that who sends is told nothing. Dropped on their way out, packets are refused to their sender
 * (EPERM), and a memberlist as old as that of engine 20.10 gives up such a probe without taking anybody for dead.
 */
export async function cut(
  host: Host,
  others: readonly Host[],
  { ports = [], protocols = ['udp', 'tcp'] }: CutOptions,
): Promise<void> {
  const { subnet, gateway } = LAB_NETWORK;
  const what =
    ports.length === 0
      ? ['']
      : ports.flatMap((port) => protocols.map((protocol) => ` -p ${protocol} --dport ${port}`));
  const dropping = (from: string) => what.map((some) => `-s ${from}${some} -j DROP`);
  await Promise.all([
    lay(host, [...[gateway, host.address].map((own) => `-s ${own} -j RETURN`), ...dropping(subnet)]),
    ...others.map((other) => lay(other, dropping(host.address))),
  ]);
}

/** Ends {@link cut}. */
export async function mend(hosts: readonly Host[]): Promise<void> {
  const script = [
    `iptables -t raw -D PREROUTING -j ${CUT}`,
    `iptables -t raw -F ${CUT}`,
    `iptables -t raw -X ${CUT}`,
  ].join(' && ');
  await Promise.all(hosts.map(({ toolbox }) => toolbox.must(script)));
}

/** In raw, which comes first: before connection tracking knows the packet, and before nat changes where it goes. */
async function lay({ toolbox }: Host, rules: readonly string[]): Promise<void> {
  await toolbox.must(
    [
      `iptables -t raw -N ${CUT}`,
      ...rules.map((rule) => `iptables -t raw -A ${CUT} ${rule}`),
      `iptables -t raw -I PREROUTING -j ${CUT}`,
    ].join(' && '),
  );
}
