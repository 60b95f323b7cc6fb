/** Faults of a node as a whole: its engine, its kernel's settings, its clock, its sockets and files. */
import { z } from 'zod';
import { quote } from '../observe/shell.ts';
import { type Damage, fault, Unproven } from './fault.ts';
import { type Hold, hold } from './hold.ts';
import { deed } from './overlay.ts';
import { nodesOf, placed, placeFields, placesOf } from './place.ts';

const sysctl = fault('sysctl', z.strictObject({ ...placeFields, name: z.string(), to: z.string() }), {
  areas: ['sys', 'vip'],
  describe: ({ name, to, ...at }) => `${name} is ${to} in ${placed(at)}`,
  inflict: async (swarm, { name, to, ...at }) => {
    const file = `/proc/sys/${name.replaceAll('.', '/')}`;
    return deed(await placesOf(swarm, at), {
      script: `echo ${quote(to)} > ${file}`,
      proof: `[ "$(sysctl -n ${name})" = ${quote(to)} ] && sysctl ${name}`,
    });
  },
});

const listener = fault('port-leaked', z.strictObject({ on: placeFields.on, port: z.int() }), {
  areas: ['port', 'mesh'],
  describe: ({ on, port }) => `a process of nobody listens on ${port} of ${placed({ on, in: 'host' })}`,
  inflict: async (swarm, { on, port }) =>
    deed(await placesOf(swarm, { ...(on !== undefined && { on }), in: 'host' }), {
      script: `setsid socat TCP-LISTEN:${port},fork,reuseaddr OPEN:/dev/null >/dev/null 2>&1 </dev/null & sleep 0.5`,
      proof: `grep -i ":$(printf %04X ${port}) .* 0A " /proc/net/tcp`,
    }),
});

const frozen = fault('engine-frozen', z.strictObject({ on: placeFields.on }), {
  areas: ['node', 'dns'],
  describe: ({ on }) => `the engine stands still, ${placed({ on, in: 'host' })}`,
  // A manager's would answer nothing that a clause asks of the Swarm: there would be nothing but time-outs to judge by.
  somewhere: (node) => (node.startsWith('m') ? undefined : { on: node }),
  inflict: async (swarm, { on }): Promise<Damage> => {
    const nodes = nodesOf(swarm, on);
    for (const node of nodes) await node.freezeEngine();
    return {
      nodes: nodes.map(({ name }) => name),
      there: async () => {
        const states = await Promise.all(
          nodes.map(({ toolbox }) =>
            toolbox.must('grep State: /proc/$(cat /proc/1/root/run/docker.pid)/status'),
          ),
        );
        if (states.some((one) => !one.includes('T (stopped)')))
          throw new Unproven(`engines: ${states.join()}`);
        return states.join().trim();
      },
    };
  },
});

const killed = fault('engine-gone', z.strictObject({ on: placeFields.on }), {
  areas: ['node', 'sys'],
  describe: ({ on }) => `the engine was killed and stays down, ${placed({ on, in: 'host' })}`,
  inflict: async (swarm, { on }): Promise<Damage> => {
    const nodes = nodesOf(swarm, on);
    for (const node of nodes) {
      await node.endEngine('KILL');
      // What the clause asks of the node must fail as it does for a user: only the fault knows that it is down.
      node.up = true;
    }
    return {
      nodes: nodes.map(({ name }) => name),
      there: async () => {
        for (const { name, toolbox } of nodes) {
          const { status } = await toolbox.run(
            '[ -d /proc/$(cat /proc/1/root/run/docker.pid 2>/dev/null || echo none) ]',
          );
          if (status === 0) throw new Unproven(`the engine of ${name} runs`);
        }
        return 'no process of that id';
      },
    };
  },
});

const lost = fault('node-lost', z.strictObject({ on: z.string() }), {
  areas: ['node'],
  describe: ({ on }) => `${on} is lost with everything on it`,
  inflict: async (swarm, { on }): Promise<Damage> => {
    const [node] = nodesOf(swarm, on);
    if (!node) throw new Unproven(`there is no node ${on}`);
    await node.lose();
    return {
      nodes: [on],
      there: async () => {
        const { State } = await node.container.inspect();
        if (State.Running) throw new Unproven(`the container of ${on} runs`);
        return `${on} is ${State.Status}`;
      },
    };
  },
});

const clock = fault('clock-jump', z.strictObject({ hours: z.int() }), {
  areas: ['node', 'sys'],
  describe: ({ hours }) => `the clock of the lab is ${hours} h off`,
  inflict: async (swarm, { hours }): Promise<Damage> => {
    const [node] = swarm.everyone;
    if (!node) throw new Unproven('there is no node');
    const before = Number(await node.toolbox.must('date +%s'));
    await node.toolbox.must(`date -s @${before + hours * 3600}`);
    return {
      nodes: [],
      there: async () => {
        const off = Number(await swarm.outsider.must('date +%s')) - Date.now() / 1000;
        if (Math.abs(off - hours * 3600) > 1800) throw new Unproven(`the clock is ${Math.round(off)} s off`);
        return `the clock is ${Math.round(off)} s off`;
      },
    };
  },
});

const fileLine = fault(
  'file-line',
  z.strictObject({
    on: placeFields.on,
    service: z.string().optional(),
    file: z.string(),
    line: z.string(),
    instead: z.boolean().default(false),
  }),
  {
    areas: ['dns', 'sys'],
    describe: ({ file, line, service, on }) =>
      `${file} has the line "${line}" in ${placed({ on, in: service ? `tasks ${service}` : 'host' })}`,
    inflict: async (swarm, { on, service, file, line, instead }) => {
      const at = { ...(on !== undefined && { on }), in: service ? `tasks ${service}` : 'host' };
      const places = await placesOf(swarm, at);
      const tasks = service ? (await swarm.service(service)).tasks : [];
      const damages: Damage[] = [];
      for (const place of places) {
        // The same order as the places of the tasks; a node itself is process 1 of its own.
        const pids = service
          ? tasks.filter(({ node }) => node === place.node.name).map(({ pid }) => pid)
          : [1];
        for (const pid of pids) {
          const path = `/proc/${pid}/root${file}`;
          damages.push(
            await deed([place], {
              script: `printf '%s\\n' ${quote(line)} ${instead ? '>' : '>>'} ${path}`,
              proof: `grep -Fxm 1 ${quote(line)} ${path}`,
            }),
          );
        }
      }
      return {
        nodes: places.map(({ node }) => node.name),
        there: async () => (await Promise.all(damages.map((one) => one.there?.()))).join('\n'),
      };
    },
  },
);

const namespaceFile = fault('namespace-file-gone', z.strictObject({ ...placeFields }), {
  areas: ['sys'],
  describe: (at) => `the file of ${placed(at)} is unmounted and removed`,
  inflict: async (swarm, at): Promise<Damage> => {
    const places = await placesOf(swarm, at);
    const files = places.map(({ name, node }) => ({ node, file: `/run/docker/netns/${name.split(' ')[0]}` }));
    for (const { node, file } of files)
      await node.toolbox.must(
        `nsenter --mount=/proc/1/ns/mnt sh -c ${quote(`umount ${file} && rm ${file}`)}`,
      );
    return {
      nodes: files.map(({ node }) => node.name),
      there: async () => {
        for (const { node, file } of files) {
          const { status } = await node.toolbox.run(`grep -q " ${file} " /proc/1/mountinfo`);
          if (status === 0) throw new Unproven(`${file} is mounted on ${node.name}`);
        }
        return files.map(({ file, node }) => `${file} is not mounted on ${node.name}`).join('\n');
      },
    };
  },
});

const bridgeGone = fault('gateway-bridge-gone', z.strictObject({ on: placeFields.on }), {
  areas: ['sys'],
  describe: ({ on }) => `docker_gwbridge is gone from ${placed({ on, in: 'host' })}`,
  inflict: async (swarm, { on }) =>
    deed(await placesOf(swarm, { ...(on !== undefined && { on }), in: 'host' }), {
      script: 'ip link del docker_gwbridge',
      proof: '! grep docker_gwbridge /proc/net/dev',
    }),
});

/** What is done on a node once something has happened there, and again whenever it is undone. */
const held = fault(
  'held',
  z.strictObject({
    ...placeFields,
    /** Status 0 says that this round did damage. */
    script: z.string(),
    what: z.string(),
  }),
  {
    areas: [],
    describe: ({ what, script: _, ...at }) => `${what}, again and again, in ${placed(at)}`,
    inflict: async (swarm, { script, what, ...at }): Promise<Damage> => {
      const places = await placesOf(swarm, at);
      const holds: Hold[] = [];
      for (const place of places) holds.push(await hold(place.node, place.command(script)));
      return {
        nodes: places.map(({ node }) => node.name),
        met: async () => {
          const deeds = await Promise.all(holds.map((one) => one.deeds()));
          if (deeds.every((one) => one === 0)) throw new Unproven(`nothing was there for: ${what}`);
          return `rounds that did damage: ${deeds.join(', ')}`;
        },
      };
    },
  },
);

export const hostFaults = [
  sysctl,
  listener,
  frozen,
  killed,
  lost,
  clock,
  fileLine,
  namespaceFile,
  bridgeGone,
  held,
];
