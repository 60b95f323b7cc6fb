/**
 * Brings record and page of all proofs up to date with the sabotages there are: `npx node reports/proof-page.ts`; with `--record`,
 * what the last `swarmproof sabotage` found is put on record first.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';
import { SABOTAGE_FOLDER } from '../helpers/sabotage/plan.ts';
import {
  type BlindRecord,
  blindSchema,
  type Proof,
  proofSchema,
  stillDone,
  withBlind,
  withFindings,
} from '../helpers/sabotage/record.ts';
import { loadSabotages } from '../helpers/sabotage/sabotages.ts';
import { OUT_DIR, readCells } from '../helpers/verdict/channel.ts';
import { BLIND_FILE, PROOF_FILE, PROOF_PAGE, proofPage, readBlind, readProof } from './proof.ts';

const catalogue = loadCatalogue();
const { record } = parseArgs({ options: { record: { type: 'boolean', default: false } } }).values;
mkdirSync(dirname(PROOF_FILE), { recursive: true });
const FOUND = join(OUT_DIR, SABOTAGE_FOLDER);
const proof = record ? lastFound().reduce(withRun, readProof()) : readProof();
const blind = record ? withLastBlind(readBlind()) : readBlind();
const kept = stillDone(proof, [...loadSabotages(catalogue).values()].flat());
writeFileSync(PROOF_FILE, `${JSON.stringify(kept, null, 2)}\n`);
if (blind.length > 0) writeFileSync(BLIND_FILE, `${JSON.stringify(blind, null, 2)}\n`);
writeFileSync(PROOF_PAGE, proofPage([...catalogue.values()], kept, blind));

/** What the last run proved; nothing when it was a blind one. */
function lastFound(): Proof {
  const file = join(FOUND, 'proof.json');
  if (!existsSync(file) && blindFiles().length > 0) return [];
  return proofSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

function blindFiles(): string[] {
  const names = existsSync(FOUND) ? readdirSync(FOUND) : [];
  return names.filter((name) => /^blind-\d+\.json$/.test(name)).map((name) => join(FOUND, name));
}

function withLastBlind(before: BlindRecord): BlindRecord {
  const [cell] = readCells(FOUND).values();
  const engine = [...new Set(Object.values(cell?.engines ?? {}))].join(', ') || 'unknown';
  const kernel = cell?.kernel ?? 'unknown';
  return blindFiles().reduce((all, file) => {
    const date = statSync(file).mtime.toISOString().slice(0, 10);
    const found = blindSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return withBlind(all, found, { engine, kernel, date });
  }, before);
}

function withRun(all: Proof, { engine, kernel, proven }: Proof[number]): Proof {
  return proven.reduce(
    (before, { date, ...one }) => withFindings(before, { engine, kernel }, date, [one]),
    all,
  );
}
