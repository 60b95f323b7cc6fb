import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parseReference, Registry } from './registry.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-registry-'));
after(() => rmSync(folder, { recursive: true }));

const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** A registry that serves these texts by tag or digest, and asks for a token if it is told one. */
async function serving(
  content: Record<string, string>,
  { token, forAll = true, ages = false }: { token?: string; forAll?: boolean; ages?: boolean } = {},
) {
  const server = http.createServer((request, response) => {
    const host = `http://${request.headers.host}`;
    if (request.url?.startsWith('/token')) {
      const scope = new URL(request.url, host).searchParams.get('scope');
      const given = forAll && scope === 'repository:lab/dind:pull';
      response.end(JSON.stringify(given ? { token } : {}));
    } else if (token && request.headers.authorization !== `Bearer ${token}`) {
      const challenge = `Bearer realm="${host}/token",service="lab",scope="repository:lab/dind:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else {
      const found = content[request.url?.split('/').at(-1) ?? ''];
      // It is good for one answer.
      if (ages) token = `${token}+`;
      response.writeHead(found === undefined ? 404 : 200).end(found);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    image: (version = 'v1') => new Registry(parseReference(`${host}/lab/dind:${version}`)),
    [Symbol.dispose]: () => void server.close(),
  };
}

const LAYER = 'the layer';
const CONFIG = JSON.stringify({ config: { Entrypoint: ['/entry'], Env: ['A=b'] } });
const part = (text: string) => ({ digest: digestOf(text), mediaType: 'application/octet-stream' });
const MANIFEST = JSON.stringify({ config: part(CONFIG), layers: [part(LAYER)] });
const index = (architecture: string) =>
  JSON.stringify({ manifests: [{ ...part(MANIFEST), platform: { os: 'linux', architecture } }] });
const BLOBS = { [digestOf(CONFIG)]: CONFIG, [digestOf(LAYER)]: LAYER, [digestOf(MANIFEST)]: MANIFEST };

describe('names of images', () => {
  const names: [text: string, registry: string, repository: string, version: string][] = [
    ['docker:28-dind', 'https://registry-1.docker.io', 'library/docker', '28-dind'],
    ['docker', 'https://registry-1.docker.io', 'library/docker', 'latest'],
    ['docker.io/docker:28-dind', 'https://registry-1.docker.io', 'library/docker', '28-dind'],
    ['docker.io/library/docker:28-dind', 'https://registry-1.docker.io', 'library/docker', '28-dind'],
    ['someone/dind:x', 'https://registry-1.docker.io', 'someone/dind', 'x'],
    ['ghcr.io/a/b/c:1.0', 'https://ghcr.io', 'a/b/c', '1.0'],
    ['registry:5000/dind', 'https://registry:5000', 'dind', 'latest'],
    ['localhost/dind', 'http://localhost', 'dind', 'latest'],
    ['127.0.0.1:5000/dind:x', 'http://127.0.0.1:5000', 'dind', 'x'],
    [`a.b/dind:x@${digestOf('')}`, 'https://a.b', 'dind', digestOf('')],
  ];
  for (const [text, registry, repository, version] of names)
    test(text, () => assert.deepEqual(parseReference(text), { text, registry, repository, version }));
  for (const text of ['a b', 'Upper/Case', ':tag', 'a@sha256:12', '../x'])
    test(`refused: ${text}`, () => assert.throws(() => parseReference(text), /is no name of an image/));
});

describe('an image in a registry', () => {
  for (const [how, top] of [
    ['named alone', MANIFEST],
    ['among others', index('amd64')],
  ] as const)
    test(`${how}: its layers, and how it starts`, async () => {
      using registry = await serving({ ...BLOBS, v1: top });
      assert.deepEqual(await registry.image().image(), {
        digest: digestOf(MANIFEST),
        layers: [part(LAYER)],
        entrypoint: ['/entry'],
        env: ['A=b'],
      });
    });

  test('a layer comes as it is', async () => {
    using registry = await serving(BLOBS);
    await registry.image().download(digestOf(LAYER), path.join(folder, 'layer'));
    assert.equal(readFileSync(path.join(folder, 'layer'), 'utf8'), LAYER);
  });

  test('a registry that gives everyone a token is read with one', async () => {
    using registry = await serving({ ...BLOBS, v1: MANIFEST }, { token: 'open' });
    assert.equal((await registry.image().image()).layers.length, 1);
  });

  test('a token that is too old is replaced by another', async () => {
    using registry = await serving({ ...BLOBS, v1: MANIFEST }, { token: 'open', ages: true });
    assert.equal((await registry.image().image()).layers.length, 1);
  });

  const refused: [what: string, content: Record<string, string>, said: RegExp][] = [
    ['that is not there', {}, /has no such image/],
    ['for other machines only', { v1: index('arm64') }, /has no image for linux\/amd64/],
    ['whose manifest is none', { v1: '{}' }, /describes it in a way not known/],
    ['whose manifest is no JSON', { v1: '<html>' }, /no JSON/],
    [
      'of which another part is sent',
      { ...BLOBS, v1: MANIFEST, [digestOf(CONFIG)]: '{}' },
      /sent sha256:\w+ for sha256:/,
    ],
  ];
  for (const [what, content, said] of refused)
    test(`${what}, is refused`, async () => {
      using registry = await serving(content);
      await assert.rejects(registry.image().image(), { name: 'UsageError', message: said });
    });

  test('a layer that was changed on the way is refused', async () => {
    using registry = await serving({ [digestOf(LAYER)]: 'another' });
    await assert.rejects(
      registry.image().download(digestOf(LAYER), path.join(folder, 'bad')),
      /sent sha256:/,
    );
  });

  test('a registry that wants a login is told so', async () => {
    using registry = await serving({ v1: MANIFEST }, { token: 'secret', forAll: false });
    await assert.rejects(registry.image().image(), { name: 'UsageError', message: /wants a login/ });
  });

  test('a registry that does not answer is told so', async () => {
    let registry: Registry;
    {
      using gone = await serving({});
      registry = gone.image();
    }
    await assert.rejects(registry.image(), /cannot be reached \(.*ECONNREFUSED/);
  });
});
