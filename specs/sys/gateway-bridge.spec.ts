import { OURS } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  attachments,
  endpoint,
  failed,
  fileOf,
  first,
  GATEWAY_BRIDGE,
  type GatewayBridge,
  gatewayEndpoint,
  HOST,
  HTTP_PORT,
  type HttpSample,
  hostNamesOf,
  ingressNetwork,
  inTurn,
  type NamespaceState,
  type Node,
  pairs,
  rulesBetween,
  sameMembers,
  serveOutside,
  type TaskView,
  tasksIn,
  type Vantage,
  viewGatewayBridge,
  viewSandboxes,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

/** The bridge of a node, and what its tasks have of it. */
interface Members {
  bridge: GatewayBridge;
  host: NamespaceState;
  tasks: { task: TaskView; endpoint: string; state: NamespaceState | undefined }[];
}

async function members(node: Node, all: readonly TaskView[]): Promise<Members> {
  const tasks = all.filter((task) => task.node === node.name);
  const [bridge, sandboxes, host] = await Promise.all([
    viewGatewayBridge(node),
    viewSandboxes(node.api),
    node.namespace(HOST, ['links', 'rules']),
  ]);
  const keyOf = ({ container }: TaskView) => sandboxes.find((one) => one.container === container);
  const files = tasks.flatMap((task) => fileOf(keyOf(task)?.key ?? '') || []);
  const states = await node.observe(['links', 'routes'], files);
  return {
    bridge,
    host,
    tasks: tasks.map((task) => {
      const sandbox = keyOf(task);
      const file = fileOf(sandbox?.key ?? '');
      return {
        task,
        endpoint: gatewayEndpoint(sandbox?.id ?? ''),
        state: states.find(({ name }) => name === file),
      };
    }),
  };
}

test(
  ...clause('SYS-008', async ({ swarm, evidence }) => {
    const all = tasksIn(await swarm.view());
    const seen = await swarm.everywhere((node) => members(node, all));
    await evidence('docker_gwbridge and its members', seen);

    for (const [node, { bridge, host, tasks }] of Object.entries(seen)) {
      const prefix = 'com.docker.network.bridge.';
      const due = {
        [`${prefix}name`]: GATEWAY_BRIDGE,
        [`${prefix}enable_icc`]: 'false',
        [`${prefix}enable_ip_masquerade`]: 'true',
      };
      const options = Object.keys(due).map((name) => `${name}=${bridge.options[name]}`);
      judge(`options of the bridge on ${node}`, sameMembers(pairs(due), options), { node });
      const kinds = [`ipv6 ${bridge.ipv6}`, `internal ${bridge.internal}`];
      judge(`kind of the bridge on ${node}`, sameMembers(['ipv6 false', 'internal false'], kinds), { node });
      judge(
        `members of the bridge on ${node}`,
        sameMembers(
          [...tasks.map(({ endpoint: name }) => name), gatewayEndpoint('ingress-sbox')],
          Object.keys(bridge.endpoints),
        ),
        { node },
      );

      // A packet to the world: default route -> the bridge's own address on the node -> its source becomes the node's.
      const named = [{ name: GATEWAY_BRIDGE, subnet: bridge.subnet }];
      const length = bridge.subnet.split('/')[1];
      const own = attachments(host, named).filter(({ link }) => link === GATEWAY_BRIDGE);
      judge(
        `addresses of the bridge on ${node}`,
        sameMembers(
          [`${bridge.gateway}/${length}`],
          own.flatMap(({ addresses }) => addresses),
        ),
        { node },
      );
      for (const { task, endpoint: name, state } of tasks) {
        const links = attachments(state, named).filter(({ networks }) => networks.includes(GATEWAY_BRIDGE));
        const addresses = links.flatMap((one) => one.addresses);
        judge(
          `addresses of ${task.containerName} on the bridge`,
          sameMembers([`${bridge.endpoints[name]}/${length}`], addresses),
          { node },
        );
        const routes = (state?.routes ?? []).filter(({ to }) => to === 'default');
        judge(
          `default routes of ${task.containerName}`,
          sameMembers(
            links.map(({ link }) => `${bridge.gateway} ${link}`),
            routes.map(({ via, link }) => `${via} ${link}`),
          ),
          { node },
        );
      }
    }

    await serveOutside(swarm);
    const to = endpoint(swarm.outsider.address, HTTP_PORT);
    const samples = await swarm.everywhere(({ name }) =>
      inTurn(
        all.filter(({ node }) => node === name),
        async (task) => ({ task, sample: first(await swarm.inside(task).probe({ kind: 'http', to })) }),
      ),
    );
    await evidence('what a server outside saw', samples);
    for (const { task, sample } of Object.values(samples).flat()) {
      const who = failed(sample) ? `${sample.error} in ${sample.phase}` : sample.peer?.replace(/:\d+$/, '');
      const { address } = swarm.node(task.node);
      judge(
        `whom a server outside saw when ${task.containerName} asked`,
        sameMembers([address], [String(who)]),
        {
          node: task.node,
        },
      );
    }
  }),
);

test(
  ...clause('SYS-009', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const all = tasksIn(view);
    const ingress = ingressNetwork(view).name;
    await serveOutside(swarm);
    const outside = endpoint(swarm.outsider.address, HTTP_PORT);
    const seen = await swarm.everywhere(async (node) => {
      const { bridge, host, tasks } = await members(node, all);
      const known = tasks.map(({ task, endpoint: name }) => ({
        task,
        name: hostName(task),
        to: endpoint(bridge.endpoints[name] ?? '', HTTP_PORT),
      }));
      const ask = async (from: Vantage, to: readonly string[], timeoutMs: number) =>
        answers(to.length > 0 ? await from.probe({ kind: 'http', to, timeoutMs, parallel: to.length }) : []);
      const fromNode = await ask(
        node.vantage,
        known.map(({ to }) => to),
        5000,
      );
      const reached = await inTurn(known, async ({ task }) => {
        const due = known
          .filter((other) => other.task !== task)
          .flatMap(({ name, task: { addresses } }) =>
            Object.keys(addresses)
              .filter((network) => network !== ingress && task.addresses[network])
              .map((network) => `${endpoint(addresses[network] ?? '', HTTP_PORT)} ${name}`),
          );
        const all = [...due, `${outside} outsider`];
        return {
          task,
          due: all,
          seen: await ask(
            swarm.inside(task),
            all.map((line) => line.split(' ')[0] ?? ''),
            5000,
          ),
        };
      });
      // Out by the default interface and into the bridge, which forwards through the node's firewall (br_netfilter).
      const dropped = known.map(async ({ task }) => {
        const to = known.filter((other) => other.task !== task).map((other) => other.to);
        return { task, to, seen: await ask(swarm.inside(task), to, OURS.connectMs) };
      });
      const overBridge = await Promise.all(dropped);
      const after = await node.namespace(HOST, ['rules']);
      return { known, fromNode, reached, overBridge, drops: dropsOf(after) - dropsOf(host) };
    });
    await evidence('who reached whom', seen);

    let attempts = 0;
    for (const [node, { known, fromNode, reached, overBridge, drops }] of Object.entries(seen)) {
      const members = known.map(({ to, name }) => `${to} ${name}`);
      judge(`who answers the node on the bridge of ${node}`, sameMembers(members, fromNode), { node });
      for (const { task, due, seen: heard } of reached)
        judge(`who answers ${task.containerName} on overlays and outside`, sameMembers(due, heard), { node });
      for (const { task, to, seen: heard } of overBridge) {
        const due = to.map((one) => `${one} timeout in connect`);
        judge(`what ${task.containerName} gets over the bridge`, sameMembers(due, heard), { node });
      }
      const sent = overBridge.reduce((sum, { to }) => sum + to.length, 0);
      expect(drops, `packets dropped between members of the bridge of ${node}`).toBeGreaterThanOrEqual(sent);
      attempts += sent;
    }
    expect(attempts, 'requests over a bridge').toBeGreaterThan(0);
  }),
);

/** The name by which a task tells that it was it that answered. */
function hostName(task: TaskView): string {
  return first(hostNamesOf({ name: task.service, tasks: [task] }));
}

/** Who was asked and who answered, as in `172.18.0.3:80 4f9c03b1a2d7`. */
function answers(samples: readonly HttpSample[]): string[] {
  return samples.map((sample) => `${sample.to} ${first(answeredBy([sample]))}`);
}

/** Packets that a node's firewall has dropped between members of the bridge. */
function dropsOf(host: NamespaceState): number {
  const rules = rulesBetween(host, 'filter', GATEWAY_BRIDGE, GATEWAY_BRIDGE).filter(
    ({ jump }) => jump === 'DROP',
  );
  return rules.reduce((sum, { packets }) => sum + (packets ?? 0), 0);
}
