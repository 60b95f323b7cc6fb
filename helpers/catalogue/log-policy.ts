import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { LogPolicy } from '../judge/logs.ts';
import { CATALOGUE, holds, LOGS, pattern, version } from './catalogue.ts';

const where = z.enum(['kernel', 'engine']);
const lines = pattern();
const sentence = z.string().trim().min(1);

const Policy = z.strictObject({
  /** Lines that count against the clause during which they appear, unless an exception explains them. */
  counts: z.array(z.strictObject({ where, lines, reason: sentence })).min(1),
  /** Lines that tell that the lab kept an engine from running, where no clause meant to. */
  stalls: z.array(z.strictObject({ where, lines, reason: sentence })).min(1),
  /** Lines that tell that a known defect was at work: they are said with a failure, and judge nothing by themselves. */
  symptoms: z.array(z.strictObject({ where, lines, reason: sentence })),
  exceptions: z.array(
    z.strictObject({
      where,
      lines,
      /** Why the line says nothing against the product, or what is known of it. */
      reason: sentence,
      /** Whose line it is. */
      owner: z.enum(['kernel', 'engine', 'lab']),
      /** The first engine version it is no exception for any more; null while none is known. */
      until: version.nullable(),
    }),
  ),
});

/** The log policy for an engine version. @throws ZodError when the data are not what they must be. */
export function loadLogPolicy(engine: string): LogPolicy {
  const { counts, stalls, symptoms, exceptions } = Policy.parse(
    parse(readFileSync(path.join(CATALOGUE, LOGS), 'utf8')),
  );
  return {
    counts,
    stalls,
    symptoms,
    exceptions: exceptions.filter(({ until }) => holds({ since: null, until }, engine)),
  };
}
