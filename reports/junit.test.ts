import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleClause, exampleVerdict } from '../helpers/verdict/testing/example.ts';
import { junitXml } from './junit.ts';

test('each verdict has its own element', () => {
  const xml = junitXml(
    exampleVerdict([
      exampleClause({
        id: 'VIP-001',
        evidence: [{ name: 'ipvs', contentType: 'text/plain', path: 'evidence/ipvs.txt' }],
      }),
      exampleClause({ id: 'VIP-002', verdict: 'fail', reason: 'two-vips', message: 'seen', node: 'w1' }),
      exampleClause({ id: 'VIP-003', verdict: 'inconclusive', reason: 'lab' }),
      exampleClause({ id: 'VIP-004', verdict: 'skipped', reason: 'needs-ipv6' }),
      exampleClause({ id: 'VIP-005', verdict: 'expected-fail', reason: 'moby 1' }),
    ]),
  );
  const counts = 'tests="5" failures="1" errors="1" skipped="2"';
  assert.ok(xml.includes(`<testsuites name="swarmproof" ${counts} time="161.000">`));
  assert.ok(xml.includes(`<testsuite name="vm" ${counts} time="7.500">`));
  assert.ok(xml.includes('<testcase name="VIP-001 A promise" classname="vm.vip" time="1.500"><system-out>'));
  assert.ok(xml.includes('<failure message="two-vips (w1)" type="fail">seen</failure>'));
  assert.ok(xml.includes('<error message="lab" type="inconclusive"></error>'));
  assert.ok(xml.includes('<skipped message="needs-ipv6" type="skipped"></skipped>'));
  assert.ok(xml.includes('<skipped message="expected to fail: moby 1" type="expected-fail"></skipped>'));
});

test('whatever a message holds, the file stays XML', () => {
  const xml = junitXml(
    exampleVerdict([
      exampleClause({ verdict: 'fail', message: '<a b="c"> & \u0000 \u001b[31m \ud800 ]]> 😀' }),
    ]),
  );
  assert.ok(xml.includes('&#60;a b=&#34;c&#34;&#62; &#38; \ufffd \ufffd[31m \ufffd ]]&#62; 😀'));
});

test('a run that judged nothing is an error, not an empty success', () => {
  const verdict = exampleVerdict([], { cells: [] });
  verdict.run = { ...verdict.run, exitReason: 'setup-failed', message: 'no such kernel' };
  assert.match(
    junitXml(verdict),
    /tests="1" failures="0" errors="1".*<error message="setup-failed".*>no such kernel</s,
  );
});

test('a shard that no clause fell to is no error', () => {
  assert.match(junitXml(exampleVerdict([], { cells: [] })), /tests="0" failures="0" errors="0"/);
});
