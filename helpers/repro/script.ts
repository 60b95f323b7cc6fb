/**
 * `repro.sh`: what a clause did and looked at, as a script of plain commands that shows the same on any Swarm of that version,
 * without this suite. Made from the clause's transcript, so that it can do nothing that the suite did not.
 */

import type { SwarmFacts } from '../swarm/facts.ts';
import { createNetworkBody, createServiceBody, type Stack } from '../swarm/services.ts';
import type { Transcript } from '../transcript/file.ts';
import type { Entry, Json } from '../transcript/transcript.ts';
import { elsewhere, Known, LAB, OUTSIDER, shellExpression, type TaskName, variable, word } from './known.ts';
import { type Command, changeByHand, lookByHand, parseRequest } from './requests.ts';

/** What is said at the head of the script. */
export interface Told {
  clause: string;
  title: string;
  statement: string;
  /** Documents that promise it. */
  sources: readonly string[];
  /** What was seen instead, in the words of the verdict. */
  seen: string;
  /** The known defect, where it is one. */
  defect?: string | undefined;
  kernel?: string | undefined;
}

/** One line of the script, before it is known which of its kind stay. */
interface Line {
  text: string;
  /** `change`: it stays. `look`: of equal ones between two changes the last stays. */
  kind: 'change' | 'look';
  /** When it was done, and answered (ms since the clause began). */
  at: number;
  until: number;
  /** How it was refused, where it was. */
  refused?: string | undefined;
}

/** Ours: what takes less than this is no waiting. */
const WAIT_MS = 2000;

/** After the stack is created: tasks are waited for as long as a slow machine takes (s). */
const SET_UP = 'settle 5 300';

/** The script of a clause that was judged. */
export function reproScript(transcript: Transcript, told: Told): string {
  const { lease, stack } = transcript.head as unknown as { lease: { swarm: SwarmFacts }; stack: Stack };
  const { nodes, outsider } = lease.swarm;
  const members = nodes.filter(({ role }) => role !== 'spare');
  // Where there is no Swarm yet, the first engine founds it.
  const manager = members.find(({ role }) => role === 'manager')?.name ?? nodes[0]?.name ?? '';
  const known = new Known([...nodes, { name: OUTSIDER, address: outsider.address }]);
  const limits = new Set<string>();

  const render = ({ command, of, unsaid }: Command, node: string): string | undefined => {
    for (const one of unsaid) limits.add(`not said by flags: ${one}`);
    if (command === undefined) return undefined;
    if (of && typeof command !== 'string')
      return `of_task ${of.service} ${slotOf(of, node, known)} ${word(elsewhere(command))}`;
    // A function of the script knows for itself where to go.
    if (command[0] === 'create_container') return (command as readonly string[]).map(word).join(' ');
    const text = typeof command === 'string' ? command : elsewhere(command);
    // `docker` speaks to the manager; what goes to an engine's socket is done beside it.
    if (node === manager && !text.startsWith('curl '))
      return typeof command === 'string' ? command : command.map(word).join(' ');
    return `on ${word(known.renamed(node))} ${word(text)}`;
  };

  const setUp = [
    ...stack.networks.map((one) => createNetworkBody(one)),
    ...stack.services.map((one) =>
      createServiceBody(
        one,
        members.map(({ name }) => name),
      ),
    ),
  ].map((body) => {
    const kind = 'Driver' in body ? 'networks' : 'services';
    const request = {
      method: 'POST',
      path: `/${kind}/create`,
      query: new URLSearchParams(),
      body: body as Record<string, Json>,
      node: manager,
    };
    return render(changeByHand(request, known), manager) ?? '';
  });

  const byHand = new Map(
    transcript.entries.flatMap((entry) => (entry.plain ? [[questionOf(entry), entry.plain]] : [])),
  );
  const lines: Line[] = [];
  const answered = transcript.entries.toSorted((one, other) => one.at - other.at);
  for (const entry of answered) {
    known.learn(entry);
    lines.push(...linesOf(entry, { known, byHand, limits, render }));
  }
  const steps = withWaits(lastOfEqual(lines));
  const text = [...setUp, ...(setUp.length > 0 ? [SET_UP] : []), ...steps].join('\n');
  return [
    ...head(told, transcript, { nodes, manager, text }, limits),
    ...preamble(text, { nodes, manager, second: known.second }),
    ...(setUp.length > 0 ? ['', '# What runs when the clause begins.', ...setUp, SET_UP] : []),
    '',
    '# What the clause did and looked at, in its order. Compare the last answers with "Promised" and "Seen" above.',
    ...steps,
    '',
  ].join('\n');
}

/** What the lines of the script are made with. */
interface Context {
  known: Known;
  /** Commands by hand, by question: a transcript has them with the first of equal ones. */
  byHand: ReadonlyMap<string, string[]>;
  /** What the script does not do as the suite did. */
  limits: Set<string>;
  render: (command: Command, node: string) => string | undefined;
}

function questionOf({ to, ask }: Entry): string {
  return `${to}\n${ask}`;
}

function linesOf(entry: Entry, { known, byHand, limits, render }: Context): Line[] {
  const [kind, node = ''] = entry.to.split(' ');
  const time = { at: entry.at, until: entry.at + (entry.ms ?? 0) };
  if (kind === 'api' && node === LAB) {
    const { method, path } = parseRequest(entry);
    if (method !== 'GET') limits.add(byMachine(method, path));
    return [];
  }
  if (kind === 'api') {
    const request = parseRequest(entry);
    const looks = request.method === 'GET';
    const text = render(looks ? lookByHand(request, known) : changeByHand(request, known), node);
    if (text === undefined) return [];
    return [{ text, kind: looks ? 'look' : 'change', ...time, refused: refusalOf(entry) }];
  }
  if (kind !== 'shell') return [];
  const commands = byHand.get(questionOf(entry)) ?? [entry.ask];
  return commands.flatMap((command): Line[] => {
    if (/\/usr\/bin\/(?:probe|workload)\b/.test(command)) {
      limits.add(`needs a program of the suite: ${command.slice(0, 100)}`);
      return [];
    }
    return [{ text: onNode(node, command, known), kind: 'look', ...time }];
  });
}

/** What was done to the machines that nodes are, which each reader does in a way of their own. */
function byMachine(method: string, path: string): string {
  if (method === 'POST' && /^\/networks\/(?:create|[^/]+\/connect)$/.test(path))
    return 'the nodes have a second network, made by hand: set their addresses there';
  return `done to the machines themselves, by hand: ${method} ${path}`;
}

/** A command beside a node: in a container's network namespace where it is one's, whatever node a task is on elsewhere. */
function onNode(node: string, command: string, known: Known): string {
  const [, pid = '', inner = ''] = /^nsenter --net=\/proc\/(\d+)\/ns\/net (.*)$/s.exec(command) ?? [];
  const container = known.container({ node, pid });
  if (container && 'at' in container)
    return `in_container ${word(shellExpression(container.at))} ${container.name} ${word(known.generally(inner, node))}`;
  if (container)
    return `in_task ${container.service} ${slotOf(container, node, known)} ${word(known.generally(inner, node))}`;
  return `on ${word(known.renamed(node))} ${word(known.generally(command, node))}`;
}

/** Which of a service's tasks: that on the node of this name where each node has one. */
function slotOf({ slot }: TaskName, node: string, known: Known): string {
  return word(slot.startsWith('$') ? known.renamed(node) : slot);
}

function refusalOf({ error }: Entry): string | undefined {
  return error && (error.api ? `${error.message}`.trim() : `no answer: ${error.message}`);
}

/** Of equal looks between two changes the last one stays: the clause asked until it had seen enough. */
function lastOfEqual(lines: readonly Line[]): Line[] {
  const kept: Line[] = [];
  let after = new Set<string>();
  for (const line of lines.toReversed()) {
    if (line.kind === 'change') after = new Set();
    else if (after.has(line.text)) continue;
    else after.add(line.text);
    kept.unshift(line);
  }
  // What the API says beside that is looked at once, at the end.
  const lastChange = kept.findLastIndex(({ kind }) => kind === 'change');
  return kept.filter(
    ({ kind, text }, i) =>
      kind === 'change' || i > lastChange || !/^(?:of_task |(?:on \S+ ')?docker )/.test(text),
  );
}

/** Waits as long as the clause did, and up to five times that, but two minutes at most, where services are not yet as they should be: not every Swarm is as fast, and some never are. */
function withWaits(lines: readonly Line[]): string[] {
  let until = 0;
  return lines.flatMap(({ text, kind, at, until: end, refused }) => {
    const wait = at - until;
    until = Math.max(until, end);
    return [
      ...(wait >= WAIT_MS ? [`settle ${Math.ceil(wait / 1000)}`] : []),
      ...(refused && kind === 'change' ? [`# Refused then: ${refused.split('\n')[0]}`] : []),
      text,
    ];
  });
}

/** What a fresh host may lack. */
const TOOLS = [
  'nsenter',
  'ipvsadm',
  'iptables',
  'nft',
  'ip',
  'bridge',
  'conntrack',
  'ss',
  'dig',
  'curl',
  'socat',
  'ping',
  'tcpdump',
  'rmmod',
  'perl',
];

function toolsIn(text: string): string[] {
  const used = TOOLS.filter((tool) => new RegExp(`(?<![\\w./-])${tool}(?:-save)? `).test(text));
  // The functions of the script enter namespaces.
  return [...new Set(['nsenter', ...used])];
}

function head(
  told: Told,
  { head: { startedAt } }: Transcript,
  { nodes, manager, text }: { nodes: SwarmFacts['nodes']; manager: string; text: string },
  limits: Set<string>,
): string[] {
  const engines = nodes.map(({ name, role, engine }) => `${name} (${role}) ${engine}`).join(', ');
  const spare = nodes.some(({ role }) => role === 'spare')
    ? ' (spares run an engine and are no members)'
    : '';
  const said = [
    `${told.clause}: ${told.title}`,
    '',
    `Promised: ${told.statement}`,
    ...told.sources.map((source) => `          (${source})`),
    `Seen: ${told.seen}`,
    ...(told.defect ? [`Known as: ${told.defect}`] : []),
    '',
    `Seen on ${startedAt.slice(0, 10)} with Docker Engine ${engines}; kernel ${told.kernel ?? 'not known'}.`,
    '',
    `Needs a Swarm of that version, of managers and workers as above${spare}, with nothing on it. Run it where docker speaks to`,
    `${manager}. Nodes are reached as root by ssh, or by what ON names; there it uses ${toolsIn(text).join(', ')}.`,
    'Set the host names of the nodes below, and OUTSIDER to a host that is no member, or leave it to be this one.',
    ...(limits.size > 0
      ? ['', 'What this script does not do as the suite did:', ...[...limits].map((one) => `- ${one}`)]
      : []),
  ];
  return ['#!/bin/sh', ...said.flatMap((line) => line.split('\n')).map((line) => `# ${line}`.trimEnd())];
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are of sh
const OUTSIDER_HOST = 'OUTSIDER=${OUTSIDER:-here}';
const OUTSIDER_ADDRESS = "OUTSIDER_ADDRESS=${OUTSIDER_ADDRESS:-$(hostname -I | cut -d ' ' -f 1)}";

/** Functions of the script, by name; only those that it uses are in it. */
const FUNCTIONS: Record<string, string> = {
  // What it says is pasted into reports: a token to join by is nobody's business.
  on: 'on() { echo "--- $1: $2" | sed "s/SWMTKN-[^ ]*/SWMTKN-.../" >&2; if [ "$1" = here ]; then sh -c "$2"; else ${ON:-ssh} "$1" "$2"; fi; }',
  address: `address() { docker node inspect -f '{{.Status.Addr}}' "$1"; }`,
  host_address: `host_address() { getent ahostsv4 "$1" | awk '{ print $1; exit }'; }`,
  network_id: `network_id() { docker network inspect -f '{{.Id}}' "$1"; }`,
  vip: `vip() { docker service inspect -f "{{range .Endpoint.VirtualIPs}}{{if eq .NetworkID \\"$(docker network inspect -f '{{.Id}}' "$2")\\"}}{{.Addr}}{{end}}{{end}}" "$1" | cut -d / -f 1; }`,
  task: `task() { for t in $(docker service ps -q --no-trunc -f desired-state=running "$1"); do
  case "$(docker inspect --type task -f '{{.Slot}} {{.NodeID}}' "$t")" in "$2 "* | "0 $(docker node inspect -f '{{.ID}}' "$2" 2>/dev/null)") echo "$t"; return ;; esac
done; }`,
  task_address: `task_address() { docker inspect --type task -f "{{range .NetworksAttachments}}{{if eq .Network.Spec.Name \\"$3\\"}}{{index .Addresses 0}}{{end}}{{end}}" "$(task "$1" "$2")" | cut -d / -f 1; }`,
  container: `container() { docker inspect --type task -f '{{.Status.ContainerStatus.ContainerID}}' "$(task "$1" "$2")"; }`,
  task_namespace: `task_namespace() { echo "/proc/$(docker inspect --type task -f '{{.Status.ContainerStatus.PID}}' "$(task "$1" "$2")")/ns/net"; }`,
  // Found once: a task may be replaced while its host and its process are asked for.
  in_task: `in_task() { set -- "$(task "$1" "$2")" "$3"
  host=$(docker node inspect -f '{{.Description.Hostname}}' "$(docker inspect --type task -f '{{.NodeID}}' "$1")")
  on "$host" "nsenter --net=/proc/$(docker inspect --type task -f '{{.Status.ContainerStatus.PID}}' "$1")/ns/net $2"; }`,
  of_task: `of_task() { set -- "$(task "$1" "$2")" "$3"
  host=$(docker node inspect -f '{{.Description.Hostname}}' "$(docker inspect --type task -f '{{.NodeID}}' "$1")")
  on "$host" "$2 $(docker inspect --type task -f '{{.Status.ContainerStatus.ContainerID}}' "$1")"; }`,
  create_service: `create_service() { if [ -n "$IMAGE" ]; then docker service create --detach "$@" "$IMAGE"; else docker service create --detach "$@" busybox sh -c "$SERVE"; fi; }`,
  engine: `engine() { if [ "$1" = "$MANAGER" ]; then sh -c "docker $2"; else on "$1" "docker $2"; fi; }`,
  create_container: `create_container() { where=$1; shift; engine "$where" "create $* \${IMAGE:-busybox sh -c '$SERVE'}"; }`,
  container_address: `container_address() { engine "$1" "inspect -f '{{with index .NetworkSettings.Networks \\"$3\\"}}{{.IPAddress}}{{end}}' $2"; }`,
  container_namespace: `container_namespace() { echo "/proc/$(engine "$1" "inspect -f '{{.State.Pid}}' $2")/ns/net"; }`,
  in_container: `in_container() { on "$1" "nsenter --net=$(container_namespace "$1" "$2") $3"; }`,
  settled: `settled() { docker service ls --format '{{.Replicas}}' 2>/dev/null | awk -F '[/ ]' '$1 != $2 { exit 1 }' &&
  ! docker service inspect -f '{{with .UpdateStatus}}{{.State}}{{end}}' $(docker service ls -q 2>/dev/null) 2>/dev/null | grep -q '^updating$'; }`,
  // What is long is no wait for a slow Swarm, and what is to be seen may be over after it.
  settle: `settle() { sleep "$1"; settled && return; most=$((5 * $1)); [ $most -le 120 ] || most=120; i=0
  until settled || [ $i -ge "\${2:-$most}" ]; do sleep 1; i=$((i + 1)); done; sleep 5; }`,
};

// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are of sh

/** What functions need of each other. */
const NEEDS: Record<string, string[]> = {
  task_address: ['task'],
  container: ['task'],
  task_namespace: ['task'],
  in_task: ['task', 'on'],
  of_task: ['task', 'on'],
  engine: ['on'],
  settle: ['settled'],
  create_container: ['engine', 'on'],
  container_address: ['engine', 'on'],
  container_namespace: ['engine', 'on'],
  in_container: ['container_namespace', 'engine', 'on'],
};

function setting(of: string, otherwise: string): string {
  const name = of.slice(1);
  return `${name}=\${${name}:-${otherwise}}`;
}

const SERVE =
  'mkdir -p /www && hostname > /www/index.html; httpd -p 8081 -h /www; nc -lk -p 9000 -e cat & trap "[ -n \\"\\$IGNORE_TERM\\" ] || exit 0" TERM; httpd -f -p 80 -h /www & while kill -0 $!; do wait $!; done';

function preamble(
  text: string,
  { nodes, manager, second }: { nodes: SwarmFacts['nodes']; manager: string; second: Known['second'] },
): string[] {
  const uses = (name: string) => new RegExp(`(?:^|[\\s($"])${name}(?:[\\s)]|$)`, 'm').test(text);
  const direct = Object.keys(FUNCTIONS).filter(uses);
  const needed = new Set(direct.flatMap((name) => [...(NEEDS[name] ?? []), name]));
  const workload = needed.has('create_service') || needed.has('create_container');
  return [
    ...nodes.map(({ name }) => setting(variable(name), name)),
    ...[...second].map(([name, address]) => setting(`${variable(name)}_DATA`, address)),
    ...(needed.has('engine') ? [`MANAGER=${variable(manager)}`] : []),
    OUTSIDER_HOST,
    ...(/OUTSIDER_ADDRESS/.test(text) ? [OUTSIDER_ADDRESS] : []),
    ...(workload
      ? [
          '# Every task answers HTTP on 80 and 8081 with its host name, echoes on 9000, and does not heed SIGTERM if IGNORE_TERM is set.',
          '# IMAGE names an image that does so by itself, and has wget.',
          `SERVE=${word(SERVE)}`,
        ]
      : []),
    ...Object.keys(FUNCTIONS)
      .filter((name) => needed.has(name))
      .map((name) => FUNCTIONS[name] ?? ''),
    // A host without an address would be asked for in vain by every line below.
    ...[...new Set([...text.matchAll(/\bhost_address (\$\w+)/g)].map(([, host = '']) => host))].map(
      (host) =>
        `[ -n "$(host_address ${host})" ] || { echo "${host} has no address here: set ${host.slice(1)} to a host name or an address" >&2; exit 2; }`,
    ),
  ];
}
