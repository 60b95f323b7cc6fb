import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Process 1 of a node, as a script for the sh of the node's image. */
export const NODE_INIT = readFileSync(path.join(import.meta.dirname, 'node-init.sh'), 'utf8');
