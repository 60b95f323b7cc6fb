import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { IMAGE_CONFIG } from '../engine/images.ts';
import { keyOf } from '../key.ts';
import { Apt, type Archive, unpack, versions } from './apt.ts';
import { type Artifact, type Cache, type Progress, removeTree } from './cache.ts';
import { engineIn, installEngine } from './engine-folder.ts';
import { hashOfFile } from './hashes.ts';
import { storeImages } from './imagestore.ts';
import { flatten } from './layers.ts';
import { parseReference, Registry } from './registry.ts';
import { versionsNow } from './renewal.ts';
import type { EngineSource, Suite } from './sources.ts';
import { type Image, type LabImage, type NodeImage, tarFromTree } from './trees.ts';

/** What an image is made of. Everything in it is part of its key. */
interface Recipe {
  name: Image['name'];
  suite: Suite;
  packages: readonly string[];
  /** Files of ours -> place in the image; all executable. */
  programs: Readonly<Record<string, string>>;
  /** Images already in the store of the image's own engine: each import would cost 10 s under emulation. */
  preloaded?: readonly LabImage[];
  /** Programs of an engine that take the place of the packaged one's, by name. */
  engine?: Readonly<Record<string, string>>;
  /** Paths (globs of the shell) that nothing in the image needs; each costs import time under emulation. */
  dropped: readonly string[];
}

const OURS = path.join(import.meta.dirname, 'images');

/** Documentation, translations and package bookkeeping: never read by a container. */
const NEVER_READ = [
  'usr/share/{doc,man,info,locale,lintian,bash-completion,zsh,bug,perl5,i18n}',
  'usr/lib/x86_64-linux-gnu/{gconv,perl}',
  'usr/lib/systemd',
  'var/cache',
];
/** containerd's own client and the shim of a runtime API that no engine here uses. */
const UNUSED_CONTAINERD = [
  'usr/bin/ctr',
  'usr/bin/containerd-stress',
  'usr/bin/containerd-shim-runc-v1',
  'usr/bin/containerd-shim',
  'usr/bin/{dnet,docker}',
  'usr/sbin/ovrouter',
];

/** The guest: an init of ours, one Docker Engine, and what loads modules. */
const vmRoot: Recipe = {
  name: 'vm-root',
  suite: 'trixie',
  packages: [
    'base-files',
    'base-passwd',
    'dash',
    'coreutils',
    'util-linux',
    'mount',
    'kmod',
    'iproute2',
    'iptables',
    'procps',
    'tar',
    'docker.io',
  ],
  programs: { 'lab-init.sh': 'usr/sbin/lab-init' },
  dropped: [...NEVER_READ, ...UNUSED_CONTAINERD],
};

/** One Swarm member: the engine under test and nothing that observes it. */
function node(suite: Suite, preloaded: readonly LabImage[]): Recipe {
  return {
    preloaded,
    name: 'node',
    suite,
    packages: [
      'base-files',
      'base-passwd',
      'dash',
      'coreutils',
      'mount',
      'kmod',
      'iproute2',
      'iptables',
      'docker.io',
      ...INSTEAD_OF_SYSTEMD[suite],
    ],
    programs: {},
    dropped: [...NEVER_READ, ...UNUSED_CONTAINERD],
  };
}

/** From Debian 14 on the engine wants a program that makes users from lists; a node needs neither it nor all of systemd. */
const INSTEAD_OF_SYSTEMD: Record<Suite, readonly string[]> = {
  bookworm: [],
  trixie: [],
  forky: ['systemd-standalone-sysusers'],
  sid: ['systemd-standalone-sysusers'],
};

/** The packages whose programs an engine from a folder replaces. */
const ENGINE_PACKAGES = ['docker.io', 'containerd', 'runc'];

/** The suite whose libraries and tools surround an engine from a folder. */
const AROUND_FOLDER: Suite = 'trixie';

/** Every tool that observes a node, from one suite whatever the engine under test. */
const toolbox: Recipe = {
  name: 'toolbox',
  suite: 'trixie',
  packages: [
    'base-files',
    'base-passwd',
    'dash',
    'coreutils',
    'util-linux',
    'grep',
    'sed',
    'findutils',
    'procps',
    'ipvsadm',
    'iptables',
    'nftables',
    'iproute2',
    'conntrack',
    'curl',
    'socat',
    'tcpdump',
    'gzip',
    'jq',
    'perl-base',
  ],
  programs: {
    'toolbox-init.sh': 'usr/sbin/toolbox-init',
    'probe.pl': 'usr/bin/probe',
    'workload.pl': 'usr/bin/workload',
  },
  dropped: NEVER_READ,
};

/** What services run: one Perl program and its interpreter. */
const workload: Recipe = {
  name: 'workload',
  suite: 'trixie',
  packages: ['base-files', 'base-passwd', 'perl-base'],
  programs: { 'workload.pl': 'usr/bin/workload' },
  dropped: [...NEVER_READ, 'usr/share/debianutils'],
};

/**
 * The images of a lab; each is a promise of its own, so that callers overlap them.
 *
 * @param engines of the nodes; `nodes` gives an image for each of them, in the same order.
 */
export function images(
  cache: Cache,
  engines: readonly EngineSource[],
  archive: Archive,
  progress: Progress,
): {
  vmRoot: Promise<Image>;
  nodes: Promise<NodeImage[]>;
  toolbox: Promise<LabImage>;
  workload: Promise<LabImage>;
} {
  const make = (recipe: Recipe) => makeImage(cache, recipe, archive, progress);
  const labImage = async (recipe: Recipe & { name: LabImage['name'] }): Promise<LabImage> => ({
    ...(await make(recipe)),
    name: recipe.name,
    variant: 1,
  });
  const workloadImage = labImage({ ...workload, name: 'workload' });
  const nodes = async (): Promise<NodeImage[]> => {
    const preloaded = [await workloadImage];
    // An engine that several nodes have is looked up and made once: a second try would wait for the first one's lock.
    const begun = new Map<string, Promise<PlainNodeImage>>();
    const imageOf = (engine: EngineSource) => {
      const known = begun.get(keyOf(engine)) ?? nodeImage(cache, engine, preloaded, archive, progress);
      begun.set(keyOf(engine), known);
      return known;
    };
    const made = await Promise.all(engines.map(imageOf));
    const distinct = [...new Set(made.map(({ hash }) => hash))];
    return made.map((image) => ({ ...image, name: 'node', variant: distinct.indexOf(image.hash) + 1 }));
  };
  return {
    vmRoot: make(vmRoot),
    nodes: nodes(),
    toolbox: labImage({ ...toolbox, name: 'toolbox' }),
    workload: workloadImage,
  };
}

type PlainNodeImage = Omit<NodeImage, 'variant'>;

async function nodeImage(
  cache: Cache,
  source: EngineSource,
  preloaded: readonly LabImage[],
  archive: Archive,
  progress: Progress,
): Promise<PlainNodeImage> {
  if (source.from === 'image') return pulledImage(cache, source.reference, progress);
  const recipe =
    source.from === 'debian'
      ? node(source.suite, preloaded)
      : { ...node(AROUND_FOLDER, preloaded), engine: await engineIn(source.folder) };
  return { ...(await makeImage(cache, recipe, archive, progress)), name: 'node', entrypoint: [], env: [] };
}

/**
 * An image from a registry as one file system. A tag is looked up anew each time, for it may have moved; an image that was named
 * by its digest and is in the cache needs no network.
 */
async function pulledImage(cache: Cache, reference: string, progress: Progress): Promise<PlainNodeImage> {
  const parsed = parseReference(reference);
  const pinned = parsed.version.startsWith('sha256:') ? parsed.version : undefined;
  const known = pinned && (await cache.find('node', keyOf({ pulled: pinned })));
  if (known) return pulledFrom(known);
  const registry = new Registry(parsed);
  const remote = await registry.image();
  const { entrypoint, env } = remote;
  const artifact = await cache.once(
    'node',
    { pulled: pinned ?? remote.digest },
    async (folder) => {
      const files = remote.layers.map((_, i) => path.join(folder, `layer-${i}`));
      for (const [i, { digest }] of remote.layers.entries()) {
        progress(`pulling ${reference}: layer ${i + 1} of ${remote.layers.length}`);
        await registry.download(digest, files[i] ?? '');
      }
      await flatten(files, path.join(folder, 'rootfs.tar'));
      for (const file of files) await fs.rm(file);
      const packages = { [reference]: remote.digest };
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(packages));
      await fs.writeFile(path.join(folder, 'starts.json'), JSON.stringify({ entrypoint, env }));
    },
    progress,
  );
  return pulledFrom(artifact);
}

async function pulledFrom(artifact: Artifact): Promise<PlainNodeImage> {
  const text = await fs.readFile(path.join(artifact.folder, 'starts.json'), 'utf8');
  const starts = JSON.parse(text) as Pick<NodeImage, 'entrypoint' | 'env'>;
  return { ...(await imageIn(artifact, 'node')), name: 'node', ...starts };
}

async function makeImage(cache: Cache, recipe: Recipe, archive: Archive, progress: Progress): Promise<Image> {
  const sources = Object.keys(recipe.programs).toSorted((a, b) => a.localeCompare(b));
  const contents = await Promise.all(sources.map((file) => fs.readFile(path.join(OURS, file), 'utf8')));
  const preloaded = recipe.preloaded ?? [];
  const { engine, ...plain } = recipe;
  const opened = () => Apt.open(cache, recipe.suite, archive, progress);
  const { suite, packages: wanted } = recipe;
  const found = await versionsNow(
    cache,
    { suite, wanted },
    archive.renewMs,
    async () => (await opened()).versionsOf(wanted),
    { progress },
  );
  const keyed = {
    ...plain,
    ...(found && { found }),
    contents: keyOf(contents),
    preloaded: preloaded.map(({ hash }) => ({ hash, config: IMAGE_CONFIG })),
    ...(engine && { engine: await hashesOf(engine) }),
  };
  const artifact = await cache.once(
    recipe.name,
    keyed,
    async (folder) => {
      progress(`building image ${recipe.name} (Debian ${suite})`);
      const packages = await (await opened()).fetch(wanted);
      const root = path.join(folder, 'root');
      await unpack(packages, root);
      await finish(root, recipe);
      if (engine) await installEngine(engine, root);
      await storeImages(path.join(root, 'var/lib/docker'), preloaded);
      await tarFromTree(root, path.join(folder, 'rootfs.tar'));
      await removeTree(root);
      const told = {
        ...versions(packages.filter(({ name }) => !engine || !ENGINE_PACKAGES.includes(name))),
        ...(engine && (await hashesOf(engine))),
      };
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(told));
    },
    progress,
  );
  return imageIn(artifact, recipe.name);
}

async function imageIn(artifact: Artifact, name: Image['name']): Promise<Image> {
  return {
    name,
    artifact,
    file: path.join(artifact.folder, 'rootfs.tar'),
    hash: artifact.key,
    packages: JSON.parse(await fs.readFile(path.join(artifact.folder, 'packages.json'), 'utf8')),
  };
}

/** SHA-256 of each program, as a version. */
async function hashesOf(programs: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const hashed = Object.entries(programs).map(async ([name, file]) => [
    name,
    `sha256:${await hashOfFile(file)}`,
  ]);
  return Object.fromEntries(await Promise.all(hashed));
}

/** What maintainer scripts would have done, as far as the lab needs it. */
async function finish(root: string, recipe: Recipe): Promise<void> {
  const script = [
    'set -e; cd "$1"; shift',
    'if [ -d usr/share/base-passwd ]; then cp usr/share/base-passwd/passwd.master etc/passwd; cp usr/share/base-passwd/group.master etc/group; fi',
    // dockerd's namespaces lie under /var/run; it must be /run, or the toolbox finds them elsewhere.
    'mkdir -p run var tmp; rm -rf var/run; ln -s /run var/run; chmod 1777 tmp',
    // The alternatives system points the plain names at the nft variants, as on a real Debian.
    'for f in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do' +
      ' v=$(echo $f | sed "s/tables/tables-nft/"); if [ -e usr/sbin/$v ] || [ -L usr/sbin/$v ]; then ln -sf $v usr/sbin/$f; fi; done',
    '[ -e usr/bin/sh ] || [ -e bin/sh ] || { [ ! -e usr/bin/dash ] || ln -s dash usr/bin/sh; }',
    'echo "127.0.0.1 localhost" > etc/hosts',
  ].join('\n');
  await execa('sh', ['-c', script, 'sh', root]);
  await execa('bash', ['-c', `cd "$0" && rm -rf ${recipe.dropped.join(' ')}`, root]);
  for (const [source, target] of Object.entries(recipe.programs)) {
    const file = path.join(root, target);
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.copyFile(path.join(OURS, source), file);
    await fs.chmod(file, 0o755);
  }
}
