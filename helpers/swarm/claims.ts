import { imageName } from '../engine/images.ts';
import { messageOf } from '../errors.ts';
import type { Node } from './node.ts';
import { HTTP_PORT } from './services.ts';

/** What is said when a port was there to be taken. */
export const TAKEN = 'taken';

/** Has a process of the node bind a port on every IPv4 address, and let go of it. @returns `taken`, or the system's words. */
export async function takeAsProcess(
  node: Node,
  { published, protocol }: { published: number; protocol: string },
): Promise<string> {
  // A sockaddr_in by hand, as in probe.pl: family, port, any address. Without SO_REUSEADDR, so that nothing is glossed over.
  const program = `socket(my $s, 2, ${protocol === 'udp' ? 2 : 1}, 0) or die $!; print bind($s, pack "S n x12", 2, ${published}) ? "${TAKEN}" : "$!"`;
  return node.vantage.must(`perl -e '${program}'`);
}

/**
 * Has a container of the node's own publish a TCP port, as `docker run -p` does; it stays.
 *
 * @returns `taken`, or what the engine says instead.
 */
export async function takeAsContainer(node: Node, port: number): Promise<string> {
  const exposed = `${HTTP_PORT}/tcp`;
  const container = await node.api.createContainer({
    Image: imageName('workload'),
    ExposedPorts: { [exposed]: {} },
    HostConfig: { PortBindings: { [exposed]: [{ HostPort: String(port) }] } },
  });
  return container.start().then(() => TAKEN, messageOf);
}
