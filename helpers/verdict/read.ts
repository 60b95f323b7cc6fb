import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { messageOf, UsageError } from '../errors.ts';
import { VERDICT_SCHEMA, type VerdictFile, verdictSchema } from './model.ts';

/**
 * Reads the verdict of a run.
 *
 * @param name a verdict file, or a folder that a run left, which holds one.
 * @throws UsageError with one sentence: no such file, no verdict file, or one of another version.
 */
export function readVerdict(name: string): VerdictFile {
  const file = isFolder(name) ? path.join(name, 'verdict.json') : name;
  const content = parsed(file, textOf(file));
  const { schema } = z
    .object({ schema: z.string().optional().catch(undefined) })
    .catch({})
    .parse(content);
  if (schema === undefined)
    throw new UsageError(`${file} is no verdict file: its field schema does not say ${VERDICT_SCHEMA}.`);
  if (schema !== VERDICT_SCHEMA)
    throw new UsageError(`${file} has the schema ${schema}; this swarmproof reads ${VERDICT_SCHEMA}.`);
  const verdict = verdictSchema.safeParse(content);
  if (verdict.success) return verdict.data;
  const [issue] = verdict.error.issues;
  throw new UsageError(
    `${file} breaks the schema ${VERDICT_SCHEMA}: ${issue?.path.join('.') || 'the file'}: ${issue?.message}.`,
  );
}

function isFolder(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const why = missing ? 'does not exist' : `cannot be read (${messageOf(error)})`;
    throw new UsageError(`${file} ${why}: name the verdict.json of a run, or the folder that holds it.`);
  }
}

function parsed(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is no verdict file: ${messageOf(error)}.`);
  }
}
