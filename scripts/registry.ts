/**
 * Proves that an engine can come from a registry: `npx node scripts/registry.ts [--suite SUITE] -- COMMAND...` serves a Docker-in-Docker
 * image from a registry on this machine (Debian's docker-registry) and runs the command with ENGINE naming it, for example
 * `npx playwright test --grep @first`. The image is made as such images are: a distribution, the engine's programs in /usr/local/bin,
 * an entry point; nothing of ours is in it. Ends as the command does; nothing is left.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { UsageError } from '../helpers/errors.ts';
import { Apt, unpack } from '../helpers/lab/apt.ts';
import { Cache } from '../helpers/lab/cache.ts';
import { engineIn } from '../helpers/lab/engine-folder.ts';
import { images } from '../helpers/lab/images.ts';
import { archiveOf, readSettings } from '../helpers/lab/settings.ts';
import { enginesSchema } from '../helpers/lab/sources.ts';
import { tarFromTree, treeFromTar } from '../helpers/lab/trees.ts';
import { until } from '../helpers/waiting.ts';

const ENTRY_POINT = `#!/bin/sh
# As images of this kind do: without words it chooses them itself, and an engine that is named is run.
[ "$#" -gt 0 ] || set -- dockerd
[ "$PUBLISHED" = yes ] || { echo 'the environment of the image is missing'; exit 9; }
exec "$@"
`;

const { values, positionals } = parseArgs({
  options: { suite: { type: 'string', default: 'sid' } },
  allowPositionals: true,
});
const [command, ...words] = positionals;
if (!command) throw new UsageError('name the command to run with ENGINE set, after --.');
const settings = readSettings();
const cache = await new Cache(settings.LAB_CACHE).open();
const say = (line: string) => process.stderr.write(`registry: ${line}\n`);
// The command is told to end, too, and ends in its own order; then what was made here goes.
const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ending.abort());
const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-registry-'));
try {
  const layers = await dindLayers(values.suite);
  const host = await serve();
  await push(`http://${host.address}/v2/swarmproof/dind`, layers);
  const ENGINE = `image:${host.address}/swarmproof/dind:${values.suite}`;
  say(`serving ${ENGINE}`);
  const { exitCode } = await execa(command, words, {
    stdio: 'inherit',
    env: { ENGINE },
    reject: false,
    cancelSignal: ending.signal,
  });
  host.end();
  process.exitCode = exitCode ?? 1;
} finally {
  await fs.rm(folder, { recursive: true, force: true });
}

/** Three layers as a build leaves them, packed; the second one also removes what the first one has. */
async function dindLayers(suite: string): Promise<Buffer[]> {
  const engines = enginesSchema.parse(`debian:${suite}`);
  const made = images(cache, engines, archiveOf(settings), say);
  const [nodes] = await Promise.all([made.nodes, made.vmRoot, made.toolbox]);
  const base = path.join(folder, 'base');
  await treeFromTar(nodes[0]?.file ?? '', base);
  await fs.rm(path.join(base, 'var/lib/docker'), { recursive: true, force: true });
  await fs.writeFile(path.join(base, 'etc/of-the-base'), 'gone in the end');
  const programs = path.join(folder, 'programs');
  await fs.mkdir(path.join(programs, 'usr/local/bin'), { recursive: true });
  for (const [name, file] of Object.entries(await engineIn(base)))
    await fs.rename(file, path.join(programs, 'usr/local/bin', name));
  await fs.mkdir(path.join(programs, 'etc'));
  await fs.writeFile(path.join(programs, 'etc/.wh.of-the-base'), '');
  const entry = path.join(folder, 'entry');
  await fs.mkdir(path.join(entry, 'usr/local/bin'), { recursive: true });
  await fs.writeFile(path.join(entry, 'usr/local/bin/entry'), ENTRY_POINT, { mode: 0o755 });
  const packed: Buffer[] = [];
  for (const tree of [base, programs, entry]) {
    await tarFromTree(tree, `${tree}.tar`);
    packed.push(gzipSync(await fs.readFile(`${tree}.tar`), { level: 1 }));
  }
  return packed;
}

/** Starts Debian's registry on a free port. */
async function serve(): Promise<{ address: string; end: () => void }> {
  const apt = await Apt.open(cache, 'trixie', archiveOf(settings), say);
  const packages = await apt.fetch(['docker-registry'], (name) => name === 'docker-registry');
  await unpack(packages, path.join(folder, 'registry'));
  const address = `127.0.0.1:${await freePort()}`;
  const config = {
    version: 0.1,
    storage: { filesystem: { rootdirectory: path.join(folder, 'store') } },
    http: { addr: address },
  };
  // JSON is YAML.
  await fs.writeFile(path.join(folder, 'config.yml'), JSON.stringify(config));
  const registry = execa(
    path.join(folder, 'registry/usr/bin/docker-registry'),
    ['serve', path.join(folder, 'config.yml')],
    {
      reject: false,
      cleanup: true,
      stderr: 'ignore',
      stdout: 'ignore',
    },
  );
  await until('the registry to answer', async () => (await fetch(`http://${address}/v2/`)).ok, {
    withinMs: 20_000,
    everyMs: 100,
  });
  return { address, end: () => void registry.kill() };
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Uploads an image, as the distribution specification describes it. */
async function push(repository: string, layers: readonly Buffer[]): Promise<void> {
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: {
        Entrypoint: ['/usr/local/bin/entry'],
        Env: ['PUBLISHED=yes'],
        Volumes: { '/var/lib/docker': {} },
      },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => digestOf(gunzipSync(layer))) },
    }),
  );
  const part = (data: Buffer, kind: string) => ({
    mediaType: `application/vnd.oci.image.${kind}`,
    size: data.length,
    digest: digestOf(data),
  });
  for (const data of [...layers, config]) {
    const started = await fetch(`${repository}/blobs/uploads/`, { method: 'POST' });
    const place = new URL(started.headers.get('location') ?? '', repository);
    place.searchParams.set('digest', digestOf(data));
    await requireOk(await fetch(place, { method: 'PUT', body: new Uint8Array(data) }));
  }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: part(config, 'config.v1+json'),
    layers: layers.map((layer) => part(layer, 'layer.v1.tar+gzip')),
  };
  await requireOk(
    await fetch(`${repository}/manifests/${values.suite}`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: JSON.stringify(manifest),
    }),
  );
}

function digestOf(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

async function requireOk(response: Response): Promise<void> {
  if (!response.ok) throw new Error(`the registry answered ${response.status}: ${await response.text()}`);
}
