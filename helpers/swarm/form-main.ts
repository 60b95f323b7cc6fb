/**
 * Forms a Swarm in a process of its own: reads a FormRequest (JSON) from standard input, prints progress lines to standard
 * error and the SwarmFacts (JSON) to standard output.
 *
 * Testcontainers learns its engine from the environment, once per process; this process has exactly one, and whoever keeps
 * labs for long never loads it.
 */
import { text } from 'node:stream/consumers';
import type { FormRequest } from './form.ts';

const request = JSON.parse(await text(process.stdin)) as FormRequest;
const { formSwarm } = await import('./form.ts');
const facts = await formSwarm(request, (line) => process.stderr.write(`${line}\n`));
process.stdout.write(JSON.stringify(facts));
process.exit(0);
