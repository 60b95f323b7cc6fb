import fs from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { IMAGE_CONFIG } from '../engine/images.ts';
import { keyOf } from '../key.ts';
import { Apt, unpack, versions } from './apt.ts';
import { type Cache, type Progress, removeTree } from './cache.ts';
import { storeImages } from './imagestore.ts';
import type { Suite } from './settings.ts';
import { type Image, tarFromTree } from './trees.ts';

/** What an image is made of. Everything in it is part of its key. */
interface Recipe {
  name: Image['name'];
  suite: Suite;
  packages: readonly string[];
  /** Files of ours -> place in the image; all executable. */
  programs: Readonly<Record<string, string>>;
  /** Images already in the store of the image's own engine: each import would cost 10 s under emulation. */
  preloaded?: readonly Image[];
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
function node(suite: Suite, preloaded: readonly Image[]): Recipe {
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
    ],
    programs: { 'node-init.sh': 'usr/sbin/node-init' },
    dropped: [...NEVER_READ, ...UNUSED_CONTAINERD],
  };
}

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

/** The four images of a lab whose nodes run the engine of `engine`; each is a promise of its own, so that callers overlap them. */
export function images(cache: Cache, engine: Suite, mirror: string, progress: Progress) {
  const make = (recipe: Recipe) => makeImage(cache, recipe, mirror, progress);
  const workloadImage = make(workload);
  return {
    vmRoot: make(vmRoot),
    node: workloadImage.then((image) => make(node(engine, [image]))),
    toolbox: make(toolbox),
    workload: workloadImage,
  };
}

async function makeImage(cache: Cache, recipe: Recipe, mirror: string, progress: Progress): Promise<Image> {
  const sources = Object.keys(recipe.programs).toSorted((a, b) => a.localeCompare(b));
  const contents = await Promise.all(sources.map((file) => fs.readFile(path.join(OURS, file), 'utf8')));
  const preloaded = recipe.preloaded ?? [];
  const keyed = {
    ...recipe,
    contents: keyOf(contents),
    preloaded: preloaded.map(({ hash }) => ({ hash, config: IMAGE_CONFIG })),
  };
  const artifact = await cache.once(
    recipe.name,
    keyed,
    async (folder) => {
      progress(`building image ${recipe.name} (Debian ${recipe.suite})`);
      const apt = await Apt.open(cache, recipe.suite, mirror);
      const packages = await apt.fetch(recipe.packages);
      const root = path.join(folder, 'root');
      await unpack(packages, root);
      await finish(root, recipe);
      await storeImages(path.join(root, 'var/lib/docker'), preloaded);
      await tarFromTree(root, path.join(folder, 'rootfs.tar'));
      await removeTree(root);
      await fs.writeFile(path.join(folder, 'packages.json'), JSON.stringify(versions(packages)));
    },
    progress,
  );
  return {
    name: recipe.name,
    artifact,
    file: path.join(artifact.folder, 'rootfs.tar'),
    hash: artifact.key,
    packages: JSON.parse(await fs.readFile(path.join(artifact.folder, 'packages.json'), 'utf8')),
  };
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
