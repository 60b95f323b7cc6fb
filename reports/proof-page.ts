/**
 * Brings record and page of all proofs up to date with the sabotages there are: `npx node reports/proof-page.ts`; with `--record`,
 * what the last `swarmproof sabotage` found is put on record first.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { SABOTAGE_FOLDER } from '../helpers/sabotage/plan.ts';
import { type Proof, proofSchema, stillDone, withFindings } from '../helpers/sabotage/record.ts';
import { loadSabotages } from '../helpers/sabotage/sabotages.ts';
import { OUT_DIR } from '../helpers/verdict/channel.ts';
import { PROOF_FILE, PROOF_PAGE, proofPage, readProof } from './proof.ts';

const catalogue = loadCatalogue();
const { record } = parseArgs({ options: { record: { type: 'boolean', default: false } } }).values;
mkdirSync(dirname(PROOF_FILE), { recursive: true });
const proof = record ? lastFound().reduce(withRun, readProof()) : readProof();
const kept = stillDone(proof, [...loadSabotages(catalogue).values()].flat());
writeFileSync(PROOF_FILE, `${JSON.stringify(kept, null, 2)}\n`);
writeFileSync(PROOF_PAGE, proofPage([...catalogue.values()], kept));

function lastFound(): Proof {
  return proofSchema.parse(JSON.parse(readFileSync(join(OUT_DIR, SABOTAGE_FOLDER, 'proof.json'), 'utf8')));
}

function withRun(all: Proof, { engine, kernel, proven }: Proof[number]): Proof {
  return proven.reduce(
    (before, { date, ...one }) => withFindings(before, { engine, kernel }, date, [one]),
    all,
  );
}
