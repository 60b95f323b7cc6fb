import { OURS } from '../../fixtures/bounds.ts';
import { addressesIn, assume, converge, first, sameMembers, vipOf } from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('DNS-009', { disturbs: true }, async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const vote = await swarm.service('vote');
    const killed = first(vote.tasks);
    const heard: { running: string[]; answers: string[][] }[] = [];
    const ask = async (count: number) => {
      const answers = (await client.resolve(['vote'], { count })).map(addressesIn);
      const running = (await swarm.service('vote')).tasks.map(({ containerName }) => containerName);
      heard.push({ running, answers });
      return running;
    };

    await ask(20);
    await swarm.kill(killed);
    // The client's engine drops one task's address and learns another's; the name's own address is not among them.
    const wrong = async () => {
      const running = await ask(5);
      const replaced = running.length === vote.replicas && !running.includes(killed.containerName);
      return replaced ? (await swarm.agreement()).problems : [`${killed.containerName} is not replaced yet`];
    };
    await converge('another task serves in its place', wrong, OURS.taskReplaced)
      .then(() => ask(20))
      .finally(() => evidence('answers, and which tasks ran then', { vips: vote.vips, killed, heard }));

    const ran = new Set(heard.map(({ running }) => `${running.length} of ${vote.replicas}`));
    assume('tasks that ran when it was asked', sameMembers(['1 of 2', '2 of 2'], [...ran]));
    for (const answer of heard.flatMap(({ answers }) => answers))
      judge('records of vote', sameMembers([vipOf(vote, 'front')], answer), client);
  }),
);
