/**
 * A DNS server outside the Swarm, which stands for the world that a lab has not: names that exist there and nowhere else,
 * and who asked for them. What it answers is said at the head of its program.
 */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { Inconclusive } from '../errors.ts';
import { quote } from './shell.ts';

const PROGRAM = path.join(import.meta.dirname, 'upstream.pl');
const LOG = '/tmp/upstream.log';

/** Time to live of its A records: no number that an engine would give. */
export const UPSTREAM_TTL_SECONDS = 17;

/** A name that exists there, but whose query is never answered. */
export const SILENT_NAME = 'silent.upstream.test';

/** A name that exists there with the address {@link upstreamAddress}. @param lateMs how long it takes to answer. */
export function upstreamName(k: number, { lateMs = 0 } = {}): string {
  return `n${k}.${lateMs > 0 ? `late-${lateMs}.` : ''}upstream.test`;
}

/** The address of a name that exists there. */
export function upstreamAddress(k: number): string {
  return `198.18.${k >> 8}.${k & 255}`;
}

/** A query as it arrived there. */
const Query = z.strictObject({
  /** Address and port. */
  from: z.string(),
  /** In small letters. */
  name: z.string(),
  /** Number of the record type (RFC 1035, 3.2.2). */
  type: z.int(),
});
export type UpstreamQuery = z.infer<typeof Query>;

/** The server, running on a host of the lab. */
export class Upstream {
  readonly address: string;
  readonly #must: (script: string) => Promise<string>;

  private constructor(address: string, must: (script: string) => Promise<string>) {
    this.address = address;
    this.#must = must;
  }

  /**
   * Starts it on port 53 of a host.
   *
   * @param must runs a script there.
   */
  static async start(address: string, must: (script: string) => Promise<string>): Promise<Upstream> {
    await must(`perl -e ${quote(readFileSync(PROGRAM, 'utf8'))} ${address} 53 ${LOG}`);
    return new Upstream(address, must);
  }

  /** Every query so far, in the order of arrival. */
  async queries(): Promise<UpstreamQuery[]> {
    return parseUpstreamLog(await this.#must(`cat ${LOG}`));
  }
}

/** The log of the program. @throws Inconclusive (observer), quoting the line, for one that is no query. */
export function parseUpstreamLog(text: string): UpstreamQuery[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    try {
      return Query.parse(JSON.parse(line));
    } catch (error) {
      throw new Inconclusive('observer', `the DNS server outside wrote what is no query: ${line}`, {
        cause: error,
      });
    }
  });
}
