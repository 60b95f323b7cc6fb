import fs from 'node:fs/promises';
import path from 'node:path';
import { openBundle, packBundle } from '../helpers/bundle/bundle.ts';
import { count, size } from './words.ts';

/** `bundle`: packs the folder of a run, and says what is in it and what is not. */
export async function bundle(
  run: string,
  { output, maxSize }: { output?: string; maxSize: number },
): Promise<void> {
  const { verdict } = await openBundle(run);
  const target = path.resolve(output ?? `swarmproof-${verdict.run.id}.tar.gz`);
  const { leftOut, secretsRemoved } = await packBundle(run, target, maxSize);
  const { size: bytes } = await fs.stat(target);
  console.log(`${target}: ${size(bytes)}, ${count(verdict.clauses.length, 'clause')}`);
  if (secretsRemoved > 0)
    console.log(`Secrets were replaced by pseudonyms in ${count(secretsRemoved, 'file')}.`);
  if (leftOut.length > 0) {
    const missing = leftOut.reduce((sum, file) => sum + file.bytes, 0);
    console.log(
      `${count(leftOut.length, 'file')} of ${size(missing)} did not fit; bundle.json lists them. --max-size allows more.`,
    );
  }
  console.log(`Judge it again, without a lab: npx swarmproof judge ${path.relative(process.cwd(), target)}`);
}
