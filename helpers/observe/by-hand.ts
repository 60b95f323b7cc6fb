/** What the suite's own programs do, in commands that anyone has: for scripts that show a defect without this suite. */

import { keyOf } from '../key.ts';
import type { ProbeRequest, Question } from './probe.ts';
import { quote } from './shell.ts';

/** So many questions fit into one command that a reader still follows. */
const MOST_QUESTIONS = 24;

/** The same traffic as `probe` sends, one command for each target. */
export function probeByHand(request: ProbeRequest): string[] {
  const count = request.count ?? 1;
  const seconds = Math.ceil((request.timeoutMs ?? 5000) / 1000);
  switch (request.kind) {
    case 'dns':
      return [dig(request.server, repeated(request.questions, count), { proto: request.proto })];
    case 'http':
      return targets(request.to).map((to) => curl(`http://${to}`, { count, seconds, path: request.path }));
    case 'name': {
      const { server, question, port, path } = request;
      const address = `$(${dig(server, [question], { short: true })} | head -n 1)`;
      // One name, one connection: the address is asked for anew each time.
      return Array.from(
        { length: Math.min(count, MOST_QUESTIONS) },
        () => `sh -c ${quote(curl(`http://${address}:${port}`, { count: 1, seconds, path }))}`,
      );
    }
    case 'udp':
      return targets(request.to).map(
        (to) => `sh -c ${quote(`echo hello | socat -t ${seconds} - UDP:${to}`)}`,
      );
    case 'hold':
      return targets(request.to).map(
        (to) =>
          `sh -c ${quote(`for i in $(seq ${Math.ceil(request.ms / (request.everyMs ?? 1000))}); do echo line $i; sleep ${(request.everyMs ?? 1000) / 1000}; done | socat - TCP:${to}`)}`,
      );
    case 'ping':
      return targets(request.to).map((to) => `ping -n -c ${count} -W ${seconds} ${to}`);
  }
}

/** Traffic without end, as `Vantage.sending` has it: one line of `sh`. */
export function trafficByHand(request: ProbeRequest): string[] {
  const once = probeByHand({ ...request, count: 1 }).join('; ');
  return [`sh -c ${quote(`while :; do ${once}; sleep ${(request.intervalMs ?? 200) / 1000}; done`)}`];
}

/** Ours: nothing that is begun by hand goes on for longer, should nobody end it (s). */
const FORGOTTEN_S = 900;

/**
 * Something that goes on beside the commands after it, until it is ended and shows all that it printed.
 *
 * @param where the place, so that the same from another one on the same machine has a file of its own. The name of that file follows
 *   from both, since a transcript keeps the words for equal commands once.
 */
export function besideByHand(where: string, command: string): { begin: string; end: string } {
  const file = `/tmp/beside-${keyOf([where, command]).slice(0, 8)}`;
  // Nothing of it keeps a connection by ssh open.
  const start = `timeout ${FORGOTTEN_S} ${command} < /dev/null > ${file} 2>&1 & echo $! > ${file}.pid; sleep 1`;
  return {
    begin: `sh -c ${quote(start)}`,
    end: `sh -c ${quote(`kill $(cat ${file}.pid); sleep 1; cat ${file}; rm ${file} ${file}.pid`)}`,
  };
}

/** An echo request that may not be fragmented. */
export function pingByHand(wanted: readonly { to: string; bytes: number }[], seconds: number): string[] {
  return wanted.map(({ to, bytes }) => `ping -n -M do -c 1 -W ${seconds} -s ${bytes} ${to}`);
}

/** The same datagram several times. */
export function datagramByHand(to: { address: string; port: number }, data: Buffer, count: number): string {
  const octal = [...data].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  return `sh -c ${quote(`for i in $(seq ${count}); do printf '${octal}' | socat -u - UDP:${to.address}:${to.port}; done`)}`;
}

function targets(to: string | readonly string[]): string[] {
  return [...new Set([to].flat())];
}

function repeated(questions: readonly Question[], count: number): Question[] {
  return Array.from({ length: count }, () => questions)
    .flat()
    .slice(0, MOST_QUESTIONS);
}

function dig(
  server: string,
  questions: readonly Question[],
  { proto, short = false }: { proto?: 'udp' | 'tcp' | undefined; short?: boolean },
): string {
  const [, address = server, port] = /^(\S+):(\d+)$/.exec(server) ?? [];
  const words = [
    'dig',
    `@${address}`,
    ...(port ? ['-p', port] : []),
    ...(short ? ['+short'] : ['+noall', '+question', '+comments', '+answer']),
    ...(proto === 'tcp' ? ['+tcp'] : []),
    ...questions.flatMap(({ name, type }) => [name, type]),
  ];
  return words.map(quote).join(' ');
}

function curl(
  url: string,
  { count, seconds, path = '/' }: { count: number; seconds: number; path?: string | undefined },
): string {
  // Each request a connection of its own; curl counts, and the server does not mind the fragment it never sees.
  const many = count > 1 ? `#[1-${count}]` : '';
  return `curl -sS -m ${seconds} -H "Connection: close" "${url}${path}${many}"`;
}
