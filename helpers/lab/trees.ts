import fs from 'node:fs/promises';
import { execa } from 'execa';
import type { ImageName } from '../engine/images.ts';
import type { Artifact } from './cache.ts';
import type { HostTools } from './hosttools.ts';

/** A root file system as one tar: what Docker's import takes, and what the guest's disk is made of. */
export interface Image {
  name: 'vm-root' | ImageName;
  artifact: Artifact;
  /** rootfs.tar */
  file: string;
  /** SHA-256 over the recipe and its programs, short form. */
  hash: string;
  packages: Record<string, string>;
}

/** An image that containers of the lab are made of. */
export interface LabImage extends Image {
  name: ImageName;
  /** Tells the node images of several engines apart; 1 for every other image. */
  variant: number;
}

/** The image of a node, and how the image itself would start: what it was published with. */
export interface NodeImage extends LabImage {
  entrypoint: readonly string[];
  /** `NAME=value` each. */
  env: readonly string[];
}

/** Packs a tree as root's, whoever unpacked it. */
export async function tarFromTree(tree: string, file: string): Promise<void> {
  await execa('tar', [
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--sort=name',
    '-C',
    tree,
    '-cf',
    file,
    '.',
  ]);
}

/** Unpacks an image's root file system. Owners are not kept: `tarFromTree` makes everything root's again. */
export async function treeFromTar(file: string, tree: string): Promise<void> {
  await fs.mkdir(tree, { recursive: true });
  await execa('tar', ['--no-same-owner', '-C', tree, '-xpf', file]);
}

/**
 * Makes an ext4 disk from a tree, without root rights: mke2fs (1.47.1 and newer) reads owners from a tar.
 *
 * @param headroomMiB free space beyond the content; the file is sparse.
 */
export async function diskFromTree(
  tools: HostTools,
  tree: string,
  file: string,
  { headroomMiB }: { headroomMiB: number },
): Promise<void> {
  const tar = `${file}.tar`;
  await tarFromTree(tree, tar);
  const { size } = await fs.stat(tar);
  const [mke2fs, ...args] = tools.command('mke2fs');
  const sizeMiB = Math.ceil((size / 1024 ** 2) * 1.15) + headroomMiB;
  // No journal: the disk is thrown away with the guest; lazy tables keep the file sparse and the first mount quiet.
  await execa(mke2fs, [
    ...args,
    '-q',
    '-F',
    '-t',
    'ext4',
    '-O',
    '^has_journal',
    '-E',
    'lazy_itable_init=1,nodiscard',
    '-m',
    '0',
    '-d',
    tar,
    file,
    `${sizeMiB}M`,
  ]);
  await fs.rm(tar);
}
