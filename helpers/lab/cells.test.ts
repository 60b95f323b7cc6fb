import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parse } from 'yaml';
import { CELLS_FILE, cellsOfRun } from './cells.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'swarmproof-cells-'));
after(() => rmSync(folder, { recursive: true }));

/** The cells of a file with this content. */
function cells(content: string, env: Record<string, string> = {}) {
  const file = path.join(folder, 'cells.yaml');
  writeFileSync(file, content);
  return cellsOfRun(env, file);
}

const names = (content: string, env?: Record<string, string>) => cells(content, env).map(({ name }) => name);

describe('a set of cells', () => {
  test('is every combination of what its entries list, and settings say the rest', () => {
    const content = `
      two:
        - kernel: [debian:bookworm, debian:trixie-backports/6.18.12]
          engine: [debian:sid, 'debian:bookworm,image:localhost:5000/docker:28-dind']
        - nodes: [3m1w]
    `;
    const all = cells(content, { CELLS: 'two', ENGINE: '' });
    assert.deepEqual(
      all.map(({ name }) => name),
      [
        'sid on bookworm',
        'bookworm, localhost:5000/docker:28-dind on bookworm',
        'sid on trixie-backports/6.18.12',
        'bookworm, localhost:5000/docker:28-dind on trixie-backports/6.18.12',
        'trixie on trixie, 3m1w',
      ],
    );
    assert.deepEqual(all[2]?.settings.KERNEL, {
      from: 'debian',
      suite: 'trixie-backports',
      version: '6.18.12',
    });
    assert.deepEqual(all[1]?.settings.ENGINE, [
      { from: 'debian', suite: 'bookworm' },
      { from: 'image', reference: 'localhost:5000/docker:28-dind' },
    ]);
    assert.deepEqual(all[4]?.settings.NODES, { managers: 3, workers: 1 });
    // Whoever repeats one needs no set, and none may be given beside these.
    assert.deepEqual(all[0]?.given, { KERNEL: 'debian:bookworm', ENGINE: 'debian:sid' });
  });

  test('of one entry that lists nothing is what the settings say', () => {
    const [one, ...others] = cells('default: [{}]', { KERNEL: 'debian:sid' });
    assert.deepEqual(
      [one?.name, one?.settings.KERNEL, others],
      ['default', { from: 'debian', suite: 'sid' }, []],
    );
  });

  test('can be limited to some clauses', () => {
    const [one, other] = cells("default: [{ nodes: [1m1w], clauses: '@core' }, {}]");
    assert.ok(one?.clauses?.test('VIP-001 @must @core'));
    assert.equal(other?.clauses, undefined);
  });

  test('in an engine of the user is named by its engines', () => {
    assert.deepEqual(names('default: [{ engine: [debian:sid] }]', { LAB: 'docker' }), ['sid']);
  });
});

const REFUSED: [what: string, content: string, env: Record<string, string>, said: RegExp][] = [
  ['a set that is not there', 'pr: [{}]', {}, /^CELLS=default is not known; cells\.yaml has pr\.$/],
  [
    'a field that is not known',
    'default: [{ kernels: [debian:sid] }]',
    {},
    /^cells\.yaml is not a list.*kernels/,
  ],
  ['an empty list', 'default: [{ kernel: [] }]', {}, /^cells\.yaml is not a list.*kernel/],
  ['no YAML', 'default: [', {}, /^cells\.yaml cannot be read: /],
  [
    'a value that is not known',
    'default: [{ kernel: [debian:potato] }]',
    {},
    /^KERNEL=debian:potato is not known/,
  ],
  ['no regular expression', "default: [{ clauses: '(' }]", {}, /is no regular expression/],
  [
    'the same cell twice',
    'default: [{ kernel: [debian:sid, debian:sid] }]',
    {},
    /lists the cell "trixie on sid" twice/,
  ],
  [
    'a setting that says the same',
    'default: [{ kernel: [debian:sid] }]',
    { KERNEL: 'debian:sid' },
    /^KERNEL is set, but/,
  ],
  [
    'kernels for an engine of the user',
    'default: [{ kernel: [debian:sid] }]',
    { LAB: 'docker' },
    /use LAB=vm/,
  ],
];
for (const [what, content, env, said] of REFUSED) {
  test(`refused: ${what}`, () =>
    assert.throws(() => cells(content, env), { name: 'UsageError', message: said }));
}

test('every set of the file that is there can be read', () => {
  const sets = Object.keys(parse(readFileSync(CELLS_FILE, 'utf8')));
  assert.deepEqual(sets, ['default', 'pr', 'nightly', 'release']);
  for (const set of sets) assert.ok(cellsOfRun({ CELLS: set }).length > 0, set);
});
