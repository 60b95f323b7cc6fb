import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, overlap } from './pools.ts';

test('a pool is its blocks, in order and all of them', () => {
  assert.deepEqual(
    [...blocksOf('10.20.0.0/24', 26)],
    ['10.20.0.0/26', '10.20.0.64/26', '10.20.0.128/26', '10.20.0.192/26'],
  );
  assert.deepEqual([...blocksOf('192.168.0.0/16', 16)], ['192.168.0.0/16']);
  assert.deepEqual(
    [...blocksOf('10.0.0.0/8', 24)].filter((_, i) => i === 257 || i === 65_535),
    ['10.1.1.0/24', '10.255.255.0/24'],
  );
  assert.equal([...blocksOf('224.0.0.0/4', 5)].at(-1), '232.0.0.0/5');
});

test('a block larger than its pool is refused', () => {
  assert.throws(() => [...blocksOf('10.0.0.0/16', 15)], RangeError);
});

test('blocks overlap when one lies in the other', () => {
  assert.ok(overlap('10.0.0.0/8', '10.1.2.0/24'));
  assert.ok(overlap('10.1.2.128/25', '10.1.2.0/24'));
  assert.ok(!overlap('10.1.2.128/25', '10.1.2.0/25'));
  assert.ok(!overlap('10.0.0.0/24', '10.0.1.0/24'));
});
