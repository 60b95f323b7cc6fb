/**
 * A run as one file that can be given away: verdict, evidence, transcripts and captures; without secrets, and no larger than it
 * may be.
 */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import tar from 'tar-stream';
import { z } from 'zod';
import { messageOf, UsageError } from '../errors.ts';
import { captureIn } from '../observe/capture.ts';
import { unpackTranscript } from '../transcript/file.ts';
import { withoutSecrets } from '../transcript/secrets.ts';
import { type VerdictFile, verdictSchema } from '../verdict/model.ts';

const gzip = promisify(zlib.gzip);
const gunzip = promisify(zlib.gunzip);

/** The value of `schema` in the manifest of every bundle this version of the suite packs. */
export const BUNDLE_SCHEMA = 'swarmproof/bundle/1';

const MANIFEST = 'bundle.json';
const VERDICT = 'verdict.json';

const manifestSchema = z.strictObject({
  schema: z.literal(BUNDLE_SCHEMA),
  packedAt: z.iso.datetime(),
  run: z.string().describe('Id of the run.'),
  secretsRemoved: z.int().nonnegative().describe('Files in which secrets were replaced by pseudonyms.'),
  leftOut: z
    .array(z.strictObject({ path: z.string(), bytes: z.int().nonnegative() }))
    .describe('What did not fit into the largest size allowed.'),
});

/** What a bundle says of itself. */
export type Manifest = z.infer<typeof manifestSchema>;

/** What of a run's folder belongs into its bundle; what can be made again from that, such as pages, does not. */
const PARTS = [VERDICT, 'junit.xml', 'cells', 'evidence', 'transcripts'];

interface File {
  path: string;
  content: Buffer;
  /** How much it takes in the bundle, or a little more. */
  bytes: number;
  secrets: boolean;
}

/** Opened and packed content of a bundle that fits a run of thousands of clauses; more is none of ours. */
const MOST_OPENED = 2 * 1024 ** 3;

/**
 * Packs the folder of a run into a `.tar.gz`.
 *
 * @param mostBytes the bundle's largest size. What does not fit is left out and listed in its manifest: first what belongs to
 *   clauses that passed, and of that the largest first; the verdict always stays.
 * @throws UsageError when the folder holds no run.
 */
export async function packBundle(folder: string, target: string, mostBytes: number): Promise<Manifest> {
  const verdict = await readVerdict(folder);
  const quiet = new Set(
    verdict.clauses.filter(({ verdict: one }) => one === 'pass' || one === 'skipped').map(({ id }) => id),
  );
  const files: File[] = [];
  for (const relative of await filesIn(folder)) {
    files.push(await cleaned(relative, await fs.readFile(path.join(folder, relative))));
    if (relative.startsWith('transcripts/')) files.push(...(await capturesOf(folder, relative)));
  }
  const { kept, leftOut } = fitting(files, mostBytes, (file) => rankOf(file.path, quiet));
  const manifest: Manifest = {
    schema: BUNDLE_SCHEMA,
    packedAt: new Date().toISOString(),
    run: verdict.run.id,
    secretsRemoved: kept.filter(({ secrets }) => secrets).length,
    leftOut: leftOut.map(({ path: name, bytes }) => ({ path: name, bytes })),
  };
  const pack = tar.pack();
  const content = [
    { path: MANIFEST, content: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) },
    ...kept.toSorted((one, other) => one.path.localeCompare(other.path)),
  ];
  for (const file of content) pack.entry({ name: file.path, mode: 0o644 }, file.content);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  // By renaming, so that nobody finds half a bundle.
  await fs.writeFile(`${target}.part`, await gzip(Buffer.concat(chunks)));
  await fs.rename(`${target}.part`, target);
  return manifest;
}

/** Keeps as much as fits, by rank, and of one rank the smallest first. */
function fitting(
  files: readonly File[],
  mostBytes: number,
  rank: (file: File) => number,
): { kept: File[]; leftOut: File[] } {
  const inOrder = files.toSorted((one, other) => rank(one) - rank(other) || one.bytes - other.bytes);
  const kept: File[] = [];
  const leftOut: File[] = [];
  let size = 0;
  for (const file of inOrder) {
    if (rank(file) > 0 && size + file.bytes > mostBytes) leftOut.push(file);
    else {
      kept.push(file);
      size += file.bytes;
    }
  }
  return { kept, leftOut };
}

/** What goes last when not all fits: 0 always stays. */
function rankOf(name: string, quiet: ReadonlySet<string>): number {
  const [part = '', , of = ''] = name.split('/');
  if (part === VERDICT || part === 'junit.xml' || part === 'cells') return 0;
  const clause = /^[A-Z]+-\d{3}/.exec(of)?.[0] ?? '';
  const kind = ['evidence', 'transcripts', 'captures'].indexOf(part);
  return 1 + kind + (quiet.has(clause) ? 3 : 0);
}

async function filesIn(folder: string): Promise<string[]> {
  const all = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((name) => PARTS.includes(name.split(path.sep)[0] ?? ''));
}

/** A file as it may be given away: without secrets, and without the name of whoever ran the suite. */
async function cleaned(name: string, content: Buffer): Promise<File> {
  const packed = name.endsWith('.gz');
  const open = packed ? await gunzip(content) : content;
  const written = open.toString('utf8');
  // What is no text, such as an image, holds nothing that looks like a secret of a Swarm.
  const isText = Buffer.from(written, 'utf8').equals(open);
  const safe = isText ? withoutSecrets(written) : written;
  // Transcripts tell of the lab, whose paths are its own.
  const clean = isText ? Buffer.from(packed ? safe : withoutHome(safe)) : open;
  const final = packed ? await gzip(clean) : clean;
  return {
    path: name,
    content: final,
    bytes: packed ? final.length : (await gzip(clean)).length,
    secrets: safe !== written,
  };
}

/** A home folder holds the name of its owner; what lies in it stays. */
function withoutHome(written: string): string {
  const home = os.homedir();
  if (home === '/') return written;
  const literal = home.replaceAll(/[^\w/]/g, '\\$&');
  return written.replaceAll(new RegExp(`(?<![\\w./-])${literal}/`, 'g'), '~/');
}

/** The packets that a clause's captures saw, as files that Wireshark opens. */
async function capturesOf(folder: string, transcript: string): Promise<File[]> {
  const { entries } = unpackTranscript(await fs.readFile(path.join(folder, transcript)));
  const stem = transcript.replace(/^transcripts/, 'captures').replace(/\.jsonl\.gz$/, '');
  const found = entries.flatMap(({ to, answer }) => {
    const printed = (Object(answer) as { text?: unknown }).text;
    const packets = typeof printed === 'string' ? captureIn(printed) : undefined;
    return packets ? [{ node: to.split(' ').at(-1), packets }] : [];
  });
  return Promise.all(
    found.map(async ({ node, packets }, i) => ({
      path: `${stem}-${i + 1}-${node}.pcap`,
      content: packets,
      bytes: (await gzip(packets)).length,
      secrets: false,
    })),
  );
}

/** A bundle that was opened, or the folder of a run. */
export interface Opened extends AsyncDisposable {
  folder: string;
  verdict: VerdictFile;
}

/**
 * Opens a bundle into a folder for the time being; the folder of a run is taken as it is.
 *
 * @throws UsageError when it is neither.
 */
export async function openBundle(file: string): Promise<Opened> {
  const found = await fs.stat(file).catch(() => undefined);
  if (!found) throw new UsageError(`there is no ${file}: name a bundle, or the folder of a run.`);
  if (found.isDirectory()) {
    return { folder: file, verdict: await readVerdict(file), async [Symbol.asyncDispose]() {} };
  }
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'swarmproof-bundle-'));
  const remove = () => fs.rm(folder, { recursive: true, force: true });
  try {
    await extract(file, folder);
    await readManifest(folder);
    return { folder, verdict: await readVerdict(folder), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error instanceof UsageError
      ? error
      : new UsageError(`${file} is no bundle of swarmproof: ${messageOf(error)}`);
  }
}

async function extract(file: string, folder: string): Promise<void> {
  const open = await promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gunzip)(
    await fs.readFile(file),
    {
      maxOutputLength: MOST_OPENED,
    },
  );
  const archive = tar.extract();
  archive.end(open);
  for await (const entry of archive) {
    const { name, type } = entry.header;
    const target = path.join(folder, name);
    // A bundle may come from anyone: it holds plain files, and writes nowhere but into its folder.
    if (type !== 'file' || !target.startsWith(`${folder}${path.sep}`))
      throw new Error(`it holds ${name}, which is no file of a bundle`);
    await fs.mkdir(path.dirname(target), { recursive: true });
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    await fs.writeFile(target, Buffer.concat(chunks));
  }
}

async function readManifest(folder: string): Promise<Manifest> {
  return manifestSchema.parse(JSON.parse(await fs.readFile(path.join(folder, MANIFEST), 'utf8')));
}

async function readVerdict(folder: string): Promise<VerdictFile> {
  const file = path.join(folder, VERDICT);
  const written = await fs.readFile(file, 'utf8').catch(() => {
    throw new UsageError(`there is no ${file}: no run has left its verdict there.`);
  });
  const parsed = verdictSchema.safeParse(JSON.parse(written));
  if (!parsed.success) throw new UsageError(`${file} is no verdict: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
