import { z } from 'zod';
import { UsageError } from '../errors.ts';
import type { Archive } from './apt.ts';
import { DEFAULT_CACHE } from './home.ts';
import { ENGINE_FORMS, enginesSchema, KERNEL_FORMS, kernelSchema, MOST_NODES } from './sources.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/** `512M`, `20G` -> bytes. */
const size = z
  .string()
  .regex(/^\d+[MG]$/)
  .transform((text) => Number.parseInt(text, 10) * (text.endsWith('G') ? GiB : MiB));

/** `90s`, `30m`, `8h`, `7d` -> ms. */
const MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const span = z
  .string()
  .regex(/^[1-9]\d*[smhd]$/)
  .transform((text) => Number.parseInt(text, 10) * MS[text.at(-1) as keyof typeof MS]);

interface Setting {
  /** What it chooses, for the README's table and `doctor`. */
  meaning: string;
  /** Shown in the error that answers an unknown value. */
  known: string;
  default: string;
  schema: z.ZodType;
}

/** Every setting of the suite: one environment variable each. The README's table is checked against this one. */
export const SETTINGS = {
  LAB: {
    meaning: 'which lab: a VM of our own, or an engine you name with `DOCKER_HOST`',
    known: 'vm, docker',
    default: 'vm',
    schema: z.enum(['vm', 'docker']),
  },
  KERNEL: {
    meaning: 'kernel of the vm lab',
    known: KERNEL_FORMS,
    default: 'debian:trixie',
    schema: kernelSchema,
  },
  ENGINE: {
    meaning: 'Docker Engine of the Swarm nodes',
    known: ENGINE_FORMS,
    default: 'debian:trixie',
    schema: enginesSchema,
  },
  NODES: {
    meaning: 'managers and workers of the Swarm',
    known: '<managers>m<workers>w, for example 1m2w or 3m2w; at most 9 nodes',
    default: '1m2w',
    schema: z
      .string()
      .regex(/^[1-9]m[0-8]w$/)
      .transform((text) => ({ managers: Number(text[0]), workers: Number(text[2]) }))
      .refine(({ managers, workers }) => managers + workers <= MOST_NODES),
  },
  CELLS: {
    meaning: 'the set of cells to judge in, instead of one',
    known: 'a set of `cells.yaml`: default, pr, nightly, release, or one of your own',
    default: 'default',
    schema: z.string().regex(/^[\w-]+$/),
  },
  SOAK: {
    meaning: 'how long each of the long clauses may take; empty leaves them out',
    known: 'a time such as 30m or 8h',
    default: '',
    schema: z.union([z.literal('').transform(() => 0), span]),
  },
  SEED: {
    meaning: 'the number that random walks begin with, to replay one; empty takes one of chance',
    known: 'a whole number below 2147483648',
    default: '',
    schema: z.union([
      z.literal('').transform(() => undefined),
      z
        .string()
        .regex(/^\d{1,10}$/)
        .transform(Number)
        .refine((seed) => seed < 2 ** 31),
    ]),
  },
  HISTORY: {
    meaning:
      'folder that remembers runs, so that reports tell what changed since when; empty takes `history` in `OUT_DIR`',
    known: 'a path',
    default: '',
    schema: z.string(),
  },
  DRAFTS: {
    meaning: 'whether clauses are judged, too, that were not yet seen to judge rightly',
    known: 'yes, no',
    default: 'no',
    schema: z.enum(['yes', 'no']),
  },
  OUT_DIR: {
    meaning: 'folder for what a run leaves, in place of what an earlier one left there',
    known: 'a path',
    default: 'reports/out',
    schema: z.string(),
  },
  LAB_CACHE: {
    meaning: 'folder for packages, images and checkpoints',
    known: 'an absolute path',
    default: DEFAULT_CACHE,
    schema: z.string().startsWith('/'),
  },
  LAB_CACHE_SIZE: {
    meaning: 'checkpoints kept; the least recently used go first',
    known: 'a size such as 20G',
    default: '30G',
    schema: size,
  },
  LAB_MEMORY: {
    meaning: 'memory of one guest',
    known: 'a size such as 3072M, at most 5G',
    default: '3072M',
    schema: size.refine((bytes) => bytes <= 5 * GiB),
  },
  LAB_QEMU: {
    meaning: 'QEMU to use: our own from Debian packages, or one of yours (10.0 or newer)',
    known: 'packaged, or the path of a qemu-system-x86_64',
    default: 'packaged',
    schema: z.union([z.literal('packaged'), z.string().startsWith('/')]),
  },
  LAB_ACCEL: {
    meaning: 'hardware acceleration: tried by booting, or decided by you',
    known: 'auto, kvm, tcg',
    default: 'auto',
    schema: z.enum(['auto', 'kvm', 'tcg']),
  },
  LAB_MIRROR: {
    meaning: "Debian mirror; empty takes the one of the host's apt configuration",
    known: 'a URL whose path holds dists/ and pool/',
    default: '',
    schema: z.union([z.literal(''), z.url()]),
  },
  LAB_RENEW: {
    meaning:
      'after how long it is looked up again what a Debian suite ships; empty takes what was made of it once',
    known: 'a time such as 12h or 7d',
    default: '',
    schema: z.union([z.literal('').transform(() => 0), span]),
  },
  LAB_EXPIRED: {
    meaning:
      'what to do with package lists past the date until which Debian vouches for them; their signatures are verified in any case',
    known: 'refuse, accept',
    default: 'refuse',
    schema: z.enum(['refuse', 'accept']),
  },
} as const satisfies Record<string, Setting>;

type Name = keyof typeof SETTINGS;

/** Settings about this host alone: whoever repeats a run elsewhere has their own. */
const OF_THE_HOST: ReadonlySet<string> = new Set<Name>([
  'HISTORY',
  'OUT_DIR',
  'LAB_CACHE',
  'LAB_CACHE_SIZE',
  'LAB_QEMU',
  'LAB_MIRROR',
  'LAB_RENEW',
]);

/** The settings that were given and that a repetition of the run must be given, too, by variable name. */
export function settingsToRepeat(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const given = Object.entries(SETTINGS).flatMap(([name, setting]) => {
    const value = env[name]?.trim();
    return value && value !== setting.default && !OF_THE_HOST.has(name) ? [[name, value]] : [];
  });
  return Object.fromEntries(given);
}

/** The validated settings of this run, by variable name. */
export type Settings = { readonly [N in Name]: z.output<(typeof SETTINGS)[N]['schema']> };

/** The settings that shape a lab: the others say how long a run may take, what it draws by lot and where it leaves what it finds. */
export function shapeOfLab(settings: Settings): Partial<Settings> {
  const { SOAK, SEED, DRAFTS, OUT_DIR, HISTORY, CELLS, ...shape } = settings;
  return shape;
}

/** Where a run's Debian packages come from. */
export function archiveOf({
  LAB_MIRROR: mirror,
  LAB_EXPIRED: expired,
  LAB_RENEW: renewMs,
}: Settings): Archive {
  return { mirror, expired, renewMs };
}

/**
 * Reads the settings from environment variables.
 *
 * @throws UsageError naming the variable, its value and the known ones.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>> = process.env): Settings {
  const entries = Object.entries(SETTINGS).map(([name, setting]) => {
    const value = env[name]?.trim() || setting.default;
    const parsed = setting.schema.safeParse(value);
    if (!parsed.success) throw new UsageError(`${name}=${value} is not known; it takes ${setting.known}.`);
    return [name, parsed.data];
  });
  const misspelt = Object.keys(env).filter((name) => /^LAB_/.test(name) && !(name in SETTINGS));
  if (misspelt.length > 0) {
    throw new UsageError(
      `${misspelt.join(', ')} is no setting; there are ${Object.keys(SETTINGS).join(', ')}.`,
    );
  }
  const settings = Object.fromEntries(entries) as Settings;
  const nodes = settings.NODES.managers + settings.NODES.workers;
  if (settings.ENGINE.length > nodes) {
    throw new UsageError(
      `ENGINE names ${settings.ENGINE.length} engines and NODES only ${nodes} nodes: leave some out, or have more nodes.`,
    );
  }
  return settings;
}
