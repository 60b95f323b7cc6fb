import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import type { ClauseData } from '../catalogue/catalogue.ts';
import { messageOf, UsageError } from '../errors.ts';
import { type Readied, readied, type Wound, woundSchema } from '../fault/library.ts';
import { FORESEEN_MS, type Foreseen } from '../waiting.ts';

/** Where the project keeps its sabotages: one file for each area. */
export const SABOTAGES = fileURLToPath(new URL('../../specs/sabotage/', import.meta.url));

const entry = woundSchema.extend({
  /** What the clause must say when it turns red, as a regular expression: the subject of its violation, never just that it failed. */
  red: z.string().min(6),
  /** The node that it must name, where that is not the damaged one; `any` where it may be any. */
  at: z.string().optional(),
  /** Where it reads like that for a while without the fault, too: seconds after which it can no longer come right, see `foreseeing`. */
  patient: z.number().positive().optional(),
});

const file = z.record(z.string().regex(/^[A-Z]+-\d{3}$/, 'must look like VIP-015'), z.array(entry).min(1));

/** A fault that must turn a clause red, and how it shall say so. */
export interface Sabotage {
  clause: string;
  fault: Readied;
  /** The same as data. */
  wound: Wound;
  red: RegExp;
  at: string | undefined;
  /** What the clause may be expected to say, so that it need not wait for what a held fault makes vain. */
  foreseen: Foreseen;
}

/**
 * Reads every sabotage, by clause.
 *
 * @throws UsageError naming file, clause and what is wrong: a clause or fault nobody knows, parameters a fault does not take.
 */
export function loadSabotages(
  catalogue: ReadonlyMap<string, Pick<ClauseData, 'area'>>,
  folder: string = SABOTAGES,
): Map<string, Sabotage[]> {
  const found = new Map<string, Sabotage[]>();
  for (const name of readdirSync(folder)
    .filter((one) => one.endsWith('.yaml'))
    .toSorted()) {
    const parsed = file.safeParse(parse(readFileSync(path.join(folder, name), 'utf8')));
    if (!parsed.success) throw new UsageError(`${name}: ${z.prettifyError(parsed.error)}`);
    for (const [clause, entries] of Object.entries(parsed.data)) {
      const area = catalogue.get(clause)?.area;
      if (`${area}.yaml` !== name) throw new UsageError(`${name}: ${clause} is no clause of this area`);
      found.set(
        clause,
        entries.map((one) => sabotage(name, clause, one)),
      );
    }
  }
  return found;
}

function sabotage(
  name: string,
  clause: string,
  { red: text, at, patient, ...wound }: z.infer<typeof entry>,
): Sabotage {
  try {
    // A message has many lines; what is expected may begin on one and end on another.
    const red = new RegExp(text, 's');
    const forMs = patient === undefined ? FORESEEN_MS : patient * 1000;
    return { clause, fault: readied(wound), wound, red, at, foreseen: { red, forMs } };
  } catch (error) {
    throw new UsageError(`${name}: ${clause}: ${messageOf(error)}`);
  }
}
