import { z } from 'zod';

/** The value of `schema` in every `verdict.json` this version of the suite writes. */
export const VERDICT_SCHEMA = 'swarmproof/verdict/1';

/** What the suite says about one clause in one cell, worst first: a clause judged twice keeps the worse verdict. */
export const VERDICTS = ['fail', 'inconclusive', 'expected-fail', 'skipped', 'pass'] as const;

const milliseconds = z.number().nonnegative();

/** Time by what it was spent on; with several workers the parts can add up to more than the wall clock. */
export const spentSchema = z.strictObject({
  lab: milliseconds.describe('Booting, restoring and stopping the lab, in ms.'),
  swarm: milliseconds.describe(
    'Forming the Swarm, deploying services, and all other requests to engines, in ms.',
  ),
  settling: milliseconds.describe('Waiting for every node to agree, in ms.'),
  observing: milliseconds.describe('Collecting state and sending traffic, in ms.'),
  judging: milliseconds.describe('Comparing what was seen with what is documented, in ms.'),
});

const imageSchema = z.strictObject({
  hash: z.string().describe('Hash of the image.'),
  packages: z.record(z.string(), z.string()).describe('Version of each package in the image, by name.'),
});

const nodeSchema = z.strictObject({
  name: z.string(),
  role: z.enum(['manager', 'worker']),
  address: z.string().describe('Address of the node on the lab network.'),
});

/** What is told of the rules of a cell. */
export const rulesSchema = z.strictObject({
  path: z
    .string()
    .describe('Rules, IPVS, settings and interfaces of each node, relative to the folder of verdict.json.'),
  document: z
    .string()
    .nullable()
    .describe('The document on record for this engine and kernel, in docs/rules; null when there is none.'),
  changedLines: z
    .int()
    .nonnegative()
    .nullable()
    .describe('Lines that differ from that document; null without one.'),
});

/** One kernel, its engines and its nodes: what a verdict holds for. A fact that is not known is null. */
export const cellSchema = z.strictObject({
  name: z.string().describe('Name of the cell, which is the name of its Playwright project.'),
  kernel: z.string().nullable().describe('Kernel release the nodes ran on.'),
  engines: z.record(z.string(), z.string()).nullable().describe('Docker Engine version, by node.'),
  nodes: z.array(nodeSchema).nullable().describe('Members of the Swarm.'),
  qemu: z.string().nullable().describe('QEMU version; null too when the lab is not a virtual machine.'),
  accelerator: z.string().nullable().describe('What ran the virtual machine, for example kvm or tcg.'),
  images: z.record(z.string(), imageSchema).nullable().describe('Images in use, by name.'),
  rules: rulesSchema
    .optional()
    .describe('What the engines programmed for the stack of reference; absent when it was not run.'),
  settings: z
    .record(z.string(), z.string())
    .nullable()
    .default(null)
    .describe(
      'Settings with which the cell was judged, by environment variable, as far as they matter to a repetition; defaults are left out.',
    ),
  error: z.string().optional().describe('Why the lab never came up; absent when it did.'),
});

const evidenceSchema = z.strictObject({
  name: z.string().describe('What the evidence shows, as the clause named it.'),
  contentType: z.string(),
  path: z.string().describe('File, relative to the folder of verdict.json.'),
});

/** A number that a clause measured beside judging; what names mean is said in `MEASURES`. */
export const measurementSchema = z.strictObject({
  name: z.string().describe('What was measured, for example convergence-scale-up.'),
  value: z.number(),
  unit: z
    .enum(['ms', 'share', 'ratio'])
    .describe(
      'share: of all requests, from 0 to 1; ratio: to the same without what is measured, within the same run.',
    ),
  samples: z.int().positive().describe('How many requests or events the value rests on.'),
});

/** The verdict on one clause in one cell. */
export const clauseVerdictSchema = z.strictObject({
  id: z.string().describe('Clause id, for example VIP-015.'),
  cell: z.string(),
  area: z.string(),
  level: z
    .enum(['must', 'should', 'detail'])
    .nullable()
    .describe('Weight of the promise; null when the catalogue does not know the clause.'),
  title: z.string(),
  verdict: z.enum(VERDICTS),
  reason: z
    .string()
    .nullable()
    .describe('Why the verdict is what it is: a short code, or the text of a skip.'),
  message: z.string().nullable().describe('What was seen, in words, where there is something to tell.'),
  node: z.string().nullable().describe('Node on which it was seen.'),
  startedAt: z.iso
    .datetime()
    .nullable()
    .default(null)
    .describe('When the clause began; null when it never did.'),
  durationMs: milliseconds,
  runs: z
    .int()
    .positive()
    .optional()
    .describe(
      'How many times the clause was to be judged in this run; durationMs and spent are sums over them.',
    ),
  spent: spentSchema
    .nullable()
    .optional()
    .describe('What the time went into; null when nothing was judged. Absent in files of early versions.'),
  worker: z
    .int()
    .nullable()
    .default(null)
    .describe('Number of the lab that judged it, from 0; null when none did.'),
  pace: z
    .number()
    .nullable()
    .describe(
      'How many times slower than the lab in which bounds were calibrated this one was; bounds were stretched by it.',
    ),
  evidence: z.array(evidenceSchema),
  measurements: z
    .array(measurementSchema)
    .default([])
    .describe('What was measured meanwhile; it decides no verdict.'),
  transcript: z
    .string()
    .nullable()
    .default(null)
    .describe(
      'Everything the clause asked and was answered, relative to the folder of verdict.json; null where nothing was asked.',
    ),
  provenBy: z
    .array(z.string())
    .describe('Sabotages that were shown to turn this clause red, by the proof on record.'),
  survived: z
    .array(z.string())
    .optional()
    .describe(
      'Sabotages that should turn this clause red and were not shown to, by the proof on record; absent in files of before there were proofs.',
    ),
});

/** Why a run ended; `running` stays in the file of a run that was killed. */
export const exitReasonSchema = z.enum([
  'running',
  'completed',
  'interrupted',
  'timed-out',
  'max-failures',
  'setup-failed',
]);

const runSchema = z.strictObject({
  id: z.string(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso
    .datetime()
    .nullable()
    .describe('Null while the run goes on, and for ever if it was killed.'),
  command: z.string(),
  suite: z
    .string()
    .nullable()
    .default(null)
    .describe('Commit of this suite; null where it is not under version control.'),
  exitReason: exitReasonSchema,
  message: z.string().optional().describe('What went wrong outside any clause.'),
});

/** The whole of `verdict.json`: everything one run found out, for programs to read. */
export const verdictSchema = z
  .strictObject({
    schema: z.literal(VERDICT_SCHEMA),
    run: runSchema,
    cells: z.array(cellSchema),
    clauses: z.array(clauseVerdictSchema).describe('Every clause selected in this run, once per cell.'),
    totals: z.record(z.enum(VERDICTS), z.int().nonnegative()).describe('Number of clauses, by verdict.'),
    time: spentSchema.extend({
      overhead: milliseconds.describe(
        'What the suite itself took of the wall clock: all but Swarm, settling and observing, in ms. With several workers, the least it can have been.',
      ),
      total: milliseconds.describe('Wall clock of the run, in ms.'),
    }),
  })
  .describe('Verdict of one swarmproof run on the service networking of a Docker Swarm.');

/** One of the five verdicts. */
export type Verdict = (typeof VERDICTS)[number];
/** Milliseconds by what they were spent on. */
export type Spent = z.infer<typeof spentSchema>;
/** What is known about one cell. */
export type Cell = z.infer<typeof cellSchema>;
/** What is told of the rules of a cell. */
export type CellRules = z.infer<typeof rulesSchema>;
/** The verdict on one clause in one cell. */
export type ClauseVerdict = z.infer<typeof clauseVerdictSchema>;
/** A number measured by a clause. */
export type Measurement = z.infer<typeof measurementSchema>;
/** One piece of evidence, saved beside the verdict. */
export type Evidence = z.infer<typeof evidenceSchema>;
/** Why a run ended. */
export type ExitReason = z.infer<typeof exitReasonSchema>;
/** The content of `verdict.json`. */
export type VerdictFile = z.infer<typeof verdictSchema>;

/** No time spent on anything: where sums start. */
export const NO_TIME: Spent = { lab: 0, swarm: 0, settling: 0, observing: 0, judging: 0 };

/** A cell of which only the name is known, and perhaps why that is so. */
export function unknownCell(name: string, error?: string): Cell {
  const facts = {
    kernel: null,
    engines: null,
    nodes: null,
    qemu: null,
    accelerator: null,
    images: null,
    settings: null,
  };
  return { name, ...facts, ...(error === undefined ? {} : { error }) };
}

/** True when nothing failed and nothing stayed open, so that the run may end with status 0. */
export function conforms({ totals }: Pick<VerdictFile, 'totals'>): boolean {
  return totals.fail === 0 && totals.inconclusive === 0;
}

/** The reason of a fail that says that a known defect was not seen any more. */
export const UNEXPECTEDLY_CONFORMING = 'unexpectedly-conforming';

/** Whether the documented behaviour was seen; undefined when nothing was found out. A known defect is a defect. */
export function holds({ verdict, reason }: Pick<ClauseVerdict, 'verdict' | 'reason'>): boolean | undefined {
  if (verdict === 'pass') return true;
  if (verdict === 'fail') return reason === UNEXPECTEDLY_CONFORMING;
  return verdict === 'expected-fail' ? false : undefined;
}

/** The JSON schema of `verdict.json`, as text, for readers that do not use this code. */
export function verdictJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(verdictSchema), null, 2)}\n`;
}
