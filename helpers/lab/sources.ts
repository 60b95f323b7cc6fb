import path from 'node:path';
import { z } from 'zod';

/** Debian suites that ship an engine, and the packages images are built from. */
export const SUITES = ['bookworm', 'trixie', 'forky', 'sid'] as const;
export type Suite = (typeof SUITES)[number];

/** Debian suites that ship kernels. */
export const KERNEL_SUITES = [
  'bookworm',
  'bookworm-backports',
  'trixie',
  'trixie-backports',
  'forky',
  'sid',
  'experimental',
] as const;
export type KernelSuite = (typeof KERNEL_SUITES)[number];

/** Where a kernel comes from. */
export type KernelSource =
  /** A suite's kernel; its current one unless `version` names another, see {@link ./kernels.ts}. */
  | { from: 'debian'; suite: KernelSuite; version?: string }
  /** A kernel package; what it depends on lies beside it. */
  | { from: 'deb'; file: string }
  /** A kernel image and the folder of its modules, as a build leaves them. */
  | { from: 'files'; image: string; modules: string };

/** Where the Docker Engine of a node comes from. */
export type EngineSource =
  | { from: 'debian'; suite: Suite }
  /** A Docker-in-Docker image in a registry. */
  | { from: 'image'; reference: string }
  /** A folder that holds the engine's programs, at any depth. */
  | { from: 'dir'; folder: string };

/** The most nodes a Swarm of the lab has, and so the most engines. */
export const MOST_NODES = 9;

/** How `KERNEL` may be written, for messages and the README. */
export const KERNEL_FORMS =
  'debian:<suite>, debian:<suite>/<version> (`npx swarmproof kernels` lists them), deb:<file>, or files:<image>,<modules folder>, by absolute paths; ' +
  `suites are ${KERNEL_SUITES.join(', ')}`;

/** How `ENGINE` may be written, for messages and the README. */
export const ENGINE_FORMS =
  'debian:<suite>, image:<reference> of a Docker-in-Docker image, or dir:<folder> with the programs of an engine, by its absolute path; ' +
  `several, by commas, are dealt to the nodes in turn; suites are ${SUITES.join(', ')}`;

/** What comes after a prefix such as `debian:`. */
function after(prefix: string) {
  return z
    .string()
    .startsWith(`${prefix}:`)
    .transform((text) => text.slice(prefix.length + 1));
}

/** Relative paths would mean another file in each folder a run is started from. */
const absolute = z.string().refine(path.isAbsolute);

const debianKernel = after('debian')
  .transform((text) => {
    const [suite, ...version] = text.split('/');
    return { from: 'debian' as const, suite, ...(version.length > 0 && { version: version.join('/') }) };
  })
  .pipe(
    z.strictObject({
      from: z.literal('debian'),
      suite: z.enum(KERNEL_SUITES),
      // The characters of a Debian version (deb-version(7)).
      version: z
        .string()
        .regex(/^\d[\w.+~-]*$/)
        .optional(),
    }),
  );

const debKernel = after('deb')
  .pipe(absolute)
  .transform((file) => ({ from: 'deb' as const, file }));

const filesKernel = after('files')
  .transform((text) => text.split(','))
  .pipe(z.tuple([absolute, absolute]))
  .transform(([image, modules]) => ({ from: 'files' as const, image, modules }));

/** Reads the text of `KERNEL`. */
export const kernelSchema = z.union([debianKernel, debKernel, filesKernel]) as z.ZodType<
  KernelSource,
  string
>;

const engine = z.union([
  after('debian')
    .pipe(z.enum(SUITES))
    .transform((suite) => ({ from: 'debian' as const, suite })),
  after('image')
    .pipe(z.string().regex(/^[a-z0-9][\w.:/@-]*$/i))
    .transform((reference) => ({ from: 'image' as const, reference })),
  after('dir')
    .pipe(absolute)
    .transform((folder) => ({ from: 'dir' as const, folder })),
]);

/** Reads the text of `ENGINE`: one engine, or one for each node in turn. */
export const enginesSchema = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim()))
  .pipe(z.array(engine).min(1).max(MOST_NODES)) as z.ZodType<EngineSource[], string>;

/** A kernel as `KERNEL` names it, without the prefix that most have. */
export function kernelName(source: KernelSource): string {
  switch (source.from) {
    case 'debian':
      return source.version ? `${source.suite}/${source.version}` : source.suite;
    case 'deb':
      return path.basename(source.file);
    case 'files':
      return path.basename(source.modules);
  }
}

/** An engine as `ENGINE` names it, without the prefix that most have. */
export function engineName(source: EngineSource): string {
  switch (source.from) {
    case 'debian':
      return source.suite;
    case 'image':
      return source.reference;
    case 'dir':
      return path.basename(source.folder);
  }
}
