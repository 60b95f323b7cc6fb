import assert from 'node:assert/strict';
import test from 'node:test';
import { UsageError } from '../errors.ts';
import { readSettings, SETTINGS, shapeOfLab } from './settings.ts';

test('without any variable every setting has its default', () => {
  const settings = readSettings({});
  assert.equal(settings.LAB, 'vm');
  assert.deepEqual(settings.KERNEL, { from: 'debian', suite: 'trixie' });
  assert.deepEqual(settings.ENGINE, [{ from: 'debian', suite: 'trixie' }]);
  assert.deepEqual(settings.NODES, { managers: 1, workers: 2 });
  assert.equal(settings.LAB_MEMORY, 3072 * 1024 ** 2);
});

test('a time is read in ms; without one the long clauses are left out', () => {
  assert.equal(readSettings({ SOAK: '30m' }).SOAK, 1_800_000);
  assert.equal(readSettings({}).SOAK, 0);
});

test('an empty variable is one that was not set', () => {
  assert.deepEqual(readSettings({ KERNEL: ' ' }).KERNEL, readSettings({}).KERNEL);
});

for (const [name, value] of Object.entries({
  LAB: 'podman',
  KERNEL: '6.12',
  ENGINE: 'debian:buster',
  NODES: '9m9w',
  CELLS: 'no set',
  SOAK: 'long',
  DRAFTS: 'maybe',
  LAB_CACHE: 'relative',
  LAB_CACHE_SIZE: 'much',
  LAB_MEMORY: '6G',
  LAB_QEMU: 'qemu',
  LAB_ACCEL: 'hvf',
  LAB_MIRROR: 'somewhere',
  LAB_EXPIRED: 'perhaps',
})) {
  test(`${name}=${value} is refused with what is known`, () => {
    assert.throws(
      () => readSettings({ [name]: value }),
      (error) => {
        assert(error instanceof UsageError);
        assert.match(error.message, new RegExp(`^${name}=${value} is not known; it takes `));
        assert(error.message.includes(SETTINGS[name as keyof typeof SETTINGS].known));
        return true;
      },
    );
  });
}

test('a misspelt setting is told, not ignored', () => {
  assert.throws(() => readSettings({ LAB_MEMROY: '2G' }), /LAB_MEMROY is no setting; there are LAB, KERNEL/);
});

test('how long a run may take, its chance and its folder do not shape a lab', () => {
  const lab = (env: Record<string, string>) => shapeOfLab(readSettings(env));
  assert.deepEqual(lab({ SOAK: '1h', SEED: '7', DRAFTS: 'yes', OUT_DIR: '/tmp/x' }), lab({}));
  assert.notDeepEqual(lab({ KERNEL: 'debian:sid' }), lab({}));
});

const FORMS: [name: 'KERNEL' | 'ENGINE', text: string, expected: unknown][] = [
  ['KERNEL', 'debian:experimental', { from: 'debian', suite: 'experimental' }],
  [
    'KERNEL',
    'debian:trixie-backports/7.3~rc7-1~exp1',
    { from: 'debian', suite: 'trixie-backports', version: '7.3~rc7-1~exp1' },
  ],
  ['KERNEL', 'deb:/k/linux-image.deb', { from: 'deb', file: '/k/linux-image.deb' }],
  ['KERNEL', 'files:/k/bzImage,/k/modules', { from: 'files', image: '/k/bzImage', modules: '/k/modules' }],
  ['ENGINE', 'dir:/opt/engine', [{ from: 'dir', folder: '/opt/engine' }]],
  [
    'ENGINE',
    'debian:bookworm, image:registry.example:5000/a/docker:28-dind@sha256:00',
    [
      { from: 'debian', suite: 'bookworm' },
      { from: 'image', reference: 'registry.example:5000/a/docker:28-dind@sha256:00' },
    ],
  ],
];
for (const [name, text, expected] of FORMS)
  test(`${name}=${text} is read`, () => assert.deepEqual(readSettings({ [name]: text })[name], expected));

for (const [name, text] of [
  ['KERNEL', 'debian:trixie/'],
  ['KERNEL', 'debian:trixie/latest'],
  ['KERNEL', 'deb:linux-image.deb'],
  ['KERNEL', 'files:/k/bzImage'],
  ['ENGINE', 'debian:trixie,'],
  ['ENGINE', 'debian:experimental'],
  ['ENGINE', 'dir:engine'],
  ['ENGINE', 'image:'],
] as const)
  test(`${name}=${text} is refused`, () =>
    assert.throws(() => readSettings({ [name]: text }), /is not known/));

test('more engines than nodes are refused', () => {
  const ENGINE = 'debian:trixie,debian:sid,debian:bookworm';
  assert.throws(() => readSettings({ ENGINE, NODES: '1m1w' }), /names 3 engines and NODES only 2 nodes/);
  assert.equal(readSettings({ ENGINE }).ENGINE.length, 3);
});
