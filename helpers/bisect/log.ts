import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { UsageError } from '../errors.ts';

const questionSchema = z.strictObject({
  schema: z.literal('swarmproof/bisect/1'),
  /** The clause that holds at the oldest version and not at the newest. */
  clause: z.string(),
  /** The setting that takes the versions. */
  varies: z.enum(['KERNEL', 'ENGINE']),
  /** The versions as they were asked for: what a range stands for may change from one day to the next. */
  asked: z.string().optional(),
  /** The oldest first. */
  versions: z.array(z.string()).min(2),
  /** Chance that the answer is right. */
  confidence: z.number().gt(0).lt(1),
  /** Every other setting that was given and has a say in what is judged. */
  settings: z.record(z.string(), z.string()),
});

/** Everything that decides what a bisection finds. */
export type Question = z.infer<typeof questionSchema>;

const judgementSchema = z.strictObject({
  at: z.iso.datetime(),
  version: z.string(),
  outcome: z.enum(['holds', 'broken', 'open']),
  /** What the run said of the clause, or why it said nothing. */
  why: z.string(),
  /** What really ran there, where the run came so far. */
  kernel: z.string().nullable(),
  engines: z.array(z.string()).nullable(),
  /** Folder that the run left, beside the log. */
  folder: z.string(),
});

/** One judgement of one version. */
export type Judgement = z.infer<typeof judgementSchema>;

/**
 * What a bisection has found out so far, as JSON lines: the question, then its judgements in their order. A judgement is written in
 * one go as soon as it is made, so that an interrupted bisection loses none, and the same question goes on where it stopped; where
 * it stopped for want of a judgement, that is tried again.
 */
export class BisectLog {
  readonly file: string;
  /** As it stood when the log was begun. */
  readonly question: Question;
  readonly judgements: Judgement[];

  private constructor(file: string, question: Question, judgements: Judgement[]) {
    this.file = file;
    this.question = question;
    this.judgements = judgements;
  }

  /**
   * Opens the log of this question in a folder, or begins one.
   *
   * @throws UsageError when the log there is that of another question, or none.
   */
  static open(folder: string, question: Question): BisectLog {
    const file = path.join(folder, 'log.jsonl');
    if (!existsSync(file)) {
      mkdirSync(folder, { recursive: true });
      const log = new BisectLog(file, question, []);
      log.#write(question);
      return log;
    }
    const text = readFileSync(file, 'utf8');
    // Whoever was killed while writing left a line without its end.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    const [head, ...lines] = whole.split('\n').slice(0, -1);
    const known = parsed(questionSchema, head, file, 1);
    const { asked, ...settled } = question;
    const changed = Object.keys(settled)
      .filter((key) => !isDeepStrictEqual(known[key as keyof Question], question[key as keyof Question]))
      .filter((key) => key !== 'versions' || asked === undefined || asked !== known.asked);
    if (changed.length > 0)
      throw new UsageError(
        `${file} belongs to another question (${changed.join(', ')} differ): remove it, or choose another place with --folder.`,
      );
    const judgements = lines.map((line, index) => parsed(judgementSchema, line, file, index + 2));
    // What was left open last is judged again: what was in the way may be gone.
    const kept = judgements.findLastIndex(({ outcome }) => outcome !== 'open') + 1;
    truncateSync(file, Buffer.byteLength([head, ...lines.slice(0, kept), ''].join('\n')));
    return new BisectLog(file, known, judgements.slice(0, kept));
  }

  /** Keeps a judgement. */
  add(judgement: Judgement): void {
    this.#write(judgement);
    this.judgements.push(judgement);
  }

  #write(line: object): void {
    appendFileSync(this.file, `${JSON.stringify(line)}\n`);
  }
}

function parsed<T>(schema: z.ZodType<T>, line: string | undefined, file: string, number: number): T {
  try {
    return schema.parse(JSON.parse(line ?? ''));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : String(error);
    throw new UsageError(
      `line ${number} of ${file} is not one of a bisection (${why}): remove the file to begin anew.`,
    );
  }
}
