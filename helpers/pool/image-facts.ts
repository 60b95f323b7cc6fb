import type { Image } from '../lab/trees.ts';
import type { Cell } from '../verdict/model.ts';

/** What a verdict tells of the images of a lab: those of several engines as `node`, `node-2` and so on. */
export function imageFacts(images: readonly (Image & { variant?: number })[]): NonNullable<Cell['images']> {
  return Object.fromEntries(
    images.map(({ name, variant = 1, hash, packages }) => [
      variant === 1 ? name : `${name}-${variant}`,
      { hash, packages },
    ]),
  );
}
