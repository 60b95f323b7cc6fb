import path from 'node:path';
import { IMAGE_CONFIG } from '../engine/images.ts';
import { type Artifact, type Cache, type Progress, removeTree } from './cache.ts';
import type { HostTools } from './hosttools.ts';
import { storeImages } from './imagestore.ts';
import { diskFromTree, type Image, type LabImage, treeFromTar } from './trees.ts';

/** Free space on the guest's disk for containers and volumes; the file is sparse. */
const HEADROOM_MIB = 12 * 1024;

/** Raised when the layout below changes. */
const RECIPE = 2;

/** The guest's root disk, with the lab's images already in its engine's store. */
export async function guestDisk(
  cache: Cache,
  tools: HostTools,
  vmRoot: Image,
  contained: readonly LabImage[],
  progress: Progress,
): Promise<{ artifact: Artifact; file: string }> {
  const artifact = await cache.once(
    'guest-disk',
    {
      recipe: RECIPE,
      headroom: HEADROOM_MIB,
      root: vmRoot.hash,
      images: contained.map(({ hash, variant }) => ({ hash, variant })),
      config: IMAGE_CONFIG,
    },
    async (folder) => {
      progress('making the guest disk');
      const tree = path.join(folder, 'tree');
      await treeFromTar(vmRoot.file, tree);
      await storeImages(path.join(tree, 'var/lib/docker'), contained);
      await diskFromTree(tools, tree, path.join(folder, 'root.ext4'), { headroomMiB: HEADROOM_MIB });
      await removeTree(tree);
    },
    progress,
  );
  return { artifact, file: path.join(artifact.folder, 'root.ext4') };
}
