import {
  endpoint,
  failed,
  first,
  HTTP_PORT,
  type HttpSample,
  median,
  notWhole,
  sameMembers,
  serviceIn,
} from '../../fixtures/domain.ts';
import { endToEndSecret } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(endToEndSecret);

/** Ours: bytes, so many that setting a connection up is a small part of it; some seconds for all under emulation. */
const LARGE = 512 * 1024;
/** Answers each way on either network. */
const ANSWERS = 4;
/** What users call slower by an order of magnitude. */
const ORDER = 10;

test(
  ...clause('REG-056', async ({ swarm, evidence, measure }) => {
    const { tasks } = serviceIn(await swarm.view(), 'ends');
    const on = (node: string) => first(tasks.filter((task) => task.node === node));
    const [one, other] = [on('w1'), on('w2')];

    const rates: Rates[] = [];
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const plain = endpoint(to.addresses.front ?? 'none', HTTP_PORT);
      const encrypted = endpoint(to.addresses.secret ?? 'none', HTTP_PORT);
      // In turn, so that whatever else the host does meets both alike.
      const samples = await swarm.inside(from).probe({
        kind: 'http',
        to: [plain, encrypted],
        path: `/bytes?n=${LARGE}`,
        count: ANSWERS,
        rounds: true,
        timeoutMs: 30_000,
      });
      await evidence(`large answers from ${to.node} to ${from.node}`, samples);
      judge(
        `large answers from ${to.node} to ${from.node} that did not come whole`,
        sameMembers([], notWhole(samples, LARGE)),
        from,
      );
      const way = { plain: ratesOf(samples, plain), encrypted: ratesOf(samples, encrypted) };
      rates.push(way);
      // Each way by itself: one that is slow would hide behind the other in a median of both.
      const ratio = ratioOf([way]);
      judge(
        `rate of large answers from ${to.node} to ${from.node} on the encrypted overlay, to that on the plain one`,
        ratio > 1 / ORDER
          ? { ok: true }
          : { ok: false, expected: `more than ${1 / ORDER}`, seen: ratio.toFixed(3) },
        from,
      );
    }
    measure('throughput-encrypted', ratioOf(rates), 2 * ANSWERS);
  }),
);

/** Bytes in a millisecond of each answer one way. */
interface Rates {
  plain: number[];
  encrypted: number[];
}

/** How fast the encrypted overlay is, in the median of all these answers, to the plain one. */
function ratioOf(ways: readonly Rates[]): number {
  return median(ways.flatMap((way) => way.encrypted)) / median(ways.flatMap((way) => way.plain));
}

/** Bytes in a millisecond of each answer from this endpoint. */
function ratesOf(samples: readonly HttpSample[], endpoint: string): number[] {
  return samples.flatMap((one) => (failed(one) || one.to !== endpoint ? [] : [one.bytes / one.ms]));
}
