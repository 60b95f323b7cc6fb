/** Folders at the root of each repository under which files lie that the catalogue cites by path. */
const repositories: Record<string, { repository: string; roots: RegExp; latest: string }> = {
  moby: {
    repository: 'moby/moby',
    roots: /^(?:api|cmd|daemon|integration|integration-cli|libnetwork)\//,
    latest: 'master',
  },
  swarmkit: { repository: 'moby/swarmkit', roots: /^(?:agent|manager|node)\//, latest: 'master' },
  'docker/docs': { repository: 'docker/docs', roots: /^content\//, latest: 'main' },
  'docker/cli': { repository: 'docker/cli', roots: /^docs\//, latest: 'master' },
  linux: { repository: 'torvalds/linux', roots: /^(?:Documentation|include|net)\//, latest: 'master' },
};

/** What the engine brings along of others lies in its own repository, too. */
const VENDOR = /^vendor\//;

/** Where issues are, by the word the catalogue uses for the project. */
const trackers: Record<string, string> = {
  moby: 'moby/moby',
  'moby/moby': 'moby/moby',
  libnetwork: 'moby/libnetwork',
  swarmkit: 'moby/swarmkit',
  'docker/docs': 'docker/docs',
  'docker/for-linux': 'docker/for-linux',
  classicswarm: 'docker-archive/classicswarm',
};

/**
 * The address of what a catalogue entry cites, as far as its words give one: a file at a version or commit, an issue, a
 * security advisory, an RFC. What cannot be told for certain has no address.
 */
export function linkTo({ name, ref }: { name: string; ref: string }): string | undefined {
  const rfc = /^RFC (\d+)$/.exec(name)?.[1];
  if (rfc) return `https://www.rfc-editor.org/rfc/rfc${rfc}`;
  return linkIn(ref, name) ?? fileLink(name, ref);
}

/** The address of what a known defect cites: an issue or advisory, or else a file of the project named first. */
export function linkToDefect(ref: string): string | undefined {
  return linkTo({ name: ref.split(/\s/)[0] ?? '', ref });
}

/**
 * The first advisory or issue that a text names.
 *
 * @param project whose issue it is when the text has no more than its number.
 */
function linkIn(text: string, project?: string): string | undefined {
  const advisory = /\bGHSA(?:-[0-9a-z]{4}){3}\b/.exec(text)?.[0];
  if (advisory) return `https://github.com/advisories/${advisory}`;
  const [, word, issue] = /(?:([\w/-]+)\s+)?\bissues? (\d+)/.exec(text) ?? /([\w/-]+)#(\d+)/.exec(text) ?? [];
  const tracker = trackers[word ?? ''] ?? trackers[project ?? ''];
  return issue && tracker ? `https://github.com/${tracker}/issues/${issue}` : undefined;
}

function fileLink(name: string, ref: string): string | undefined {
  const words = ref.split(/[\s,;]+/).map((word) => /^([^@]+)(?:@([0-9a-f]{7,40}))?$/.exec(word) ?? []);
  const known = repositories[name];
  const isFile = (word: string) => /\.\w+$/.test(word) && (VENDOR.test(word) || known?.roots.test(word));
  const [, path, commit] = words.find(([, word = '']) => isFile(word)) ?? [];
  const { repository, latest } = (VENDOR.test(path ?? '') ? repositories.moby : known) ?? {};
  if (path === undefined || repository === undefined) return undefined;
  // A version before the path is one that has the file there; of several the last.
  const versions = ref.slice(0, ref.indexOf(path)).match(/\b(?:docker-)?v\d+(?:\.\d+)+/g) ?? [];
  const at = commit ?? versions.findLast((one) => one.startsWith('v')) ?? versions.at(-1) ?? latest;
  return `https://github.com/${repository}/blob/${at}/${moved(path, at ?? '')}`;
}

/** In version 29 of the engine, libnetwork became a part of the daemon. */
function moved(path: string, at: string): string {
  return /^(?:docker-v|master)/.test(at) && path.startsWith('libnetwork/') ? `daemon/${path}` : path;
}
