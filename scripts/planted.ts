/**
 * Proves that `swarmproof bisect` finds what it looks for, on real kernels or engines, where none has a defect at hand: the clause's
 * first sabotage is done in every Swarm from a chosen version on, and the search is told nothing of it.
 *
 *     npx node scripts/planted.ts --clause VIP-015 --kernels debian:bookworm,debian:trixie,debian:sid --from debian:sid
 *
 * Ends with 0 when the first bad version that it finds is the one chosen.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { bisect } from '../cli/bisect.ts';
import { kernelRange } from '../cli/kernels.ts';
import type { Answer } from '../helpers/bisect/search.ts';
import { THIS_SUITE } from '../helpers/bisect/suite.ts';
import { versionsIn } from '../helpers/bisect/versions.ts';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { INTERRUPTED, UsageError } from '../helpers/errors.ts';
import { readSettings } from '../helpers/lab/settings.ts';
import { PLANTED } from '../helpers/sabotage/plan.ts';
import { loadSabotages } from '../helpers/sabotage/sabotages.ts';
import { DEFAULT_OUT_DIR, fileName } from '../helpers/verdict/channel.ts';

const { values } = parseArgs({
  options: {
    clause: { type: 'string' },
    kernels: { type: 'string' },
    engines: { type: 'string' },
    from: { type: 'string' },
    folder: { type: 'string' },
  },
});
const { clause = '', from = '', ...options } = values;
// A bisection that meets a planted defect must not be taken for one that met the product's: each has a log of its own.
const ownFolder = path.join(DEFAULT_OUT_DIR, 'planted', `${fileName(clause)}-from-${fileName(from)}`);
const { kernels, engines, folder = ownFolder } = options;
const versions = await versionsIn(kernels ?? engines ?? '', (range) => kernelRange(readSettings(), range));
const first = versions.indexOf(from);
if (first < 1) throw new UsageError(`--from names one of ${versions.slice(1).join(', ')}, not ${from}.`);
const [sabotage] = loadSabotages(loadCatalogue()).get(clause) ?? [];
if (!sabotage) throw new UsageError(`${clause} has no sabotage to plant.`);
console.log(`planted from ${from} on: ${sabotage.fault.description}`);
const env = (version: string): Record<string, string> =>
  versions.indexOf(version) < first ? {} : { [PLANTED]: JSON.stringify(sabotage.wound) };
let found: string | undefined;
const answered = (answer: Answer) => {
  if (answer.outcome === 'found') found = answer.firstBad;
};
const list = versions.join(',');
const varied = kernels === undefined ? { engines: list } : { kernels: list };
const status = await bisect({ clause, ...varied, folder }, { suite: { ...THIS_SUITE, env }, answered });
const right = found === from;
if (status !== INTERRUPTED)
  console.log(right ? 'It is the version that was chosen.' : `It should have been ${from}.`);
process.exitCode = right ? 0 : status || 1;
