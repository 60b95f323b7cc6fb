import { OURS } from '../../fixtures/bounds.ts';
import { addressesIn, assume, converge, sameMembers, vipOf } from '../../fixtures/domain.ts';
import { voting } from '../../fixtures/stacks.ts';
import { clause, judge, startWith, test } from '../../fixtures/test.ts';

startWith(voting);

test(
  ...clause('DNS-009', { disturbs: true }, async ({ swarm, evidence }) => {
    const client = await swarm.client();
    const vote = await swarm.service('vote');
    const heard: { running: string[]; answers: string[][] }[] = [];
    const ask = async (count: number) => {
      const answers = (await client.resolve(['vote'], { count })).map(addressesIn);
      const { tasks } = await swarm.service('vote');
      heard.push({ running: tasks.map(({ containerName }) => containerName), answers });
      return tasks.map(({ id }) => id);
    };

    await ask(20);
    for (const task of vote.tasks) {
      await swarm.kill(task);
      // The client's engine drops one task's address and learns another's; the name's own address is not among them.
      const wrong = async () => {
        const running = await ask(3);
        const replaced = running.length === vote.replicas && !running.includes(task.id);
        return replaced ? (await swarm.agreement()).problems : ['it is not replaced yet'];
      };
      await converge(
        `another task serves in place of ${task.containerName}`,
        wrong,
        OURS.taskReplaced,
      ).finally(() => evidence('answers, and who ran then', { vips: vote.vips, heard }));
    }
    await ask(20);

    await evidence('all answers', heard);
    const ran = new Set(heard.map(({ running }) => `${running.length} of ${vote.replicas}`));
    assume('tasks that ran when it was asked', sameMembers(['1 of 2', '2 of 2'], [...ran]));
    for (const answer of heard.flatMap(({ answers }) => answers))
      judge('records of vote', sameMembers([vipOf(vote, 'front')], answer));
  }),
);
