import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';

/** SHA-256 of a file's content, in hexadecimal digits. */
export async function hashOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** SHA-256 over the names, modes and contents below a folder, whoever owns them and whenever they were written. */
export async function hashOfTree(folder: string): Promise<string> {
  const plain = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  const hash = createHash('sha256');
  const packing = execa('tar', [...plain, '-C', folder, '-cf', '-', '.'], {
    buffer: false,
    encoding: 'buffer',
  });
  await Promise.all([packing, pipeline(packing.stdout, hash)]);
  return hash.digest('hex');
}
