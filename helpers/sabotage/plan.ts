/** What a sabotage run shall do: made by the command line, read by its workers and its reporter. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

/** Environment variable that names the file of the plan; with it a run sabotages. */
export const PLAN_FILE = 'SWARMPROOF_SABOTAGE';

/** Environment variable that holds a fault as JSON, done in every Swarm of an ordinary run: a defect planted to see whether it is found. */
export const PLANTED = 'SWARMPROOF_PLANTED';

/** Folder below that of the runs in which sabotage leaves what it finds. */
export const SABOTAGE_FOLDER = 'sabotage';

const planSchema = z.strictObject({
  seed: z.int(),
  /** Clauses that are judged. */
  clauses: z.array(z.string()),
  /** The sabotages to prove, as `CLAUSE: description`. */
  proofs: z.array(z.string()),
  /** Whether the other clauses of a spec file are judged under the same fault, too, for the table of what turns red besides. */
  others: z.boolean(),
  /** In blind mode: the faults that are done in every Swarm, unknown to the clauses; else empty. */
  blind: z.array(z.looseObject({ fault: z.string() })),
  /** In blind mode: which clauses this is the run of. Those that only look are first, since they are quick and see the damage as it is. */
  part: z.enum(['looking', 'disturbing']).nullable(),
});
/** What a sabotage run shall do. */
export type Plan = z.infer<typeof planSchema>;

/** Writes a plan where this run's workers find it. @returns its path. */
export function writePlan(folder: string, plan: Plan): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'plan.json');
  writeFileSync(file, `${JSON.stringify(planSchema.parse(plan), null, 2)}\n`);
  return file;
}

/** The plan of this run, or undefined in a run that sabotages nothing. */
export function readPlan(env: NodeJS.ProcessEnv = process.env): Plan | undefined {
  const file = env[PLAN_FILE];
  return file ? planSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
}
