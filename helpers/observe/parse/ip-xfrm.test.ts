import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSecurityAssociations, parseSecurityPolicies, parseXfrmStatistics } from './ip-xfrm.ts';

const STATE = `src 192.168.83.22 dst 192.168.83.21
	proto esp spi 0x8cf09558 reqid 13681891 mode transport
	replay-window 0 
	aead rfc4106(gcm(aes)) 0x629b74b287f72aaaa5c77193de8141f88cf09558 64
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
`;

test('an association has its parameters, and of its key a digest only', () => {
  const [seen, ...others] = parseSecurityAssociations(STATE);
  assert.deepEqual(others, []);
  assert.match(seen?.keyDigest ?? '', /^[0-9a-f]{16}$/);
  assert.deepEqual(
    { ...seen, keyDigest: 'some' },
    {
      from: '192.168.83.22',
      to: '192.168.83.21',
      protocol: 'esp',
      spi: 0x8cf09558,
      reqid: 0xd0c4e3,
      mode: 'transport',
      aead: 'rfc4106(gcm(aes))',
      keyDigest: 'some',
    },
  );
  assert.doesNotMatch(JSON.stringify(seen), /629b74b2/);
});

test('the same key has the same digest, another another', () => {
  const digest = (text: string) => parseSecurityAssociations(text)[0]?.keyDigest;
  assert.equal(digest(STATE), digest(STATE.replace('0x8cf09558 ', '0x8cf09559 ')));
  assert.notEqual(digest(STATE), digest(STATE.replace('0x629b', '0x629c')));
});

test('a policy has its selector, mark and template', () => {
  const text = `src 192.168.83.21/32 dst 192.168.83.22/32 proto udp dport 4789 
	dir out priority 0 ptype main 
	mark 0xd0c4e3/0xffffffff 
	tmpl src 192.168.83.21 dst 192.168.83.22
		proto esp spi 0xc67615eb reqid 13681891 mode transport
src 0.0.0.0/0 dst 0.0.0.0/0 
	socket in priority 0 ptype main 
`;
  assert.deepEqual(parseSecurityPolicies(text), [
    {
      selector: 'src 192.168.83.21/32 dst 192.168.83.22/32 proto udp dport 4789',
      direction: 'out',
      mark: '0xd0c4e3/0xffffffff',
      templates: [
        {
          from: '192.168.83.21',
          to: '192.168.83.22',
          protocol: 'esp',
          spi: 0xc67615eb,
          reqid: 0xd0c4e3,
          mode: 'transport',
        },
      ],
    },
    { selector: 'src 0.0.0.0/0 dst 0.0.0.0/0', direction: 'socket in', templates: [] },
  ]);
});

test('counters are read by name', () => {
  assert.deepEqual(parseXfrmStatistics('XfrmInError             \t0\nXfrmInNoStates          \t17\n'), {
    XfrmInError: 0,
    XfrmInNoStates: 17,
  });
});

test('a namespace without IPsec has neither', () => {
  assert.deepEqual(parseSecurityAssociations(''), []);
  assert.deepEqual(parseSecurityPolicies('\n'), []);
});

for (const [what, parse, text] of [
  ['an error message', parseSecurityAssociations, 'Cannot open netlink socket: Permission denied'],
  ['a line no state has', parseSecurityAssociations, `${STATE}\tnew-thing 7\n`],
  ['a state that is cut off', parseSecurityAssociations, 'src 10.0.0.1 dst 10.0.0.2\n'],
  ['a state without parameters', parseSecurityAssociations, `src 10.0.0.1 dst 10.0.0.2\n${STATE}`],
  ['parameters of another form', parseSecurityAssociations, STATE.replace('mode', 'way')],
  ['a line no policy has', parseSecurityPolicies, 'src 10.0.0.1/32 dst 10.0.0.2/32 \n\tnew-thing 7\n'],
  [
    'a template that is cut off',
    parseSecurityPolicies,
    'src 10.0.0.1/32 dst 10.0.0.2/32 \n\ttmpl src 1.1.1.1 dst 2.2.2.2\n',
  ],
  ['a policy without a head', parseSecurityPolicies, '\tdir out priority 0 ptype main\n'],
  ['a counter that is none', parseXfrmStatistics, 'XfrmInError many\n'],
] as const)
  test(`${what} is refused`, () => {
    assert.throws(() => parse(text), { name: 'UnknownLine' });
  });
