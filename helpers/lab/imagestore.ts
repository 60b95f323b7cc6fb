import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { IMAGE_CONFIG, imageName } from '../engine/images.ts';
import { hashOfFile } from './hashes.ts';
import { type LabImage, treeFromTar } from './trees.ts';

/**
 * Puts images into the store of an engine that does not run yet.
 *
 * `docker import` of the node image takes a minute under emulation; laying the same files out on the host takes seconds. The
 * layout is that of the overlay2 store, unchanged over all engines built here (sources: moby layer/filestore.go,
 * image/fs.go, daemon/graphdriver/overlay2/overlay.go).
 *
 * @param store the engine's data folder, `.../var/lib/docker`.
 */
export async function storeImages(store: string, contained: readonly LabImage[]): Promise<void> {
  if (contained.length === 0) return;
  const repositories: Record<string, Record<string, string>> = {};
  for (const image of contained) {
    const { name, variant } = image;
    const layer = await hashOfFile(image.file);
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config: IMAGE_CONFIG[name],
      history: [{ created: '2026-01-01T00:00:00Z', comment: `swarmproof ${image.hash}` }],
      rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
    });
    const id = createHash('sha256').update(config).digest('hex');

    // The layer's files, and the short link by which overlay mounts name it (mount options have a length limit).
    const link = layer.slice(0, 26).toUpperCase();
    await treeFromTar(image.file, path.join(store, 'overlay2', layer, 'diff'));
    await fs.writeFile(path.join(store, 'overlay2', layer, 'link'), link);
    await fs.mkdir(path.join(store, 'overlay2/l'), { recursive: true });
    await fs.symlink(`../${layer}/diff`, path.join(store, 'overlay2/l', link));

    const { size } = await fs.stat(image.file);
    await write(store, `image/overlay2/layerdb/sha256/${layer}/diff`, `sha256:${layer}`);
    await write(store, `image/overlay2/layerdb/sha256/${layer}/cache-id`, layer);
    await write(store, `image/overlay2/layerdb/sha256/${layer}/size`, String(size));
    await write(store, `image/overlay2/imagedb/content/sha256/${id}`, config);
    const [repository = ''] = imageName(name).split(':');
    repositories[repository] = {
      ...repositories[repository],
      [imageName(name, variant)]: `sha256:${id}`,
    };
  }
  await write(store, 'image/overlay2/repositories.json', JSON.stringify({ Repositories: repositories }));
}

async function write(store: string, name: string, text: string): Promise<void> {
  const file = path.join(store, name);
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, text);
}
