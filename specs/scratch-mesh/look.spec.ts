import { voting } from '../../fixtures/stacks.ts';
import { clause, startWith } from '../../fixtures/test.ts';
startWith(voting);
clause('SYS-003', async ({ swarm, evidence }) => {
  await evidence('view', await swarm.view());
  for (const node of swarm.nodes) {
    await evidence(`${node.name} all`, await node.observe());
    await evidence(`${node.name} save`, await node.toolbox.must('iptables-save -c; echo; ls -l /proc/1/root/run/docker/netns /proc/1/root/var/run; cat /proc/1/mountinfo | grep netns; nsenter --net=/proc/1/root/run/docker/netns/ingress_sbox iptables-save -c'));
    await evidence(`${node.name} networks`, await node.api.listNetworks());
    const nets = await node.api.listNetworks();
    for (const net of nets.filter((n) => n.Scope === 'swarm' || n.Name === 'docker_gwbridge')) await evidence(`${node.name} inspect ${net.Name}`, await node.api.getNetwork(net.Id).inspect({ verbose: true } as never));
    const cs = await node.api.listContainers();
    for (const c of cs) await evidence(`${node.name} container ${c.Names[0]?.slice(1, 8)}`, await node.api.getContainer(c.Id).inspect());
    await evidence(`${node.name} info`, await node.api.info());
  }
  await evidence('nodes', await swarm.manager.api.listNodes());
});
