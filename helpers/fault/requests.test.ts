import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { engineClient } from '../engine/client.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { readied } from './library.ts';

/** An engine that refuses what names a network `ingress`, and keeps what it was asked. */
const asked: { request: string; body: unknown }[] = [];
const engine = http.createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  asked.push({
    request: `${request.method} ${request.url?.replace(/\?.*/, '')}`,
    body: text ? JSON.parse(text) : null,
  });
  const accepted = { GET: 200, DELETE: 204, POST: request.url?.includes('/update') ? 200 : 201 };
  response.statusCode = text.includes('"ingress"') ? 403 : accepted[request.method as keyof typeof accepted];
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ ID: 'x', message: 'refused' }));
});
before(() => new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve)));
after(() => {
  engine.closeAllConnections();
  engine.close();
});

/** A Swarm of one node whose engine that is, broken by a fault. */
async function broken(wound: Record<string, unknown>) {
  asked.length = 0;
  const { port } = engine.address() as AddressInfo;
  const api = engineClient({ host: '127.0.0.1', port, tls: null });
  const swarm = { everyone: [{ name: 'm1', api }] } as unknown as Swarm;
  const damage = await readied({ fault: 'request-altered', meaning: 'is another', ...wound }).inflict(swarm);
  return { api, damage };
}

test('a request that is meant is sent altered, by the real client, and others as they are', async () => {
  const { api, damage } = await broken({
    request: 'POST /networks/create',
    of: { Name: 'odd' },
    lay: { Driver: 'overlay', IPAM: { Config: [{ Subnet: '10.1.0.0/24' }] } },
    without: ['Options.encrypted'],
  });
  await assert.rejects(async () => damage.met?.(), /there was no request/);
  await api.createNetwork({ Name: 'even', Driver: 'bridge' });
  await api.createNetwork({ Name: 'odd', Driver: 'bridge', Options: { encrypted: '', mtu: '1200' } });
  assert.deepEqual(
    asked.map(({ body }) => body),
    [
      { Name: 'even', Driver: 'bridge' },
      {
        Name: 'odd',
        Driver: 'overlay',
        Options: { mtu: '1200' },
        IPAM: { Config: [{ Subnet: '10.1.0.0/24' }] },
      },
    ],
  );
  assert.equal(await damage.met?.(), '1 requests altered, 1 accepted');
});

test('an update keeps its path, and how the engine answered is counted', async () => {
  const { api, damage } = await broken({
    request: 'POST /services/*/update',
    lay: { Net: 'ingress' },
    after: 1,
  });
  await api.getService('two').update({ Name: 'two', version: 7 });
  await assert.rejects(api.getService('two').update({ Name: 'two', version: 8 }));
  assert.deepEqual(
    asked.map(({ request }) => request),
    ['POST /services/two/update', 'POST /services/two/update'],
  );
  assert.deepEqual(
    asked.map(({ body }) => Object(body).Net),
    [undefined, 'ingress'],
  );
  assert.equal(await damage.met?.(), '1 requests altered, 0 accepted');
});

test('a request can be accepted without anything being done', async () => {
  const { api, damage } = await broken({ request: 'DELETE /networks/back', instead: 'GET /version' });
  await api.getNetwork('back').remove();
  await api.getNetwork('front').remove();
  assert.deepEqual(
    asked.map(({ request }) => request),
    ['GET /version', 'DELETE /networks/front'],
  );
  assert.equal(await damage.met?.(), '1 requests altered, 1 accepted');
});
