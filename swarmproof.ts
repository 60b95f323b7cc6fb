#!/usr/bin/env node
import { main } from './cli/program.ts';

const status = await main(process.argv);
// What was written to a pipe may not have left yet, and would end with the process.
for (const stream of [process.stdout, process.stderr])
  await new Promise<void>((written) => stream.write('', () => written()));
process.exit(status);
