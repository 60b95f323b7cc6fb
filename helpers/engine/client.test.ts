import assert from 'node:assert/strict';
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeCertificates } from './certificates.ts';
import { engineClient } from './client.ts';

const { ca, cert, key, serverCert, serverKey } = await makeCertificates(['127.0.0.1']);

/** An engine that answers every request, and says how many connections were made, and how many of them at the same time. */
async function played() {
  const server = https.createServer(
    { ca, cert: serverCert, key: serverKey, requestCert: true, rejectUnauthorized: true },
    (_, response) => response.end('OK'),
  );
  let opening = 0;
  const seen = { made: 0, atOnce: 0 };
  server.on('connection', () => {
    opening += 1;
    seen.made += 1;
    seen.atOnce = Math.max(seen.atOnce, opening);
  });
  for (const end of ['secureConnection', 'tlsClientError'] as const)
    server.on(end, () => {
      opening -= 1;
    });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const end = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, seen, [Symbol.dispose]: end };
}

test('connections to one port are made one after another, and requests still run side by side', async () => {
  using engine = await played();
  const api = engineClient({ host: '127.0.0.1', port: engine.port, tls: { ca, cert, key } });
  const answers = await Promise.all(Array.from({ length: 5 }, () => api.ping()));
  assert.deepEqual([...new Set(answers.map(String))], ['OK']);
  assert.equal(engine.seen.made, 5);
  // An engine learns a moment after its client that they trust each other.
  assert(engine.seen.atOnce <= 2, `${engine.seen.atOnce} at once`);
});

test('a connection that fails is told, and does not hold up the next', async () => {
  using engine = await played();
  const address = { host: '127.0.0.1', port: engine.port };
  const stranger = await makeCertificates(['127.0.0.1']);
  const wrong = engineClient({ ...address, tls: stranger });
  const unreadable = engineClient({ ...address, tls: { ca, cert: 'no certificate', key } });
  const right = engineClient({ ...address, tls: { ca, cert, key } });
  const [untrusted, unread, answer] = await Promise.allSettled([
    wrong.ping(),
    unreadable.ping(),
    right.ping(),
  ]);
  assert.match(String(untrusted.status === 'rejected' && untrusted.reason), /certificate/);
  assert.match(String(unread.status === 'rejected' && unread.reason), /PEM|no start line/i);
  assert.equal(answer.status === 'fulfilled' && String(answer.value), 'OK');
});
