#!/usr/bin/env node
import { keepCompiled } from './helpers/lab/home.ts';

keepCompiled();
// Not before: what is imported by name is compiled before the first line runs.
const { main } = await import('./cli/program.ts');
const status = await main(process.argv);
// What was written to a pipe may not have left yet, and would end with the process.
for (const stream of [process.stdout, process.stderr])
  await new Promise<void>((written) => stream.write('', () => written()));
process.exit(status);
