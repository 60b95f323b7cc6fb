import {
  fileOf,
  HOST,
  HOST_SANDBOX,
  lbNamespace,
  mountedNamespaces,
  namespaceBehind,
  namespaceFiles,
  namespaceOf,
  overlayNamespace,
  sameMembers,
  tasksIn,
  viewSandboxes,
  waysIntoIngress,
  withoutEpoch,
} from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('SYS-003', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const seen = await swarm.everywhere(async ({ api, toolbox }) => ({
      mounted: (await mountedNamespaces(toolbox)).filter((name) => name !== HOST_SANDBOX),
      files: (await namespaceFiles(toolbox)).filter((name) => name !== HOST_SANDBOX),
      sandboxes: (await viewSandboxes(api)).filter(({ key }) => fileOf(key) !== HOST_SANDBOX),
    }));
    await evidence('networks and tasks', view);
    await evidence('namespaces and sandboxes', seen);

    // An overlay bridges its VXLAN in a namespace of its own; its virtual IPs are balanced in another, ingress in ingress_sbox.
    for (const [node, { mounted, files, sandboxes }] of Object.entries(seen)) {
      const { generation } = swarm.node(node);
      const local = tasksIn(view).filter((task) => task.node === node);
      const used = view.networks.filter(
        (network) => network.ingress || local.some((task) => task.addresses[network.name]),
      );
      const balanced = used.filter((network) => network.ingress || generation.lbNamespaceName);
      const expected = [
        ...used.map(overlayNamespace),
        ...balanced.map((network) => lbNamespace(network, generation)),
        ...sandboxes.map(({ key }) => fileOf(key)),
      ];
      const names = mounted.map((name) => withoutEpoch(name, view.networks));
      judge(`namespaces on ${node}`, sameMembers(expected, names), { node });
      if (generation.netnsFileLingerSeconds === 0)
        judge(`files of namespaces on ${node}`, sameMembers(mounted, files), { node });
    }
  }),
);

test(
  ...clause('SYS-004', async ({ swarm, evidence }) => {
    const tasks = tasksIn(await swarm.view());
    // nsenter takes the path of a file in which the engine keeps the namespace; /proc says which one the process is in.
    const seen = await swarm.everywhere(async ({ api, toolbox }) => {
      const entered = (await viewSandboxes(api)).map(async (sandbox) => ({
        ...sandbox,
        behindKey: await namespaceBehind(toolbox, sandbox.key),
        ofProcess: await namespaceOf(toolbox, sandbox.pid),
      }));
      return Promise.all(entered);
    });
    await evidence('sandboxes and their namespaces', seen);

    for (const { node, container, containerName: task } of tasks) {
      const own = seen[node]?.find((sandbox) => sandbox.container === container);
      judge(`container of ${task}`, sameMembers([container], own ? [own.container] : []), { node });
      const { id = '', key = '', behindKey = '', ofProcess = '' } = own ?? {};
      judge(`end of SandboxKey of ${task}`, sameMembers([id.slice(0, 12)], [fileOf(key)]), { node });
      judge(`namespace behind SandboxKey of ${task}`, sameMembers([ofProcess], [behindKey]), { node });
    }
  }),
);

test(
  ...clause('SYS-013', async ({ swarm, evidence }) => {
    const hosts = await swarm.everywhere((node) => node.namespace(HOST, ['rules']));
    await evidence('rules of the nodes', hosts);

    for (const [node, host] of Object.entries(hosts)) {
      const judgements = waysIntoIngress(host, swarm.node(node).generation);
      for (const [what, judgement] of Object.entries(judgements))
        judge(`${what} on ${node}`, judgement, { node });
    }
  }),
);
