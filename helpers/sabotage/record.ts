/** What a sabotage run finds out, as its worker hands it to the reporter and as it is kept on record. */
import { z } from 'zod';

/**
 * killed: the clause turned red for the right reason, while its twin without the fault passed, and the fault was shown to be there.
 * survived: it did not. unproven: nothing can be said, since the fault did not take hold or the twin did not pass. excused: the
 * clause cannot be judged on this engine at all, for a known defect or for what this lab lacks.
 */
export const OUTCOMES = ['killed', 'survived', 'unproven', 'excused'] as const;

export const provenSchema = z.strictObject({
  clause: z.string(),
  /** Id of the fault. */
  fault: z.string(),
  /** The fault with its parameters, in one line. */
  sabotage: z.string(),
  outcome: z.enum(OUTCOMES),
  /** Why it is so, where it is not killed; else what the clause said when it turned red. */
  said: z.string(),
  /** Node the clause named. */
  node: z.string().nullable(),
  /** What the fault itself saw of the damage. */
  damage: z.string().nullable(),
  /** From the lease to the judgement (ms). */
  durationMs: z.number().nonnegative(),
  /** Other clauses of the file, judged under the same fault: those that turned red, and those that did not. */
  alsoRed: z.array(z.string()),
  alsoGreen: z.array(z.string()),
});
/** One sabotage and what came of it. */
export type Proven = z.infer<typeof provenSchema>;

export const noticedSchema = z.strictObject({
  clause: z.string(),
  outcome: z.enum(['pass', 'fail', 'inconclusive', 'excused']),
  said: z.string(),
  node: z.string().nullable(),
  /** The faults that were done, one line each, with the nodes they were done on and the areas whose promises they break first of all. */
  damage: z.array(
    z.strictObject({ sabotage: z.string(), nodes: z.array(z.string()), areas: z.array(z.string()) }),
  ),
});
/** One clause judged while it does not know which faults are there. */
export type Noticed = z.infer<typeof noticedSchema>;

export const blindSchema = z.strictObject({
  seed: z.int(),
  /** By clause, in the order in which they were judged. */
  noticed: z.array(noticedSchema),
  /** What broke outside any clause. */
  errors: z.array(z.string()),
});
/** What a blind run found. */
export type Blind = z.infer<typeof blindSchema>;

/** Blind runs on record, by seed: what was done, how many clauses were judged, and the first that turned red. */
export const blindRecordSchema = z.array(
  z.strictObject({
    seed: z.int(),
    engine: z.string(),
    kernel: z.string(),
    date: z.iso.date(),
    judged: z.int(),
    damage: noticedSchema.shape.damage,
    red: noticedSchema.omit({ damage: true }).nullable(),
  }),
);
export type BlindRecord = z.infer<typeof blindRecordSchema>;

/** The record with a run in it, in place of an earlier one of the same seed; a run in which nothing could be done shows nothing. */
export function withBlind(
  record: BlindRecord,
  { seed, noticed }: Blind,
  facts: Pick<BlindRecord[number], 'engine' | 'kernel' | 'date'>,
): BlindRecord {
  const red = noticed.find(({ outcome }) => outcome === 'fail');
  const { damage } = red ?? noticed.find((one) => one.damage.length > 0) ?? { damage: [] };
  if (damage.length === 0) return record;
  const first = red && { clause: red.clause, outcome: red.outcome, said: red.said, node: red.node };
  const one = { seed, ...facts, judged: noticed.length, damage, red: first ?? null };
  return [...record.filter((other) => other.seed !== seed), one].toSorted((a, b) => a.seed - b.seed);
}

/** The file of a blind run, in the folder of what sabotage finds. */
export const blindFile = (seed: number): string => `blind-${seed}.json`;

/** What one test of a sabotage run has to say. */
export const findingsSchema = z.strictObject({
  proven: z.array(provenSchema).default([]),
  noticed: z.array(noticedSchema).default([]),
});
export type Findings = z.infer<typeof findingsSchema>;

/** Name of the attachment that carries findings from the worker to the reporter. */
export const FINDINGS = 'findings.json';

/** The proof on record: the newest of each sabotage, on what it was had, and when. */
export const proofSchema = z.array(
  z.strictObject({
    engine: z.string(),
    kernel: z.string(),
    proven: z.array(provenSchema.extend({ date: z.iso.date() })),
  }),
);
export type Proof = z.infer<typeof proofSchema>;

/** How a sabotage is told from all others. */
const key = ({ clause, sabotage }: Pick<Proven, 'clause' | 'sabotage'>) => `${clause} ${sabotage}`;

/** The proof without what was found of sabotages that are no longer done: they tell nothing of those that are. */
export function stillDone(
  proof: Proof,
  sabotages: Iterable<{ clause: string; fault: { description: string } }>,
): Proof {
  const done = new Set(
    [...sabotages].map(({ clause, fault }) => key({ clause, sabotage: fault.description })),
  );
  return proof.map((one) => ({ ...one, proven: one.proven.filter((found) => done.has(key(found))) }));
}

/**
 * The proof with a run's findings in it: those of a sabotage that was there before are replaced. What other clauses said to it stays
 * where none was asked again, as in a quick run.
 */
export function withFindings(
  proof: Proof,
  cell: { engine: string; kernel: string },
  date: string,
  found: readonly Proven[],
): Proof {
  const same = (one: Proof[number]) => one.engine === cell.engine && one.kernel === cell.kernel;
  const former = proof.find(same)?.proven ?? [];
  const others = new Map(former.map((one) => [key(one), { alsoRed: one.alsoRed, alsoGreen: one.alsoGreen }]));
  const dated = found.map((one) => ({
    ...one,
    ...(one.alsoRed.length + one.alsoGreen.length === 0 && others.get(key(one))),
    date,
  }));
  const proven = [...new Map([...former, ...dated].map((one) => [key(one), one])).values()];
  return [...proof.filter((one) => !same(one)), { ...cell, proven }];
}

/** How long each sabotage that killed took, on whatever engine and kernel it was last done (ms). */
export function timeOfKills(
  proof: Proof,
): (sabotage: { clause: string; fault: { description: string } }) => number | undefined {
  const killed = proof.flatMap(({ proven }) => proven).filter(({ outcome }) => outcome === 'killed');
  const times = new Map(killed.map((one) => [key(one), one.durationMs]));
  return ({ clause, fault }) => times.get(key({ clause, sabotage: fault.description }));
}

/** Which sabotages killed and which survived, by clause. */
export function byClause(proof: Proof): Map<string, { provenBy: string[]; survived: string[] }> {
  const all = proof.flatMap(({ proven }) => proven);
  return new Map(
    [...Map.groupBy(all, ({ clause }) => clause)].map(([clause, own]) => {
      const of = (...outcomes: Proven['outcome'][]) => [
        ...new Set(own.filter(({ outcome }) => outcomes.includes(outcome)).map(({ sabotage }) => sabotage)),
      ];
      return [clause, { provenBy: of('killed'), survived: of('survived', 'unproven') }];
    }),
  );
}
