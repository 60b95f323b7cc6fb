import { endpoint, failed, type HttpSample } from '../observe/probe.ts';
import type { Node } from './node.ts';
import { HTTP_PORT } from './services.ts';
import type { Swarm } from './swarm.ts';
import type { Vantage } from './vantage.ts';
import { hostNamesOf, type ServiceView, type SwarmView, serviceIn, taskOnEachNode, vipOf } from './view.ts';

/**
 * What users of a published service send while something is done, for `meanwhile`: a client to its virtual IP on `front`, and the
 * outsider to its port on some nodes in turn. Each request is a connection of its own, five a second from either.
 */
export function usersOf(
  { swarm, client, entries }: { swarm: Swarm; client: Vantage; entries: readonly Node[] },
  service: ServiceView,
  published: number,
) {
  const to = entries.map(({ address }) => endpoint(address, published));
  return {
    client: client.sending({ kind: 'http', to: endpoint(vipOf(service, 'front'), HTTP_PORT) }),
    outsider: swarm.outsider.sending({ kind: 'http', to }),
  };
}

/** What the clock says by which a vantage's samples are timed (epoch ms). */
export async function clockAt(vantage: Vantage): Promise<number> {
  return Number(await vantage.must('date +%s%3N'));
}

/** The samples of operations that began at this time or later. */
export function since<S extends { at: number }>(samples: readonly S[], at: number): S[] {
  return samples.filter((sample) => sample.at >= at);
}

/**
 * Asks a service from everywhere: by its virtual IP from a task on each node that is on `front`, and by its published port on each
 * node from outside, twice as many requests each as there are tasks. Balancers go round strictly, so that each gets two.
 *
 * @returns every answer by who asked, and those that none of the service's tasks gave.
 */
export async function servesEverywhere(swarm: Swarm, view: SwarmView, name: string, published: number) {
  const service = serviceIn(view, name);
  const tasks = hostNamesOf(service);
  const count = 2 * tasks.length;
  const vip = endpoint(vipOf(service, 'front'), HTTP_PORT);
  const askers = [
    ...taskOnEachNode(view, 'front').map((task) => ({ vantage: swarm.inside(task), to: vip })),
    ...swarm.up.map(({ address }) => ({ vantage: swarm.outsider, to: endpoint(address, published) })),
  ];
  const asked = await Promise.all(
    askers.map(async ({ vantage, to }) => {
      const samples = await vantage.probe({ kind: 'http', to, count });
      return [`${vantage.name} to ${to}`, samples.map(answerOf)] as const;
    }),
  );
  const wrong = asked.flatMap(([who, answers]) =>
    [...new Set(answers)].filter((one) => !tasks.includes(one)).map((one) => `${who}: ${one}`),
  );
  return { answers: Object.fromEntries(asked), wrong };
}

function answerOf(sample: HttpSample): string {
  return failed(sample) ? `${sample.error} in ${sample.phase}` : (sample.container ?? 'not the workload');
}
