import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { generationOf, loadCatalogue, loadGenerations } from './catalogue.ts';

const sound = {
  id: 'VIP-015',
  title: 'Round it goes',
  level: 'should',
  core: true,
  statement: 'Each task in turn.',
  sources: [{ name: 'moby', ref: 'v28.5.2 somewhere' }],
  observe: 'By counting.',
  basis: 'code',
  seed: ['V3'],
};

/** A catalogue folder with these files, gone when the test ends. */
function folderWith(t: TestContext, files: Record<string, unknown>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-catalogue-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(path.join(folder, name), typeof content === 'string' ? content : stringify(content));
  }
  return folder;
}

test('a sound clause is read, with its area', (t) => {
  const catalogue = loadCatalogue(folderWith(t, { 'vip.yaml': [sound] }));
  assert.deepEqual(catalogue.get('VIP-015'), { ...sound, area: 'vip', regressions: [] });
});

const wrong: [name: string, files: Record<string, unknown>, message: RegExp][] = [
  ['a duplicate id', { 'vip.yaml': [sound, sound] }, /vip\.yaml: VIP-015: id: is used twice/],
  ['an id of another area', { 'dns.yaml': [sound] }, /dns\.yaml: VIP-015: id: belongs to another area/],
  ['an unknown level', { 'vip.yaml': [{ ...sound, level: 'may' }] }, /vip\.yaml: VIP-015: level: /],
  [
    'an empty statement',
    { 'vip.yaml': [{ ...sound, statement: ' ' }] },
    /VIP-015: statement: must not be empty/,
  ],
  [
    'no sources',
    { 'vip.yaml': [{ ...sound, sources: [] }] },
    /VIP-015: sources: must name at least one source/,
  ],
  [
    'a regression nobody knows',
    { 'vip.yaml': [{ ...sound, regressions: ['REG-999'] }] },
    /VIP-015: regressions: REG-999 is not in regressions\.yaml/,
  ],
  [
    'a defect that is known by a broken pattern',
    {
      'vip.yaml': [
        {
          ...sound,
          expectedFail: [{ since: null, until: null, defect: 'it leaks', ref: 'here', shown: '(' }],
        },
      ],
    },
    /VIP-015: expectedFail\.0\.shown: .*Invalid regular expression/,
  ],
  [
    'a defect that shows in some runs, nobody knows how',
    {
      'vip.yaml': [
        {
          ...sound,
          expectedFail: [{ since: null, until: null, defect: 'it leaks', ref: 'here', sometimes: true }],
        },
      ],
    },
    /VIP-015: expectedFail\.0: .*needs `shown`/,
  ],
  [
    'a source without place',
    { 'vip.yaml': [{ ...sound, sources: [{ name: 'moby' }] }] },
    /VIP-015: sources\.0\.ref: /,
  ],
  ['a misspelt field', { 'vip.yaml': [{ ...sound, engine: 'all' }] }, /VIP-015: entry: .*engine/],
  ['a core clause without seed', { 'vip.yaml': [{ ...sound, seed: [] }] }, /VIP-015: core: /],
  ['a clause without id', { 'vip.yaml': [{ ...sound, id: undefined }] }, /vip\.yaml: entry 1: id: /],
  ['a file that is no list', { 'vip.yaml': 'clauses: []' }, /vip\.yaml: must be a list/],
  ['broken YAML', { 'vip.yaml': '- id: [' }, /vip\.yaml: /],
  ['an empty catalogue', { 'generations.yaml': [] }, /no clauses here/],
];
for (const [name, files, message] of wrong) {
  test(`refused: ${name}`, (t) => assert.throws(() => loadCatalogue(folderWith(t, files)), { message }));
}

test('the catalogue of this repository carries every claim of the seed article', () => {
  const carried = new Set([...loadCatalogue().values()].flatMap((clause) => clause.seed));
  const claims = Object.entries({ S: 12, V: 13, M: 14 }).flatMap(([part, count]) =>
    Array.from({ length: count }, (_, i) => `${part}${i + 1}`),
  );
  assert.deepEqual(carried, new Set(claims));
});

test('generations name only clauses the catalogue has', () => {
  const catalogue = loadCatalogue();
  const unknown = loadGenerations().flatMap((entry) => entry.clauses.filter((id) => !catalogue.has(id)));
  assert.deepEqual(unknown, []);
});

test('versions as engines report them find their generation, on either side of each boundary', () => {
  const jumps = ['20.10.24+dfsg1', '26.1.5+dfsg1', '28.0.0', '28.0.1', '28.5.2', '29.7.2'];
  assert.deepEqual(
    jumps.map((v) => generationOf(v).filterIngressJump),
    ['FORWARD', 'FORWARD', 'FORWARD', 'DOCKER-FORWARD', 'DOCKER-FORWARD', 'DOCKER-FORWARD'],
  );
  const names = ['18.05.0-ce', '18.06.3-ce', '18.9', '20.10.24+dfsg1'];
  assert.deepEqual(
    names.map((v) => generationOf(v).lbNamespaceName?.prefix),
    [undefined, '', 'lb_', 'lb_'],
  );
  assert.deepEqual(
    ['17.03.2-ce', '18.06.0-ce', '28.5.2'].map((v) => generationOf(v).vipMark),
    [
      { namespace: 'container', chain: 'OUTPUT' },
      { namespace: 'lb', chain: 'INPUT' },
      { namespace: 'lb', chain: 'INPUT' },
    ],
  );
  assert.equal(generationOf('19.03.4').defaultIngressSubnet, '10.255.0.0/16');
  assert.equal(generationOf('19.03.15').defaultIngressSubnet, '10.0.0.0/24');
});

for (const version of ['dev', '', '28', '28.5.2.1', 'v28.5.2']) {
  test(`an engine version that says nothing is not guessed: '${version}'`, () => {
    assert.throws(() => generationOf(version), { name: 'Inconclusive' });
  });
}

test('a fact that is missing for some version, or given twice, is refused', (t) => {
  const entries = loadGenerations();
  const without = entries.filter(({ id }) => id !== 'namespace-file-removed-at-once');
  const twice = entries.map((entry) =>
    entry.id === 'namespace-file-collected-later' ? { ...entry, until: '28.0.1' } : entry,
  );
  assert.throws(() => loadGenerations(folderWith(t, { 'generations.yaml': without })), {
    message: /generations\.yaml: fact netnsFileLingerSeconds for version 28\.0\.0 is given by no entry/,
  });
  assert.throws(() => loadGenerations(folderWith(t, { 'generations.yaml': twice })), {
    message: /netnsFileLingerSeconds for version 28\.0\.0 is given by \S+ and \S+/,
  });
});
