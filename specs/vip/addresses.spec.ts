import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  answeredBy,
  complaint,
  converge,
  endpoint,
  first,
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
    /** From the client's node by its IPVS, which goes round: two in a row meet both tasks, once two serve. */
    const ask = async () => {
      const request = {
        kind: 'http',
        to: endpoint(vip, HTTP_PORT),
        count: 2,
        timeoutMs: OURS.connectMs,
      } as const;
      return answeredBy(await client.probe(request));
    };
    for (const task of before.service.tasks) {
      const { name, tasks: both } = await swarm.service('two');
      const [survivor = 'none'] = hostNamesOf({ name, tasks: both.filter(({ id }) => id !== task.id) });
      const meanwhile: string[][] = [];
      await swarm.kill(task);
      const replaced = async () => {
        const { tasks } = await swarm.service('two');
        if (tasks.length === 1) meanwhile.push(await ask());
        const listed = tasks.some(({ id }) => id === task.id);
        return !listed && tasks.length === 2 ? [] : [`of all tasks the API lists ${tasks.length}`];
      };
      const { containerName } = task;
      await converge(`another task runs in place of ${containerName}`, replaced, {
        ...OURS.taskReplaced,
        holdMs: 0,
      }).finally(() => evidence(`answers while ${containerName} was replaced`, meanwhile));
      // Of two requests one may meet the task that died, or its successor before that listens; the other is the survivor's turn.
      const unserved = meanwhile.filter((answers) => !answers.includes(survivor));
      first(meanwhile);
      judge(
        `answers without ${survivor} while ${containerName} was replaced`,
        sameMembers(
          [],
          unserved.map((answers) => answers.join(' and ')),
        ),
        client,
      );

      let answers: string[] = [];
      const serves = async () => {
        answers = await ask();
        const tasks = hostNamesOf(await swarm.service('two'));
        const { problems } = await swarm.agreement();
        return [...problems, ...complaint(`who answers at ${vip}`, sameMembers(tasks, answers))];
      };
      await converge(`another task serves in place of ${containerName}`, serves, {
        ...PROMISED.servesAgain,
        holdMs: 1000,
      }).finally(() => evidence(`answers once ${containerName} was replaced`, answers));
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
  }),
);
