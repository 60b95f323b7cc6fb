import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { blindSchema, proofSchema } from '../helpers/sabotage/record.ts';
import { InlineProject } from './testing/inline-project.ts';

const config = `
  import { defineConfig } from '@playwright/test';
  export default defineConfig({
    outputDir: 'out/raw', workers: 1, timeout: 4000, projects: [{ name: 'sabotage' }],
    reporter: [['#repo/reports/sabotage-reporter.ts', { outDir: import.meta.dirname + '/out' }]],
  });
`;

const start = `
  import { test } from '@playwright/test';
  const found = (findings) =>
    test.info().attach('findings.json', { body: JSON.stringify(findings), contentType: 'application/json' });
  const proven = (outcome, sabotage) => ({
    clause: test.info().title.slice(0, 7), fault: 'some', sabotage, outcome, said: 'it said so', node: null,
    damage: null, durationMs: 5, alsoRed: ['VIP-009'], alsoGreen: [],
  });
`;

/** Runs the runner on one spec with a plan, and gives what it printed, its status and what it left. */
async function run(spec: string, plan: object, words: string[] = []) {
  using project = new InlineProject({
    'playwright.config.ts': config,
    'a.spec.ts': start + spec,
    'plan.json': JSON.stringify({
      seed: 7,
      clauses: [],
      proofs: [],
      others: true,
      blind: [],
      part: null,
      ...plan,
    }),
  });
  const { all, exitCode } = await project.start(words, {
    SWARMPROOF_SABOTAGE: join(project.folder, 'plan.json'),
  });
  const text = String(all).trim();
  const left = (name: string): unknown => JSON.parse(project.read(name));
  return {
    text,
    last: text.split('\n').at(-1),
    exitCode,
    proof: text.includes('proof.json') ? proofSchema.parse(left('proof.json')) : [],
  };
}

test('kills alone end with status 0, one plain line, and a proof on file', async () => {
  const spec = `
    test('VIP-001 a', () => found({ proven: [proven('killed', 'one'), proven('killed', 'two')] }));
    test('VIP-002 b', () => found({ proven: [proven('excused', 'three')] }));
  `;
  const { last, exitCode, proof, text } = await run(spec, {
    proofs: ['VIP-001: one', 'VIP-001: two', 'VIP-002: three'],
  });
  assert.deepEqual([last, exitCode], ['2 killed, 0 survived', 0], text);
  assert.match(text, /Left out.*\n {2}VIP-002 three/);
  assert.match(text, /red, too: VIP-009/);
  assert.equal(proof[0]?.proven.length, 3);
});

test('a survivor fails the run and is named with its reason', async () => {
  const spec = `test('VIP-001 a', async () => {
    await found({ proven: [proven('killed', 'one')] });
    await found({ proven: [proven('killed', 'one'), proven('survived', 'two')] });
    throw new Error('survived');
  });`;
  const { last, exitCode, text } = await run(spec, { proofs: ['VIP-001: one', 'VIP-001: two'] });
  assert.deepEqual([last, exitCode], ['1 killed, 1 survived', 1], text);
  assert.match(text, /survived +VIP-001 two .*\n +it said so/);
});

test('what was planned and never judged has survived: a test that hangs, a worker that dies, a clause that is not there', async () => {
  const spec = `
    test('VIP-001 a', async () => {
      await found({ proven: [proven('killed', 'one')] });
      await new Promise(() => {});
    });
    test('VIP-002 b', () => process.exit(3));
  `;
  const proofs = ['VIP-001: one', 'VIP-001: two', 'VIP-002: three', 'VIP-003: four'];
  const { last, exitCode, text } = await run(spec, { proofs });
  assert.deepEqual([last, exitCode], ['1 killed, 3 survived', 1], text);
});

test('findings that cannot be read are no kills', async () => {
  const spec = `test('VIP-001 a', () => found({ proven: [{ outcome: 'killed' }] }));`;
  const { last, exitCode, text } = await run(spec, { proofs: ['VIP-001: one'] });
  assert.deepEqual([last, exitCode], ['0 killed, 1 survived', 1], text);
  assert.match(text, /VIP-001: what was found cannot be read/);
});

test('a blind run says whether it was noticed', async () => {
  const noticed = `{ clause: 'MESH-001', outcome: 'fail', said: 'no answer', node: 'w1', damage: [{ sabotage: 'vxlan', nodes: ['w1'], areas: ['mesh'] }] }`;
  const seen = await run(
    `test('MESH-001 a', async () => { await found({ noticed: [${noticed}] }); throw new Error('red'); });
     test('MESH-002 b', () => { throw new Error('not judged any more'); });`,
    { blind: [{ fault: 'traffic-dropped' }] },
    ['-x'],
  );
  assert.deepEqual([seen.last, seen.exitCode], ['1 noticed, 0 missed', 0], seen.text);
  const missed = await run(
    `test('MESH-001 a', () => found({ noticed: [${noticed.replace("'fail'", "'pass'")}] }));`,
    { blind: [{ fault: 'traffic-dropped' }] },
  );
  assert.deepEqual([missed.last, missed.exitCode], ['0 noticed, 1 missed', 1], missed.text);
});

test('in the first part of a blind run nothing is missed yet, and the second knows what the first found', async () => {
  const noticed = `{ clause: 'MESH-001', outcome: 'pass', said: '', node: null, damage: [{ sabotage: 'vxlan', nodes: ['w1'], areas: ['mesh'] }] }`;
  const plan = (part: string) =>
    JSON.stringify({
      seed: 7,
      clauses: [],
      proofs: [],
      others: false,
      blind: [{ fault: 'traffic-dropped' }],
      part,
    });
  using project = new InlineProject({
    'playwright.config.ts': config,
    'a.spec.ts': `${start} test('MESH-001 a', () => found({ noticed: [${noticed}] }));`,
    'b.spec.ts': `${start} test('MESH-002 b', () => found({ noticed: [] }));`,
    'looking.json': plan('looking'),
    'disturbing.json': plan('disturbing'),
  });
  const part = async (part: string, file: string) => {
    const { all, exitCode } = await project.start([file], {
      SWARMPROOF_SABOTAGE: join(project.folder, `${part}.json`),
    });
    return { text: String(all).trim(), exitCode };
  };
  const first = await part('looking', 'a.spec.ts');
  assert.match(first.text, /those that change the Swarm follow\.$/);
  assert.doesNotMatch(first.text, /missed/);
  const second = await part('disturbing', 'b.spec.ts');
  assert.match(second.text, /Seed 7 did:\n {2}vxlan\n0 noticed, 1 missed$/);
  const left = blindSchema.parse(JSON.parse(project.read('blind-7.json')));
  assert.deepEqual([left.noticed.length, left.errors, first.exitCode, second.exitCode], [1, [], 1, 1]);
});

test('a run that is killed leaves the proof of every clause it had finished', async () => {
  const spec = `
    test('VIP-001 a', () => found({ proven: [proven('killed', 'one')] }));
    test('VIP-002 b', async () => {
      console.log('READY');
      await new Promise(() => {});
    });
  `;
  using project = new InlineProject({
    'playwright.config.ts': config,
    'a.spec.ts': start + spec,
    'plan.json': JSON.stringify({
      seed: 7,
      clauses: [],
      proofs: ['VIP-001: one', 'VIP-002: two'],
      others: true,
      blind: [],
      part: null,
    }),
  });
  const runner = project.start([], { SWARMPROOF_SABOTAGE: join(project.folder, 'plan.json') });
  runner.all.on('data', (chunk) => String(chunk).includes('READY') && runner.kill('SIGKILL'));
  await runner;
  const proof = proofSchema.parse(JSON.parse(project.read('proof.json')));
  assert.deepEqual(
    proof[0]?.proven.map(({ clause, outcome }) => `${clause} ${outcome}`),
    ['VIP-001 killed'],
  );
});
