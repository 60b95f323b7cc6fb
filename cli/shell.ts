import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { Inconclusive, messageOf, UsageError } from '../helpers/errors.ts';
import { consoleSocket } from '../helpers/lab/machine.ts';
import type { Settings } from '../helpers/lab/settings.ts';
import { quote, Toolbox, type ToolboxAddress } from '../helpers/observe/shell.ts';
import type { PoolStatus } from '../helpers/pool/protocol.ts';
import { requireKeptLab } from './kept.ts';

/** A command given to `lab shell` may take this long; a terminal may stay open for ever. */
const COMMAND_LIMIT_MS = 600_000;

/** The console of the guest's own root shell; see placeShells in helpers/pool/vm-provider.ts. */
const GUEST_CONSOLE = 0;

/** Sent by a guest's console when its interactive shell has ended. */
const END_MARK = '--swarmproof-shell-ended--';

/**
 * `lab shell`: a terminal beside a node of the kept lab, or one command there.
 *
 * @param words the command; empty for a terminal, or for a script when standard input is a pipe.
 * @returns the exit status of the command.
 */
export async function shell(settings: Settings, name: string, words: readonly string[]): Promise<number> {
  const { lab } = await requireKeptLab(settings);
  const address = addressOf(lab, name);
  if (words.length === 0 && process.stdin.isTTY) {
    const terminal = address.console ? guestTerminal(address.console) : toolboxTerminal(name, address);
    await terminal.catch((cause) => {
      throw new Inconclusive('lab', `the terminal in ${name} broke: ${messageOf(cause)}`, { cause });
    });
    return 0;
  }
  const script = words.length > 0 ? words.join(' ') : await text(process.stdin);
  const toolbox = new Toolbox(name, address);
  const { text: printed, status } = await toolbox.run(script, { limitMs: COMMAND_LIMIT_MS });
  toolbox.close();
  process.stdout.write(printed);
  return status;
}

/** Where the shells of a node, of the outsider or of the guest are reached. @throws UsageError naming the known ones. */
export function addressOf(lab: PoolStatus['labs'][number], name: string): ToolboxAddress {
  const { host, swarm, consoles } = lab;
  if (name === 'vm' && consoles) {
    return { host, port: 0, tls: swarm.tls, console: consoleSocket(consoles, GUEST_CONSOLE) };
  }
  const toolboxes = new Map(swarm.nodes.map((node) => [node.name, node.toolbox]));
  toolboxes.set('outsider', swarm.outsider);
  const toolbox = toolboxes.get(name);
  if (!toolbox) {
    const known = [...toolboxes.keys(), ...(consoles ? ['vm'] : [])].join(', ');
    throw new UsageError(`${name} is no place in the kept lab; there are ${known}.`);
  }
  return { host, port: toolbox.shellPort, tls: swarm.tls };
}

/** A terminal of its own in a toolbox: socat, which the toolbox has, makes one and puts a shell on it. */
async function toolboxTerminal(
  name: string,
  { host, port, tls: certificates }: ToolboxAddress,
): Promise<void> {
  const socket = tls.connect({ host, port, ...certificates, ecdhCurve: 'P-256' });
  await once(socket, 'secureConnect');
  const start = `${environment(name)}; exec socat STDIO SYSTEM:"${windowSize()}; exec sh -i",pty,setsid,ctty,stderr,sane\n`;
  await attach(socket, start);
}

/** The console is a terminal already; it goes back to what observers expect of it when the shell ends. */
async function guestTerminal(console: string): Promise<void> {
  const socket = net.connect({ path: console });
  await once(socket, 'connect');
  const session = `${windowSize()} sane; ${environment('vm')}; setsid -cw sh -i 2>&1`;
  await attach(socket, `${session}; stty raw -echo; printf '%s' ${END_MARK}\n`);
}

function environment(name: string): string {
  return `export PS1=${quote(`${name} # `)} TERM=${quote(process.env.TERM ?? 'vt100')}`;
}

function windowSize(): string {
  return `stty rows ${process.stdout.rows} cols ${process.stdout.columns}`;
}

/** Sends a first line, and joins this terminal and the far shell from its first answer until it ends. */
async function attach(socket: Duplex, start: string): Promise<void> {
  const { stdin, stdout } = process;
  socket.write(start);
  const ended = new Promise<void>((resolve, reject) => {
    let tail = '';
    socket.on('data', (chunk: Buffer) => {
      tail = `${tail}${chunk.toString('latin1')}`.slice(-END_MARK.length);
      const last = tail === END_MARK;
      stdout.write(last ? chunk.subarray(0, Math.max(0, chunk.length - END_MARK.length)) : chunk);
      if (last) resolve();
    });
    socket.once('close', resolve).once('error', reject);
  });
  // What is typed before the far shell reads would be taken by the one it replaces.
  await Promise.race([once(socket, 'data'), ended]);
  stdin.setRawMode(true);
  stdin.pipe(socket);
  try {
    await ended;
  } finally {
    stdin.unpipe(socket);
    stdin.setRawMode(false);
    socket.destroy();
    stdout.write('\n');
  }
}
