import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionsIn } from './versions.ts';

test('a list is taken in its order, and a comma within a version is left alone', async () => {
  assert.deepEqual(await versionsIn('debian:sid, files:/b/vmlinuz,/b/modules,deb:/x.deb'), [
    'debian:sid',
    'files:/b/vmlinuz,/b/modules',
    'deb:/x.deb',
  ]);
});

test('a range is resolved where it stands; a path with two dots is none', async () => {
  const resolve = async (range: string) => [`${range}#1`, `${range}#2`];
  assert.deepEqual(await versionsIn('debian:trixie,debian:sid/6.12..7.3,dir:/a/../b', resolve), [
    'debian:trixie',
    'debian:sid/6.12..7.3#1',
    'debian:sid/6.12..7.3#2',
    'dir:/a/../b',
  ]);
  await assert.rejects(
    versionsIn('debian:sid/6.12..7.3'),
    /6\.12\.\.7\.3 cannot be resolved: name its versions/,
  );
});
