import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadCatalogue } from './catalogue.ts';
import { linkTo, linkToDefect } from './links.ts';

const cited: [name: string, ref: string, address: string | undefined][] = [
  [
    'docker/docs',
    'content/manuals/engine/swarm/networking.md@0ed716667783, "Encryption"',
    'docker/docs/blob/0ed716667783/content/manuals/engine/swarm/networking.md',
  ],
  [
    'docker/cli',
    'docs/reference/commandline/swarm_init.md (--data-path-port)',
    'docker/cli/blob/master/docs/reference/commandline/swarm_init.md',
  ],
  [
    'moby',
    'v20.10.24 and v28.5.2 libnetwork/resolver.go; v26.1.5 daemon/a.go',
    'moby/moby/blob/v28.5.2/libnetwork/resolver.go',
  ],
  [
    'moby',
    'v28.5.2 and docker-v29.7.2 libnetwork/resolver.go',
    'moby/moby/blob/v28.5.2/libnetwork/resolver.go',
  ],
  [
    'moby',
    'docker-v29.7.2 libnetwork/resolver.go',
    'moby/moby/blob/docker-v29.7.2/daemon/libnetwork/resolver.go',
  ],
  [
    'memberlist',
    'v26.1.5 vendor/github.com/hashicorp/memberlist/config.go',
    'moby/moby/blob/v26.1.5/vendor/github.com/hashicorp/memberlist/config.go',
  ],
  [
    'linux',
    'v6.12 net/netfilter/ipvs/ip_vs_core.c ip_vs_in_hook',
    'torvalds/linux/blob/v6.12/net/netfilter/ipvs/ip_vs_core.c',
  ],
  ['docker/for-linux', 'issue 551', 'docker/for-linux/issues/551'],
  ['GitHub advisory', 'GHSA-mq39-4gv4-mvpx (CVE-2024-29018)', 'advisories/GHSA-mq39-4gv4-mvpx'],
  ['moby', 'v28.5.2 cnmallocator/networkallocator.go', undefined],
  ['seed article', 'VIP part: iptables and IPVS', undefined],
];
for (const [name, ref, address] of cited)
  test(`${name}: ${ref}`, () =>
    assert.equal(linkTo({ name, ref }), address && `https://github.com/${address}`));

test('an RFC, and what known defects cite', () => {
  assert.equal(linkTo({ name: 'RFC 1035', ref: '4.2.1' }), 'https://www.rfc-editor.org/rfc/rfc1035');
  assert.equal(
    linkToDefect('moby/moby#52236, commit 1143f413f6'),
    'https://github.com/moby/moby/issues/52236',
  );
  assert.equal(
    linkToDefect('swarmkit manager/a.go, no doubt; moby issue 40184'),
    'https://github.com/moby/moby/issues/40184',
  );
  assert.equal(
    linkToDefect('moby v24.0.9 libnetwork/x.go y'),
    'https://github.com/moby/moby/blob/v24.0.9/libnetwork/x.go',
  );
  assert.equal(linkToDefect('somebody said so'), undefined);
});

test('most sources of the catalogue have an address', () => {
  const sources = [...loadCatalogue().values()].flatMap((clause) => clause.sources);
  const linked = sources.filter((source) => linkTo(source) !== undefined);
  // The seed article and files without a full path have none.
  assert.ok(linked.length > sources.length * 0.8, `${linked.length} of ${sources.length}`);
});
