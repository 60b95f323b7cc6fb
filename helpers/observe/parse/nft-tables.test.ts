import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNftTables } from './nft-tables.ts';

test('tables by family and name', () => {
  assert.deepEqual(parseNftTables('table ip nat\ntable ip6 filter\ntable inet docker-bridges\n'), [
    { family: 'ip', name: 'nat' },
    { family: 'ip6', name: 'filter' },
    { family: 'inet', name: 'docker-bridges' },
  ]);
  assert.deepEqual(parseNftTables(''), []);
});

test('anything else is refused', () => {
  assert.throws(() => parseNftTables('table ip nat # handle 1'), /nft list tables, line 1/);
});
