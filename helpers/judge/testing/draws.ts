import { createCipheriv } from 'node:crypto';

/** Numbers in [0, 1), the same for the same seed: the key stream of AES, which has no pattern a test could hit. */
export function seeded(seed: number): () => number {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  let block = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at === block.length) [block, at] = [stream.update(Buffer.alloc(1 << 16)), 0];
    at += 4;
    return block.readUInt32LE(at - 4) / 2 ** 32;
  };
}

/** Counts of `trials` draws from categories with these probabilities. */
export function draw(
  random: () => number,
  probabilities: readonly number[],
  trials: number,
): Record<string, number> {
  const counts = probabilities.map(() => 0);
  for (let trial = 0; trial < trials; trial += 1) {
    const at = random();
    let category = 0;
    for (
      let sum = probabilities[0] ?? 1;
      at >= sum && category < counts.length - 1;
      sum += probabilities[category] ?? 0
    )
      category += 1;
    counts[category] = (counts[category] ?? 0) + 1;
  }
  return Object.fromEntries(counts.map((count, category) => [`c${category}`, count]));
}
