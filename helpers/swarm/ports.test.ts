import assert from 'node:assert/strict';
import { test } from 'node:test';
import type Docker from 'dockerode';
import { viewTaskPorts } from './ports.ts';

/** A manager with these tasks; `Ports` as GET /tasks gives them. */
function manager(tasks: Record<string, { Ports?: object[] } | undefined>): Docker {
  const listTasks = async () =>
    Object.entries(tasks).map(([ID, PortStatus]) => ({ ID, Status: { PortStatus } }));
  return { listTasks } as unknown as Docker;
}

test('a port is told once, however many address families it is bound in, and a task without ports has none', async () => {
  const http = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 32_769, PublishMode: 'host' };
  const echo = { Protocol: 'udp', TargetPort: 9000, PublishedPort: 8093, PublishMode: 'host' };
  const seen = await viewTaskPorts(
    manager({ a: { Ports: [echo, echo, http, http] }, b: {}, c: undefined }),
    'any',
  );
  assert.deepEqual(seen, { a: ['udp 8093->9000', 'tcp 32769->80'], b: [], c: [] });
});
