import { createHash } from 'node:crypto';

/** A stable, short key of anything that shapes an artifact: equal recipes, equal keys. */
export function keyOf(recipe: unknown): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
}
