import assert from 'node:assert/strict';
import test from 'node:test';
import { UsageError } from '../errors.ts';
import { readSettings, SETTINGS, shapeOfLab } from './settings.ts';

test('without any variable every setting has its default', () => {
  const settings = readSettings({});
  assert.equal(settings.LAB, 'vm');
  assert.equal(settings.KERNEL, 'trixie');
  assert.deepEqual(settings.NODES, { managers: 1, workers: 2 });
  assert.equal(settings.LAB_MEMORY, 3072 * 1024 ** 2);
});

test('a time is read in ms; without one the long clauses are left out', () => {
  assert.equal(readSettings({ SOAK: '30m' }).SOAK, 1_800_000);
  assert.equal(readSettings({}).SOAK, 0);
});

test('an empty variable is one that was not set', () => {
  assert.equal(readSettings({ KERNEL: ' ' }).KERNEL, 'trixie');
});

for (const [name, value] of Object.entries({
  LAB: 'podman',
  KERNEL: '6.12',
  ENGINE: 'debian:buster',
  NODES: '9m9w',
  SOAK: 'long',
  DRAFTS: 'maybe',
  LAB_CACHE: 'relative',
  LAB_CACHE_SIZE: 'much',
  LAB_MEMORY: '6G',
  LAB_QEMU: 'qemu',
  LAB_ACCEL: 'hvf',
  LAB_MIRROR: 'somewhere',
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
