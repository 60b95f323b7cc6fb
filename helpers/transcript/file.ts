import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import type { Entry, Json } from './transcript.ts';

/** The value of `schema` in the first line of every transcript this version of the suite writes. */
export const TRANSCRIPT_SCHEMA = 'swarmproof/transcript/1';

const json: z.ZodType<Json> = z.json();

const headSchema = z.strictObject({
  schema: z.literal(TRANSCRIPT_SCHEMA),
  clause: z.string(),
  cell: z.string(),
  /** When the clause began, by this host. */
  startedAt: z.iso.datetime(),
  /** How many times slower than the lab of reference this one was when the clause began. */
  pace: z.number(),
  /** For a long clause: how long it was given (ms). */
  soakMs: z.number(),
  /** The lease the clause had: nodes and how they were reached, without certificates. */
  lease: json,
  /** The stack that ran when the clause began. */
  stack: json,
});

const entrySchema = z.strictObject({
  to: z.string(),
  ask: z.string(),
  at: z.number(),
  ms: z.number().optional(),
  order: z.int().min(0).optional(),
  answer: json.optional(),
  error: z
    .strictObject({
      message: z.string(),
      reason: z.enum(['lab', 'observer', 'suite', 'replay']).optional(),
      node: z.string().optional(),
      api: z
        .strictObject({ statusCode: z.number(), reason: z.string().optional(), json: json.optional() })
        .optional(),
    })
    .optional(),
  missing: z.union([z.literal('stream'), z.templateLiteral([z.number(), ' characters'])]).optional(),
  plain: z.array(z.string()).optional(),
});

/** What a transcript says of the clause before it begins. */
export type TranscriptHead = z.infer<typeof headSchema>;

/** The transcript of one clause. */
export interface Transcript {
  head: TranscriptHead;
  entries: Entry[];
}

/** A transcript as a file: JSON, one line for the head and one for each entry in the order asked; compressed by gzip. */
export function packTranscript({ head, entries }: Transcript): Buffer {
  const lines = [headSchema.parse(head), ...entries].map((line) => `${JSON.stringify(line)}\n`);
  return gzipSync(lines.join(''), { level: 6 });
}

/** Reads {@link packTranscript}. @throws Error saying which line is none of a transcript. */
export function unpackTranscript(file: Buffer): Transcript {
  const [first = '', ...rest] = gunzipSync(file).toString('utf8').trimEnd().split('\n');
  return {
    head: parsed(headSchema, first, 1),
    entries: rest.map((line, i) => parsed(entrySchema, line, i + 2)),
  };
}

function parsed<T>(schema: z.ZodType<T>, line: string, number: number): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`line ${number} of the transcript is not JSON`);
  }
  const result = schema.safeParse(value);
  if (!result.success)
    throw new Error(`line ${number} is none of a transcript: ${z.prettifyError(result.error)}`);
  return result.data;
}
