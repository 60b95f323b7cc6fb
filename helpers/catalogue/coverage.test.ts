import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadCatalogue, loadRegressions } from './catalogue.ts';
import { type CoverageProblem, coverage, findInCode, readSources } from './coverage.ts';

const catalogue = new Map([
  ['VIP-001', { area: 'vip' }],
  ['DNS-001', { area: 'dns' }],
]);
const sound = {
  'specs/vip/one.spec.ts': `import { clause } from '../../fixtures/test.ts';\n\ntest(...clause('VIP-001', {}, () => {}));`,
  'specs/dns/one.spec.ts': `clause(\n  "DNS-001",\n  {}, () => {});`,
};

/** Problems of the sound example after some files were added or replaced. */
function problemsWith(changed: Record<string, string>): CoverageProblem[] {
  const files = Object.entries({ ...sound, ...changed });
  return coverage(
    catalogue,
    files.map(([path, text]) => ({ path, text })),
  );
}

test('a catalogue whose clauses are each declared once in their area has no problems', () => {
  assert.deepEqual(problemsWith({}), []);
});

const examples: [name: string, changed: Record<string, string>, expected: CoverageProblem[]][] = [
  [
    'a clause no spec declares, and a spec that declares none',
    { 'specs/dns/one.spec.ts': `test('a name', () => {});` },
    [
      { kind: 'spec without clause', at: 'specs/dns/one.spec.ts:1' },
      { kind: 'clause without spec', clause: 'DNS-001' },
    ],
  ],
  [
    'an id the catalogue does not know',
    { 'specs/vip/two.spec.ts': `\nclause('VIP-999', {}, () => {});` },
    [{ kind: 'unknown clause', clause: 'VIP-999', at: 'specs/vip/two.spec.ts:2' }],
  ],
  [
    'a clause declared twice',
    { 'specs/vip/two.spec.ts': `clause('VIP-001', {}, () => {});` },
    [{ kind: 'clause declared twice', clause: 'VIP-001', at: 'specs/vip/two.spec.ts:1' }],
  ],
  [
    'a clause outside its area',
    {
      'specs/dns/one.spec.ts': `clause('DNS-001', f);`,
      'specs/vip/one.spec.ts': '',
      'specs/dns/two.spec.ts': `clause('VIP-001', f);`,
    },
    [
      { kind: 'spec without clause', at: 'specs/vip/one.spec.ts:1' },
      { kind: 'clause outside its area', clause: 'VIP-001', at: 'specs/dns/two.spec.ts:1' },
    ],
  ],
  [
    'ids that are not literals',
    {
      'specs/vip/two.spec.ts': ['clause(id, f);', 'clause(`VIP-002`, f);', `clause('VIP-' + n, f);`].join(
        '\n',
      ),
    },
    [1, 2, 3].map((line) => ({ kind: 'clause id not a literal', at: `specs/vip/two.spec.ts:${line}` })),
  ],
  [
    'a declaration that is only text, or a method',
    {
      'specs/vip/one.spec.ts': [
        `// clause('VIP-001', f);`,
        `/* clause('VIP-001') */`,
        `say("clause('VIP-001')");`,
        `law.clause('VIP-001');`,
      ].join('\n'),
    },
    [
      { kind: 'spec without clause', at: 'specs/vip/one.spec.ts:1' },
      { kind: 'clause without spec', clause: 'VIP-001' },
    ],
  ],
];
for (const [name, changed, expected] of examples) {
  test(`reported: ${name}`, () => assert.deepEqual(problemsWith(changed), expected));
}

test('code is found after a string that holds an escaped quote, an apostrophe in a comment, and a URL', () => {
  const text = [`say('it\\'s');`, `// it's`, `go('http://m1:8080');`, `say(\`'\`);`, 'hit();'].join('\n');
  assert.deepEqual(
    [...findInCode(text, /hit\(/)].map(({ line }) => line),
    [5],
  );
});

test('every failure that users met is caught by a clause, or says why by none', () => {
  // A draft was not seen to judge rightly: it catches nothing yet.
  const judging = [...loadCatalogue().values()].filter(({ draft }) => !draft);
  const caught = new Set(judging.flatMap(({ regressions }) => regressions.map(({ id }) => id)));
  const wrong = [...loadRegressions().values()].filter(
    ({ id, elsewhere }) => caught.has(id) === (elsewhere !== undefined),
  );
  assert.deepEqual(
    wrong.map(({ id }) => id),
    [],
  );
});

test('every clause of this repository is declared by exactly one spec of its area', () => {
  assert.deepEqual(coverage(loadCatalogue(), readSources('specs/**/*.spec.ts')), []);
});
