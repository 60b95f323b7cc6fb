import {
  addressesIn,
  addressesOf,
  EMBEDDED_DNS,
  failed,
  first,
  sameMembers,
  serviceIn,
} from '../../fixtures/domain.ts';
import { crowded, LONG_ALIAS } from '../../fixtures/stacks.ts';
import { clause, expect, judge, startWith, test } from '../../fixtures/test.ts';

startWith(crowded);

/** The largest answer over UDP to a client that announces no other size (RFC 1035, 2.3.4). */
const PLAIN_UDP_BYTES = 512;

/** More than 16 A records take whose names of 255 bytes are all written out: 16 x 269 + 271. */
const ROOMY_UDP_BYTES = 8192;

test(
  ...clause('DNS-015', async ({ swarm, evidence }) => {
    const view = await swarm.view();
    const tasks = addressesOf(serviceIn(view, 'crowd'), 'front');
    const client = await swarm.client();
    const { generation } = swarm.node(first(serviceIn(view, 'client').tasks).node);
    const large = { name: `tasks.${LONG_ALIAS}`, type: 'A' as const };
    const count = 5;
    const ask = async (
      kind: string,
      question: typeof large & { ednsBytes?: number },
      proto: 'udp' | 'tcp' = 'udp',
    ) => {
      const samples = await client.probe({
        kind: 'dns',
        server: EMBEDDED_DNS,
        questions: [question],
        proto,
        count,
      });
      await evidence(kind, samples);
      return samples.map((sample) => {
        // No answer is none that was promised: the tc bit, the records and the size of nothing.
        if (failed(sample)) return { tc: `${sample.error} in ${sample.phase}`, told: [], bytes: 0 };
        return { tc: String(sample.flags.tc), told: addressesIn(sample), bytes: sample.hex.length / 2 };
      });
    };

    // The engine cuts what it says to what fits, and says so, if a datagram of the size announced cannot hold it.
    for (const { tc, told, bytes } of [
      ...(await ask('plain', large)),
      ...(await ask('small', { ...large, ednsBytes: PLAIN_UDP_BYTES })),
    ]) {
      expect(tc, 'tc bit of a large answer over UDP').toBe('true');
      expect(bytes, 'size of it').toBeLessThanOrEqual(PLAIN_UDP_BYTES);
      if (!generation.cutAnswersRepeatNames) expect(told.length, 'records in it').toBeGreaterThan(0);
      judge(
        'records in it',
        sameMembers(
          tasks.filter((task) => told.includes(task)),
          told,
        ),
      );
      expect(told.length, 'records in it').toBeLessThan(tasks.length);
    }
    const whole = {
      'over TCP': await ask('over TCP', large, 'tcp'),
      'over UDP, to who takes 8192 bytes': await ask('with room', { ...large, ednsBytes: ROOMY_UDP_BYTES }),
      'over UDP, under a short name': await ask('short', { ...large, name: 'crowd' }),
    };
    for (const [how, answers] of Object.entries(whole))
      for (const { tc, told } of answers) {
        expect(tc, `tc bit ${how}`).toBe('false');
        judge(`records ${how}`, sameMembers(tasks, told));
      }
    expect(first(whole['over TCP']).bytes, 'size of the whole answer').toBeGreaterThan(PLAIN_UDP_BYTES);
  }),
);
