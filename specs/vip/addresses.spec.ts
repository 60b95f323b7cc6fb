import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  converge,
  endpoint,
  HTTP_PORT,
  holdersOfAddresses,
  hostNamesOf,
  networkIn,
  pairs,
  sameMembers,
  serviceIn,
  subnetOf,
  vipOf,
} from '../../fixtures/domain.ts';
import { virtualIps } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(virtualIps);

test(
  ...clause('VIP-001', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const holders = await holdersOfAddresses(swarm, view);
    await evidence('who holds which address', holders);
    const networkOfId = new Map(view.networks.map(({ id, name }) => [id, name]));

    // Two of these were created without an endpoint mode, and all but one without a port.
    for (const name of ['client', 'two', 'three', 'four']) {
      const { id, networks, ports, vips } = serviceIn(view, name);
      const { Endpoint } = await swarm.manager.api.getService(id).inspect();
      await evidence(`endpoint of ${name}`, Endpoint);
      expect(Endpoint.Spec.Mode, `endpoint mode of ${name}`).toBe('vip');
      const published = ports.some(({ mode }) => mode === 'ingress');
      const attached = published ? [...networks, 'ingress'] : networks;
      const due = attached.map((network) => `${network} in ${networkIn(view, network).subnet}`);
      const given: { NetworkID: string; Addr: string }[] = Endpoint.VirtualIPs;
      const seen = given.map(({ NetworkID, Addr }) => `${networkOfId.get(NetworkID)} in ${subnetOf(Addr)}`);
      judge(`virtual IPs of ${name}`, sameMembers(due, seen));
      for (const [network, vip] of Object.entries(vips))
        judge(
          `holders of ${vip} on ${network}`,
          sameMembers([`VIP of ${name}`], holders[network]?.[vip] ?? []),
        );
    }
  }),
);

test(
  ...clause('VIP-002', { disturbs: true }, async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const look = async () => {
      const service = await swarm.service('two');
      return { service, name: (await client.addresses(['two'])).get('two') ?? [] };
    };
    const before = await look();
    const vip = vipOf(before.service, 'front');
    for (const task of before.service.tasks) {
      const { name, tasks: both } = await swarm.service('two');
      const [survivor] = hostNamesOf({ name, tasks: both.filter(({ id }) => id !== task.id) });
      const meanwhile: string[] = [];
      await swarm.kill(task);
      const wrong = async () => {
        const { tasks } = await swarm.service('two');
        const request = { kind: 'http', to: endpoint(vip, HTTP_PORT), count: 2, timeoutMs: 1000 } as const;
        if (tasks.length === 1) meanwhile.push(...answeredBy(await client.probe(request)));
        const listed = tasks.some(({ id }) => id === task.id);
        return listed ? ['it still runs, for all the API knows'] : (await swarm.agreement()).problems;
      };
      await converge(`another task serves in place of ${task.containerName}`, wrong, OURS.taskReplaced);
      await evidence(`answers while ${task.containerName} was replaced`, meanwhile);
      // A request or two may still have met the dead task; others were answered by the one that lives.
      expect(meanwhile, `answers while ${task.containerName} was replaced`).toContain(survivor);
    }

    const after = await look();
    await evidence('before and after', { before, after });
    const former = before.service.tasks.map(({ id }) => id);
    const left = after.service.tasks
      .filter(({ id }) => former.includes(id))
      .map(({ containerName }) => containerName);
    judge('tasks from before', sameMembers([], left));
    judge('virtual IPs', sameMembers(pairs(before.service.vips), pairs(after.service.vips)));
    judge('what the name stands for', sameMembers([vipOf(before.service, 'front')], after.name), client);

    // The client's packets still go to the old address; its node's IPVS has other tasks behind it.
    const tasks = hostNamesOf(after.service);
    const samples: unknown[] = [];
    const silent = async () => {
      const [answer = 'nothing'] = answeredBy(
        await client.probe({ kind: 'http', to: endpoint(vip, HTTP_PORT) }),
      );
      samples.push(answer);
      return tasks.includes(answer) ? [] : [`${vip} was answered by: ${answer}`];
    };
    await converge('the virtual IP answers', silent, PROMISED.servesAgain).finally(() =>
      evidence('answers', samples),
    );
  }),
);
