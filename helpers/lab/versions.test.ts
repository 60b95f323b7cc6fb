import assert from 'node:assert/strict';
import { test } from 'node:test';
import { execa } from 'execa';
import fc from 'fast-check';
import { compareVersions, upstreamVersion } from './versions.ts';

test('kernels of one series in order', () => {
  const ordered = [
    '6.1.176-1',
    '6.12.90-1~bpo12+1',
    '6.12.90-2~bpo12+1',
    '6.12.117-1',
    '7.3~rc7-1~exp1',
    '7.3.4-1~bpo13+1',
  ];
  assert.deepEqual(ordered.toReversed().sort(compareVersions), ordered);
});

test('the upstream part', () => {
  assert.equal(upstreamVersion('7.3~rc7-1~exp1'), '7.3~rc7');
  assert.equal(upstreamVersion('1:28.5.2+dfsg4-5'), '28.5.2+dfsg4');
});

const dpkg = await execa('dpkg', ['--version'], { reject: false });
test('any two versions are ordered as dpkg orders them', {
  skip: dpkg.failed && 'no dpkg here',
}, async () => {
  const rest = fc.array(fc.constantFrom(...'0123456789aZ.+~'), { maxLength: 6 }).map((all) => all.join(''));
  const version = fc
    .tuple(fc.nat(12), rest, fc.nat(3), rest)
    .map(([first, upstream, number, revision]) => `${first}${upstream}-${number}${revision}`);
  await fc.assert(
    fc.asyncProperty(version, version, async (a, b) => {
      const says = async (relation: string) =>
        (await execa('dpkg', ['--compare-versions', a, relation, b], { reject: false })).exitCode === 0;
      const expected = (await says('lt')) ? -1 : (await says('eq')) ? 0 : 1;
      assert.equal(Math.sign(compareVersions(a, b)), expected, `${a} ${b}`);
    }),
    { numRuns: 150 },
  );
});
