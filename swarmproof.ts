#!/usr/bin/env node
import { main } from './cli/program.ts';

process.exit(await main(process.argv));
