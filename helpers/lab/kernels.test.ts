import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type PackageRecord, parseRecords } from './apt.ts';
import { missingModules, missingOptions } from './kernel-needs.ts';
import { chooseKernel, kernelsBetween, kernelsIn, shortName } from './kernels.ts';

/** A package list such as Debian's, in the forms its kernels have had: whole, with an empty part, and split. */
const LIST = parseRecords(`
Package: linux-image-6.1.0-50-cloud-amd64
Version: 6.1.176-1
Architecture: amd64
Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Description: Linux 6.1 for x86-64 cloud
 The Linux kernel 6.1 and modules
 .
 for use on clouds

Package: linux-image-6.12.90+deb12-cloud-amd64
Version: 6.12.90-1~bpo12+1
Depends: kmod

Package: linux-image-6.12.90+deb12.1-cloud-amd64
Version: 6.12.90-2~bpo12+1
Depends: kmod

Package: linux-image-6.18.12+deb13-cloud-amd64
Version: 6.18.12-1~bpo13+1
Depends: kmod, linux-base-6.18.12+deb13-cloud-amd64 (= 6.18.12-1~bpo13+1)

Package: linux-image-7.0.4+deb13-cloud-amd64
Version: 7.0.4-1~bpo13+1
Depends: linux-binary-7.0.4+deb13-cloud-amd64 (= 7.0.4-1~bpo13+1), linux-modules-7.0.4+deb13-cloud-amd64 (= 7.0.4-1~bpo13+1)

Package: linux-binary-7.0.4+deb13-cloud-amd64
Version: 7.0.4-1~bpo13+1

Package: linux-image-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Depends: dracut | linux-initramfs-tool, linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1), linux-modules-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1)

Package: linux-binary-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Depends: linux-base-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1)

Package: linux-base-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-modules-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-modules-7.3.4+deb13-cloud-amd64
Version: 7.3.4-2~bpo13+1

Package: linux-image-cloud-amd64
Version: 7.3.4-1~bpo13+1
Depends: linux-image-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1)
`);
const KERNELS = kernelsIn(LIST, 'trixie-backports');

test('fields that go on over several lines are one', () => {
  const [first] = LIST as [PackageRecord];
  assert.equal(first.Architecture, 'amd64');
  assert.match(first.Description ?? '', /cloud The Linux kernel .* for use on clouds$/);
});

describe('the kernels of a list', () => {
  test('come in the order of their versions, the metapackage not among them', () => {
    assert.deepEqual(
      KERNELS.map(({ version }) => version.split('-')[0]),
      ['6.1.176', '6.12.90', '6.12.90', '6.18.12', '7.0.4', '7.3.4'],
    );
    assert.deepEqual(
      KERNELS.filter(({ current }) => current).map(({ release }) => release),
      ['7.3.4+deb13-cloud-amd64'],
    );
  });

  test('lie in a range when they are complete, those of the last version with all their patches, each once', () => {
    const between = (from: string, to: string) =>
      kernelsBetween([...KERNELS, ...kernelsIn(LIST, 'sid')], from, to).map(
        ({ suite, version }) => `${suite}/${version.split('~')[0]}`,
      );
    assert.deepEqual(between('6.12', '7.3'), [
      'trixie-backports/6.12.90-1',
      'trixie-backports/6.12.90-2',
      'trixie-backports/6.18.12-1',
      'trixie-backports/7.3.4-1',
    ]);
    assert.deepEqual(between('6.1', '6.12'), [
      'trixie-backports/6.1.176-1',
      'trixie-backports/6.12.90-1',
      'trixie-backports/6.12.90-2',
    ]);
    assert.deepEqual(between('6.12.91', '6.18.11'), []);
  });

  test('consist of what they demand in exactly their version, each part once', () => {
    const parts = Object.fromEntries(
      KERNELS.map(({ version, packages }) => [version, packages.map(({ Package }) => Package.split('-')[1])]),
    );
    assert.deepEqual(parts['6.1.176-1'], ['image']);
    assert.deepEqual(parts['6.18.12-1~bpo13+1'], ['image']);
    assert.deepEqual(parts['7.3.4-1~bpo13+1'], ['image', 'binary', 'base', 'modules']);
    assert.deepEqual(
      [...new Set(KERNELS.at(-1)?.packages.map(({ Version }) => Version))],
      ['7.3.4-1~bpo13+1'],
    );
  });

  test('lack what the list no longer has, unless nothing of it is needed', () => {
    const missing = KERNELS.filter((kernel) => kernel.missing.length > 0);
    assert.deepEqual(
      missing.map(({ version, missing }) => [version, missing]),
      [['7.0.4-1~bpo13+1', ['linux-modules-7.0.4+deb13-cloud-amd64']]],
    );
  });
});

describe('a kernel is chosen', () => {
  const chosen = (wanted?: string) => chooseKernel(KERNELS, 'trixie-backports', wanted).release;
  for (const wanted of ['6.18.12', '6.18.12-1~bpo13+1', '6.18.12+deb13', '6.18.12+deb13-cloud-amd64'])
    test(`as ${wanted}`, () => assert.equal(chosen(wanted), '6.18.12+deb13-cloud-amd64'));
  test('as the current one', () => assert.equal(chosen(), '7.3.4+deb13-cloud-amd64'));
  test('by the shortest name that fits it alone', () => {
    for (const kernel of KERNELS.filter(({ missing }) => missing.length === 0))
      assert.equal(chosen(shortName(kernel, KERNELS).split('/')[1]), kernel.release);
    assert.equal(shortName(KERNELS[3] as never, KERNELS), 'debian:trixie-backports/6.18.12');
  });
  const refused: [wanted: string, said: RegExp][] = [
    ['6.12.90', /fits more than one kernel: say which of 6\.12\.90-1~bpo12\+1, 6\.12\.90-2~bpo12\+1\.$/],
    [
      '7.0.4',
      /incomplete: the mirror no longer has linux-modules-7\.0\.4\+deb13-cloud-amd64\. .*npx swarmproof kernels/,
    ],
    ['5.10', /is not in Debian trixie-backports, which has 6\.1\.176-1, .*7\.3\.4-1~bpo13\+1\.$/],
    ['6.1', /is not in Debian/],
  ];
  for (const [wanted, said] of refused)
    test(`or not: ${wanted}`, () =>
      assert.throws(() => chosen(wanted), { name: 'UsageError', message: said }));
});

test('what a kernel lacks is named with what it is for', () => {
  const config =
    'CONFIG_NAMESPACES=y\n# CONFIG_NET_NS is not set\nCONFIG_IP_VS_PROTO_TCP=m\nCONFIG_IP_VS_PROTO_TCPX=y\n';
  const missing = missingOptions(config);
  assert.ok(missing.includes('CONFIG_NET_NS (networks of containers)'));
  assert.ok(missing.includes('CONFIG_IP_VS_PROTO_UDP (virtual IPs of UDP services)'));
  assert.ok(!missing.some((text) => /NAMESPACES|PROTO_TCP /.test(text)));
  assert.ok(missingModules(['vxlan']).includes('module ip_vs_rr (the round-robin scheduler of both)'));
  assert.ok(!missingModules(['vxlan']).some((text) => text.includes('vxlan')));
});
