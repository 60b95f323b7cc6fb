import { OURS, PROMISED } from '../../fixtures/bounds.ts';
import {
  assume,
  converge,
  first,
  HOST,
  INGRESS_SANDBOX,
  lbNamespace,
  markOfVip,
  mountedNamespaces,
  type NamespaceState,
  networkIn,
  now,
  paceNow,
  type Swarm,
  service,
  serviceIn,
  watch,
} from '../../fixtures/domain.ts';
import { lifecycle, SOLO_PORT } from '../../fixtures/stacks.ts';
import { clause, expect, startWith, test } from '../../fixtures/test.ts';

startWith(lifecycle);

test(
  ...clause('LIFE-001', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence, measure }) => {
    const view = await swarm.view();
    const killed = ['web', 'records'].map((name) => first(serviceIn(view, name).tasks));
    const started = now();
    await Promise.all(killed.map((task) => swarm.kill(task)));
    // A start takes as long as the delay under emulation: what the delay ends with is its beginning, told by the managers while it lasts.
    const begun = new Map<string, number>();
    const successions = () =>
      Promise.all(
        killed.map(async ({ service: name, slot, id }) => {
          const lives = (await swarm.lives(name)).filter((one) => one.slot === slot);
          for (const one of lives) if (one.state === 'starting') begun.set(one.id, one.changedAt);
          const dead = first(lives.filter((one) => one.id === id));
          return { dead, next: lives.find((one) => one.id !== id && one.state === 'running') };
        }),
      );
    const wanting = async () =>
      (await successions()).flatMap(({ dead, next }) => (next ? [] : [`none follows ${dead.containerName}`]));
    await converge('other tasks run in place of the killed ones', wanting, OURS.taskReplaced);
    // The successors' addresses are in names and balancers of every node, those of the dead in none.
    let seen: Awaited<ReturnType<Swarm['agreement']>> | undefined;
    const disagreements = async () => {
      seen = await swarm.agreement();
      return seen.problems;
    };
    await converge('names and balancers follow', disagreements, PROMISED.namesFollowTasks).finally(() =>
      evidence('what all witnesses say', seen),
    );
    measure('convergence-task-death', now() - started - PROMISED.namesFollowTasks.holdMs);
    await swarm.cleared(PROMISED.nothingLeft);

    const replaced = await successions();
    await evidence('the killed tasks and their successors', { replaced, begun: Object.fromEntries(begun) });
    const slowest = await paceNow();
    for (const { dead, next } of replaced) {
      const name = dead.containerName;
      expect(`${dead.state} ${dead.life?.exitCode}`, `state and exit code of ${name}`).toBe('failed 137');
      const ended = Number(dead.life?.finishedAt);
      const running = Number(next?.life?.startedAt);
      const { afterMs, delayByMs, byMs } = PROMISED.restartDelay;
      // Whose beginning nobody saw began between two looks, and ran by the second.
      const beginning = begun.get(next?.id ?? '') ?? running;
      expect(
        beginning - ended,
        `ms from the end of ${name} to its successor's beginning`,
      ).toBeGreaterThanOrEqual(afterMs);
      // The successor is made when the managers hear of the failure; from then on the delay counts.
      expect(
        beginning - Number(next?.createdAt),
        `ms for which the successor of ${name} waited`,
      ).toBeLessThan(delayByMs * slowest);
      expect(running - ended, `ms between ${name} and its successor`).toBeLessThan(byMs * slowest);
    }
  }),
);

/** What a namespace still knows of these addresses, ports and marks. */
function traces(
  { name, links = [], rules, ipvs = [] }: NamespaceState,
  of: { addresses: readonly string[]; port: number; marks: readonly number[] },
): string[] {
  const aliases = links.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  const written = Object.values(rules?.tables ?? {}).flatMap(({ chains }) =>
    Object.values(chains).flatMap((chain) => chain.rules.map(({ raw }) => raw)),
  );
  const known = (rule: string) =>
    rule.includes(` ${of.port} `) ||
    of.addresses.some((address) => rule.includes(`${address}/`) || rule.includes(`${address}:`));
  return [
    ...aliases.filter((address) => of.addresses.includes(address)).map((address) => `${name} has ${address}`),
    ...written.filter(known).map((rule) => `${name} has ${rule}`),
    ...ipvs.flatMap((one) => [
      ...(one.kind === 'fwmark' && of.marks.includes(one.fwmark) ? [`${name} has FWM ${one.fwmark}`] : []),
      ...one.realServers.map(({ address }) => address).filter((address) => of.addresses.includes(address)),
    ]),
  ];
}

test(
  ...clause('LIFE-010', { disturbs: true, limitMs: 600_000 }, async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const solo = serviceIn(view, 'solo');
    const task = first(solo.tasks);
    const own = networkIn(view, 'own');
    const home = swarm.node(task.node);
    const balancer = lbNamespace(own, home.generation);
    const balancers = await swarm.balancers(view, ['rules']);
    const look = async () => {
      const [namespaces, heard, mounted] = await Promise.all([
        swarm.everywhere((node) => node.observe(['ipvs', 'rules', 'links'], [HOST, 'lb_*', INGRESS_SANDBOX])),
        swarm.hear(view, 'front', ['solo', 'tasks.solo']),
        mountedNamespaces(home.toolbox),
      ]);
      return Object.fromEntries(
        swarm.nodes.map(({ name }) => {
          const marks = balancers
            .filter(({ node }) => node === name)
            .flatMap(
              ({ network, markChain, state }) =>
                markOfVip(state, solo.vips[network] ?? 'none', markChain) ?? [],
            );
          const of = {
            addresses: [...Object.values(solo.vips), ...Object.values(task.addresses)],
            port: SOLO_PORT,
            marks,
          };
          return [
            name,
            [
              ...Object.entries(heard[name] ?? {}).flatMap(([asked, answers]) =>
                answers.map((one) => `${asked} is ${one}`),
              ),
              ...(namespaces[name] ?? []).flatMap((state) => traces(state, of)),
              ...(name === home.name && mounted.includes(balancer)
                ? [`${balancer}, of which nothing is left here`]
                : []),
            ],
          ];
        }),
      );
    };
    const before = await look();
    await evidence('what each node knows of it before', before);
    // Two names, and in both balancers an address, a rule that marks, and an IPVS service with a server; the port on the node.
    for (const [node, known] of Object.entries(before))
      assume(`traces on ${node}`, {
        ok: known.length >= 10,
        expected: 'at least 10',
        seen: known.join('; '),
      });

    await swarm.remove('solo');
    await watch(
      'nothing is left of a removed service',
      { look, wrong: (seen) => seen, keep: (seen) => evidence('what each node knows of it after', seen) },
      PROMISED.removedEverywhere,
    );

    // On a network of 13 addresses with its gateway alone, twelve services have to be given the one that is free again.
    const heirs = Array.from({ length: 12 }, (_, i) => `heir${i}`);
    await Promise.all(heirs.map((name) => swarm.create(service(name, { networks: ['own'], replicas: 0 }))));
    const given = async () =>
      (await swarm.view()).services.filter(({ name }) => heirs.includes(name)).map(({ vips }) => vips.own);
    const missing = async () =>
      (await given()).includes(solo.vips.own) ? [] : [`given are ${(await given()).join(', ')}`];
    await converge(`${solo.vips.own} is given again`, missing, PROMISED.networkAllocated);
  }),
);
