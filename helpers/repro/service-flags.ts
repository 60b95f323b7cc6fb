/** Specifications of services, in the words of `docker service create` and `docker service update`. */

import type { Json } from '../transcript/transcript.ts';

type JsonObject = { [name: string]: Json | undefined };

/** One flag of `docker service create`. */
interface Flag {
  name: string;
  value: string;
  /** For flags that may come several times: what `--<name>-rm` takes to remove this one. */
  key?: string;
}

/** What of a specification flags can say, and the paths in it that they cannot. */
interface Said {
  flags: Flag[];
  unsaid: string[];
}

/** What a name or an id in a specification is called by the reader's Swarm, such as a network's id or a node's host name. */
export type Renamed = (id: string) => string;

/** Labels by which the suite finds its own; nobody else needs them. */
const OWN_LABEL = /^swarmproof\./;

/** Keys that say nothing: what the engine fills in, and what the command line leaves to it. */
const SILENT = new Set([
  'Name',
  'TaskTemplate.ContainerSpec.Image',
  'TaskTemplate.ContainerSpec.Isolation',
  'TaskTemplate.Runtime',
  'TaskTemplate.ForceUpdate',
  'version',
]);

/** A time as Docker's command line takes it. @param ns as its API has it. */
function time(ns: unknown): string {
  const n = Number(ns);
  return n % 1e9 === 0 ? `${n / 1e9}s` : n % 1e6 === 0 ? `${n / 1e6}ms` : `${n}ns`;
}

/** How leaves of a specification are said, by their path. */
const SCALARS: Record<string, [flag: string, value?: (leaf: unknown) => string]> = {
  'Mode.Replicated.Replicas': ['replicas'],
  'EndpointSpec.Mode': ['endpoint-mode'],
  'TaskTemplate.ContainerSpec.StopGracePeriod': ['stop-grace-period', time],
  'TaskTemplate.ContainerSpec.StopSignal': ['stop-signal'],
  'TaskTemplate.ContainerSpec.Hostname': ['hostname'],
  'TaskTemplate.ContainerSpec.Init': ['init'],
  'TaskTemplate.ContainerSpec.Healthcheck.Interval': ['health-interval', time],
  'TaskTemplate.ContainerSpec.Healthcheck.Timeout': ['health-timeout', time],
  'TaskTemplate.ContainerSpec.Healthcheck.StartPeriod': ['health-start-period', time],
  'TaskTemplate.ContainerSpec.Healthcheck.StartInterval': ['health-start-interval', time],
  'TaskTemplate.ContainerSpec.Healthcheck.Retries': ['health-retries'],
  'TaskTemplate.RestartPolicy.Condition': ['restart-condition'],
  'TaskTemplate.RestartPolicy.Delay': ['restart-delay', time],
  'TaskTemplate.RestartPolicy.MaxAttempts': ['restart-max-attempts'],
  'TaskTemplate.RestartPolicy.Window': ['restart-window', time],
  'TaskTemplate.Placement.MaxReplicas': ['replicas-max-per-node'],
  ...Object.fromEntries(
    ['update', 'rollback'].flatMap((what) => {
      const part = what === 'update' ? 'UpdateConfig' : 'RollbackConfig';
      return [
        [`${part}.Parallelism`, [`${what}-parallelism`]],
        [`${part}.Delay`, [`${what}-delay`, time]],
        [`${part}.Monitor`, [`${what}-monitor`, time]],
        [`${part}.Order`, [`${what}-order`]],
        [`${part}.FailureAction`, [`${what}-failure-action`]],
        [`${part}.MaxFailureRatio`, [`${what}-max-failure-ratio`]],
      ];
    }),
  ),
};

/** Lists, by their path: each element one flag. */
const LISTS: Record<string, (element: Json, renamed: Renamed) => Flag> = {
  'TaskTemplate.ContainerSpec.Env': (one) => ({ name: 'env', value: `${one}`, key: `${one}`.split('=')[0] }),
  'TaskTemplate.ContainerSpec.DNSConfig.Nameservers': (one, renamed) => ({
    name: 'dns',
    value: renamed(`${one}`),
    key: renamed(`${one}`),
  }),
  'TaskTemplate.ContainerSpec.DNSConfig.Search': (one) => ({
    name: 'dns-search',
    value: `${one}`,
    key: `${one}`,
  }),
  'TaskTemplate.ContainerSpec.DNSConfig.Options': (one) => ({
    name: 'dns-option',
    value: `${one}`,
    key: `${one}`,
  }),
  'TaskTemplate.ContainerSpec.Hosts': (one) => ({ name: 'host', value: `${one}`, key: `${one}` }),
  'TaskTemplate.ContainerSpec.CapabilityAdd': (one) => ({ name: 'cap-add', value: `${one}` }),
  'TaskTemplate.Placement.Constraints': (one, renamed) => {
    const [, left = '', relation = '', right = ''] = /^(\S+?)\s*([!=]=)\s*(\S+)$/.exec(`${one}`) ?? [];
    const said = left ? `${left}${relation}${renamed(right)}` : `${one}`;
    return { name: 'constraint', value: said, key: said };
  },
  'TaskTemplate.Networks': (one, renamed) => {
    const { Target, Aliases } = one as { Target: string; Aliases?: string[] };
    const name = renamed(Target);
    const aliases = (Aliases ?? []).map((alias) => `,alias=${alias}`).join('');
    return { name: 'network', value: aliases ? `name=${name}${aliases}` : name, key: name };
  },
  'EndpointSpec.Ports': (one) => {
    const { PublishedPort, TargetPort, Protocol, PublishMode } = one as Record<string, string | number>;
    const words = [
      ...(PublishedPort ? [`published=${PublishedPort}`] : []),
      `target=${TargetPort}`,
      ...(Protocol && Protocol !== 'tcp' ? [`protocol=${Protocol}`] : []),
      ...(PublishMode && PublishMode !== 'ingress' ? [`mode=${PublishMode}`] : []),
    ];
    return { name: 'publish', value: words.join(','), key: `${TargetPort}/${Protocol ?? 'tcp'}` };
  },
};

/** What flags say of a specification. */
function said(spec: JsonObject, renamed: Renamed): Said {
  const result: Said = { flags: [], unsaid: [] };
  const visit = (value: Json | undefined, path: string) => {
    if (value === undefined || value === null || SILENT.has(path)) return;
    const list = LISTS[path];
    const scalar = SCALARS[path];
    if (list && Array.isArray(value)) result.flags.push(...value.map((one) => list(one, renamed)));
    else if (scalar) result.flags.push({ name: scalar[0], value: (scalar[1] ?? String)(value) });
    else if (path === 'Mode.Global') result.flags.push({ name: 'mode', value: 'global' });
    else if (path === 'TaskTemplate.ContainerSpec.Healthcheck.Test')
      result.flags.push(...healthCommand(value, result));
    else if (path === 'Labels' || path === 'TaskTemplate.ContainerSpec.Labels')
      for (const [name, text] of Object.entries(value as JsonObject)) {
        const flag = path === 'Labels' ? 'label' : 'container-label';
        if (!OWN_LABEL.test(name)) result.flags.push({ name: flag, value: `${name}=${text}`, key: name });
      }
    else if (typeof value === 'object' && !Array.isArray(value))
      for (const [name, inner] of Object.entries(value)) visit(inner, path ? `${path}.${name}` : name);
    else if (!Array.isArray(value) || value.length > 0) result.unsaid.push(path);
  };
  visit(spec, '');
  return result;
}

function healthCommand(test: Json, result: Said): Flag[] {
  const [kind, ...words] = test as string[];
  if (kind === 'NONE') return [{ name: 'no-healthcheck', value: 'true' }];
  if (!words.some((word) => /\bworkload\b/.test(word)))
    return [{ name: 'health-cmd', value: words.join(' ') }];
  // The program of the suite's own workload: others are asked for their page.
  result.unsaid.push('a health check that can be switched: it asks for the page instead');
  return [{ name: 'health-cmd', value: 'wget -q -O /dev/null http://127.0.0.1/' }];
}

/** The flags of `docker service create` for a specification, each as one word; and what they cannot say. */
export function createFlags(spec: JsonObject, renamed: Renamed): { words: string[]; unsaid: string[] } {
  const { flags, unsaid } = said(spec, renamed);
  return { words: flags.map(({ name, value }) => `--${name}=${value}`), unsaid };
}

/**
 * The flags of `docker service update` that lead from one specification to another.
 *
 * @returns undefined when flags cannot say all of it.
 */
export function updateFlags(from: JsonObject, to: JsonObject, renamed: Renamed): string[] | undefined {
  const [before, after] = [said(from, renamed), said(to, renamed)];
  const same = (one: Flag) => (other: Flag) => one.name === other.name && one.value === other.value;
  const gone = before.flags.filter((flag) => !after.flags.some(same(flag)));
  const come = after.flags.filter((flag) => !before.flags.some(same(flag)));
  const replaced = (flag: Flag) => come.some(({ name }) => name === flag.name);
  if (gone.some((flag) => flag.key === undefined && !replaced(flag))) return undefined;
  if (after.unsaid.some((path) => valueAt(from, path) !== valueAt(to, path))) return undefined;
  if (before.unsaid.some((path) => valueAt(from, path) !== valueAt(to, path))) return undefined;
  const image = 'TaskTemplate.ContainerSpec.Image';
  const force = 'TaskTemplate.ForceUpdate';
  return [
    ...(valueAt(from, force) !== valueAt(to, force) ? ['--force'] : []),
    ...(valueAt(from, image) !== valueAt(to, image) ? [`--image=${at(to, image)}`] : []),
    ...gone.flatMap(({ name, key }) => (key === undefined ? [] : [`--${name}-rm=${key}`])),
    ...come.map(({ name, value, key }) => `--${name}${key === undefined ? '' : '-add'}=${value}`),
  ];
}

function at(spec: JsonObject, path: string): Json | undefined {
  return path.split('.').reduce<Json | undefined>((value, name) => (Object(value) as JsonObject)[name], spec);
}

function valueAt(spec: JsonObject, path: string): string {
  return JSON.stringify(at(spec, path)) ?? '';
}
