import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { messageOf, UsageError } from '../errors.ts';
import { readSettings, type Settings, settingsToRepeat } from './settings.ts';
import { engineName, kernelName } from './sources.ts';

/** The file that names sets of cells. */
export const CELLS_FILE = path.join(import.meta.dirname, '..', '..', 'cells.yaml');

/** What a run judges in: one kernel, its engines and the size of its Swarm. */
export interface LabCell {
  /** Also the name of its project in Playwright. */
  name: string;
  settings: Settings;
  /** The same as it was given, by environment variable, as far as a repetition needs it. */
  given: Record<string, string>;
  /** Which clauses are judged in it; all when left out. */
  clauses?: RegExp;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What entries may list, and the setting that says the same for one cell. */
const LISTED = { kernel: 'KERNEL', engine: 'ENGINE', nodes: 'NODES' } as const;
type Listed = keyof typeof LISTED;

const values = z.array(z.string().min(1)).min(1).optional();
const entrySchema = z.strictObject({
  kernel: values,
  engine: values,
  nodes: values,
  clauses: z.string().refine(isRegExp, 'is no regular expression').optional(),
});
const fileSchema = z.record(z.string().regex(/^[\w-]+$/), z.array(entrySchema).min(1));
type Entry = z.infer<typeof entrySchema>;

/**
 * The cells of the set that the setting CELLS names.
 *
 * @throws UsageError when there is no such set, the file or a value in it is wrong, or a setting says what the set says already.
 */
export function cellsOfRun(env: Environment = process.env, file = CELLS_FILE): LabCell[] {
  const { CELLS: wanted } = readSettings(env);
  const sets = readSets(file);
  const set = sets[wanted];
  if (!set)
    throw new UsageError(
      `CELLS=${wanted} is not known; ${path.basename(file)} has ${Object.keys(sets).join(', ')}.`,
    );
  const cells = set.flatMap((entry) => cellsOf(entry, env, wanted));
  const twice = cells.find(({ name }, i) => cells.findIndex((other) => other.name === name) !== i);
  if (twice)
    throw new UsageError(`CELLS=${wanted}: ${path.basename(file)} lists the cell "${twice.name}" twice.`);
  return cells;
}

function readSets(file: string): Record<string, Entry[]> {
  const name = path.basename(file);
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`${name} cannot be read: ${messageOf(error)}`);
  }
  const read = fileSchema.safeParse(content);
  if (!read.success)
    throw new UsageError(
      `${name} is not a list of sets of cells: ${z.prettifyError(read.error).replaceAll(/\s*\n\s*/g, ' ')}`,
    );
  return read.data;
}

/** Every combination of what an entry lists. */
function cellsOf(entry: Entry, env: Environment, set: string): LabCell[] {
  const listed = (Object.keys(LISTED) as Listed[]).filter((what) => entry[what] !== undefined);
  for (const what of listed)
    if (env[LISTED[what]]?.trim())
      throw new UsageError(
        `${LISTED[what]} is set, but the cells of CELLS=${set} say themselves which they have: leave one of them out.`,
      );
  if (entry.kernel && readSettings(env).LAB === 'docker')
    throw new UsageError(
      `CELLS=${set} chooses kernels, and that of an engine of your own cannot be chosen: use LAB=vm.`,
    );
  const combinations = listed.reduce<Record<string, string>[]>(
    (all, what) =>
      all.flatMap((one) => (entry[what] ?? []).map((value) => ({ ...one, [LISTED[what]]: value }))),
    [{}],
  );
  const clauses = entry.clauses === undefined ? {} : { clauses: new RegExp(entry.clauses) };
  return combinations.map((chosen) => {
    const settings = readSettings({ ...env, ...chosen });
    const name = listed.length === 0 ? 'default' : nameOf(settings, chosen.NODES);
    // A cell of a set is repeated alone, by what it is made of; the set would refuse settings that say the same.
    const given = settingsToRepeat({ ...env, ...chosen, CELLS: undefined });
    return { name, settings, given, ...clauses };
  });
}

function nameOf({ KERNEL, ENGINE, LAB }: Settings, nodes: string | undefined): string {
  const engines = ENGINE.map(engineName).join(', ');
  return [LAB === 'docker' ? engines : `${engines} on ${kernelName(KERNEL)}`, ...(nodes ? [nodes] : [])].join(
    ', ',
  );
}

function isRegExp(text: string): boolean {
  try {
    return Boolean(new RegExp(text));
  } catch {
    return false;
  }
}
