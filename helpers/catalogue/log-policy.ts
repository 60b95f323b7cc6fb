import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { LogPolicy } from '../judge/logs.ts';
import { CATALOGUE, holds, LOGS, pattern, version } from './catalogue.ts';

const where = z.enum(['kernel', 'engine']);
const lines = pattern();
const sentence = z.string().trim().min(1);
const day = z.iso.date();

const Exception = z
  .strictObject({
    where,
    lines,
    /**
     * Where it is one, absent for everywhere: clauses that bring the line about, and `hurt` for whatever clause broke a node itself, as
     * by ending its engine or cutting it off (`Node.hurt`).
     */
    during: z
      .array(z.union([z.literal('hurt'), z.string().regex(/^[A-Z]+-\d{3}$/, 'must look like NODE-005')]))
      .min(1)
      .optional(),
    /** Why the line says nothing against the product, or what is known of it. */
    reason: sentence,
    /** Nobody knows yet what the line says: it has to be looked into before a day. */
    unexplained: z.literal(true).optional(),
    /** Whose line it is. */
    owner: z.enum(['kernel', 'engine', 'lab']),
    /** Engine versions that were seen to say it. */
    seen: z.array(version).min(1).optional(),
    /** The first engine version, or the first day, it is no exception for any more; null while none is known. */
    until: z.union([version, day]).nullable(),
  })
  .refine(
    ({ where, seen }) => where === 'kernel' || seen,
    "an engine's line says in `seen` which engines say it",
  )
  .refine(({ unexplained, until }) => !unexplained || isDay(until), 'what is unexplained ends on a day')
  .refine(({ where, until }) => where === 'engine' || !isDay(until), "a kernel's line has no date to end on");

const Policy = z.strictObject({
  /** Lines that count against the clause during which they appear, unless an exception explains them. */
  counts: z.array(z.strictObject({ where, lines, reason: sentence })).min(1),
  /** Lines that tell that the lab kept an engine from running, where no clause meant to. */
  stalls: z.array(z.strictObject({ where, lines, reason: sentence })).min(1),
  /** Lines that tell that a known defect was at work: they are said with a failure, and judge nothing by themselves. */
  symptoms: z.array(z.strictObject({ where, lines, reason: sentence })),
  exceptions: z.array(Exception),
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
    exceptions: exceptions
      .filter(({ until }) => isDay(until) || holds({ since: null, until }, engine))
      .map(({ until, ...exception }) => ({ ...exception, ends: isDay(until) ? until : undefined })),
  };
}

function isDay(until: string | null): until is string {
  return day.safeParse(until).success;
}
