/** What a sabotage run says in the end, and the page of all proofs: brought up to date by `npx node reports/proof-page.ts`. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ClauseData } from '../helpers/catalogue/catalogue.ts';
import {
  type Blind,
  type BlindRecord,
  blindRecordSchema,
  type Noticed,
  OUTCOMES,
  type Proof,
  type Proven,
  proofSchema,
} from '../helpers/sabotage/record.ts';
import { areaHeading, verbatim } from '../helpers/verdict/allure.ts';
import { duration } from './summary.ts';

/** Where the proof is on record, and its page. */
export const PROOF_FILE = fileURLToPath(new URL('../docs/sabotage/proof.json', import.meta.url));
export const BLIND_FILE = fileURLToPath(new URL('../docs/sabotage/blind.json', import.meta.url));
export const PROOF_PAGE = fileURLToPath(new URL('../docs/sabotage/README.md', import.meta.url));

/** The proof on record. @throws ZodError when the file is not what it must be. */
export function readProof(): Proof {
  return existsSync(PROOF_FILE) ? proofSchema.parse(JSON.parse(readFileSync(PROOF_FILE, 'utf8'))) : [];
}

/** The blind runs on record. @throws ZodError when the file is not what it must be. */
export function readBlind(): BlindRecord {
  return existsSync(BLIND_FILE) ? blindRecordSchema.parse(JSON.parse(readFileSync(BLIND_FILE, 'utf8'))) : [];
}

/** The lines that end a proof, the last one plain: `N killed, N survived`. Whatever is not killed and has no excuse survived. */
export function proofSummary(proven: readonly Proven[]): { text: string[]; good: boolean } {
  const of = (outcome: Proven['outcome']) => proven.filter((one) => one.outcome === outcome);
  const [killed, survived, unproven, excused] = [of('killed'), of('survived'), of('unproven'), of('excused')];
  const list = (title: string, some: readonly Proven[]) =>
    some.length === 0 ? [] : [`${title}:`, ...some.map(({ clause, sabotage }) => `  ${clause} ${sabotage}`)];
  const times = killed.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  return {
    text: [
      ...list('Left out, since the clause cannot be judged here', excused),
      ...list('Unproven, which counts as survived', unproven),
      ...list('Survived', survived),
      ...(median === undefined ? [] : [`A kill took ${duration(median)} in the median.`]),
      `${killed.length} killed, ${survived.length + unproven.length} survived`,
    ],
    good: survived.length + unproven.length === 0 && killed.length > 0,
  };
}

/** The area of a clause: what its id begins with. */
const areaOf = (clause: string) => clause.replace(/-\d+$/, '').toLowerCase();

/** The lines that end a blind run: whether the damage was noticed, and how near the first red clause points. */
export function blindSummary({ seed, noticed }: Pick<Blind, 'seed' | 'noticed'>): {
  text: string[];
  good: boolean;
} {
  const red = noticed.find(({ outcome }) => outcome === 'fail');
  const damage = (red ?? noticed.find((one) => one.damage.length > 0))?.damage ?? [];
  const done = damage.map(({ sabotage }) => `  ${sabotage}`);
  if (damage.length === 0)
    return {
      text: [`Seed ${seed}: no fault could be done, so nothing was shown.`, '0 noticed, 1 missed'],
      good: false,
    };
  const where = red ? nearness(red) : [];
  return {
    text: [`Seed ${seed} did:`, ...done, ...where, red ? '1 noticed, 0 missed' : '0 noticed, 1 missed'],
    good: red !== undefined,
  };
}

/** How near a red clause points to the damage: by its area, and by the nodes it names, in its text where it blames none. */
function nearness({ clause, said, node, damage }: Noticed): string[] {
  const areas = new Set(damage.flatMap((one) => one.areas));
  const nodes = new Set(damage.flatMap((one) => one.nodes));
  const near = areas.has(areaOf(clause)) ? 'an area' : `none of the areas (${[...areas].join(', ')})`;
  const named = node === null ? [...new Set(said.match(/\b[mws]\d\b/g))] : [node];
  const right = named.filter((one) => nodes.has(one)).length;
  const which =
    right === 0
      ? `not ${[...nodes].join(' or ')}`
      : right === named.length
        ? 'damaged'
        : 'one of them damaged';
  return [
    `The first red clause is ${clause} (${areaOf(clause)}), ${near} that the damage is of.`,
    named.length === 0 ? 'It names no node.' : `It names ${named.join(' and ')}, ${which}.`,
  ];
}

/** How an outcome is written in the matrix. */
const SIGNS = { killed: '●', survived: '○', unproven: '?', excused: '–' } as const satisfies Record<
  Proven['outcome'],
  string
>;

/** The page of all proofs: for each area a matrix of clauses and faults, then what each sabotage did; the blind runs last. */
export function proofPage(clauses: readonly ClauseData[], proof: Proof, blind: BlindRecord): string {
  const parts = proof.flatMap(({ engine, kernel, proven }) => {
    const count = (outcome: Proven['outcome']) => proven.filter((one) => one.outcome === outcome).length;
    const areas = Map.groupBy(clauses, ({ area }) => area);
    return [
      `## Engine ${engine}, kernel ${kernel}`,
      `${OUTCOMES.map((outcome) => `${count(outcome)} ${outcome}`).join(', ')}.`,
      ...[...areas].flatMap(([area, own]) => section(area, own, proven)),
    ];
  });
  return `${[
    '# Every verdict can fail',
    '<!-- Made of docs/sabotage/proof.json by reports/proof-page.ts: change that, not this page. -->',
    'A clause is proven when it turns red for the right reason on a Swarm that was broken on purpose, and passes on its twin that was not. ' +
      '`npx swarmproof sabotage` does both.',
    `${SIGNS.killed} killed: the clause turned red for the right reason. ${SIGNS.survived} survived: it did not. ${SIGNS.unproven} unproven: the fault did not take hold, or the twin did not pass. ` +
      `${SIGNS.excused} excused: the clause cannot be judged there. A row without a sign is a clause that nothing has been shown of.`,
    ...(parts.length > 0 ? parts : ['No proof is on record yet.']),
    ...(blind.length > 0 ? blindPart(blind) : []),
  ].join('\n\n')}\n`;
}

function blindPart(blind: BlindRecord): string[] {
  const rows = blind.map(({ seed, damage, judged, red, date }) => {
    const said = red ? cell(red.said) : '';
    const near = red ? nearness({ ...red, damage }).join(' ') : '';
    const done = damage.map(({ sabotage }) => verbatim(sabotage.replaceAll('|', '/'))).join('; ');
    return `| ${seed} | ${done} | ${red?.clause ?? 'none'} | ${said} | ${near} | ${judged} | ${date} |`;
  });
  const noticed = blind.filter(({ red }) => red).length;
  return [
    '## Blind runs',
    `Faults drawn by lot, of which the clauses know nothing: \`npx swarmproof sabotage --blind --seed N\`. ${noticed} of ${blind.length} were noticed.`,
    [
      '| seed | what was done | first red clause | what it said | how near that is | judged until then | when |',
      '| --: | --- | --- | --- | --- | --: | --- |',
      ...rows,
    ].join('\n'),
  ];
}

function section(area: string, clauses: readonly ClauseData[], all: Proof[number]['proven']): string[] {
  const proven = all.filter((one) => clauses.some(({ id }) => id === one.clause));
  const faults = [...new Set(proven.map(({ fault }) => fault))].toSorted();
  const sign = (clause: string, fault: string) =>
    proven
      .filter((one) => one.clause === clause && one.fault === fault)
      .map(({ outcome }) => SIGNS[outcome])
      .join('');
  const rows = clauses.map(({ id }) => `| ${[id, ...faults.map((fault) => sign(id, fault))].join(' | ')} |`);
  const details = proven
    .toSorted((a, b) => (a.clause < b.clause ? -1 : 1))
    .map(
      ({ clause, sabotage, outcome, date, said, alsoRed }) =>
        `| ${clause} | ${cell(sabotage)} | ${outcome} | ${date} | ${cell(said)} | ${alsoRed.join(', ')} |`,
    );
  return [
    `### ${areaHeading(area)}`,
    [
      `| ${['clause', ...faults].join(' | ')} |`,
      `| ${['---', ...faults.map(() => ':-:')].join(' | ')} |`,
      ...rows,
    ].join('\n'),
    ...(details.length === 0
      ? []
      : [
          [
            '| clause | sabotage | outcome | when | what it said | red, too |',
            '| --- | --- | --- | --- | --- | --- |',
            ...details,
          ].join('\n'),
        ]),
  ];
}

/** So much of what a clause said tells the reason. */
const MOST_CHARACTERS = 160;

/** A text as a cell of a table: its first line, cut to what tells the reason. */
function cell(text: string): string {
  const [line = ''] = text.split('\n');
  const short = line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line;
  return verbatim(short.replaceAll('|', '/'));
}
