import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, columns, size } from './words.ts';

const SIZES: [bytes: number, text: string][] = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [340 * 1024 ** 2, '340 MiB'],
  [1.25 * 1024 ** 3, '1.3 GiB'],
];
for (const [bytes, text] of SIZES) test(`${bytes} bytes are ${text}`, () => assert.equal(size(bytes), text));

const AGES: [minutes: number, text: string][] = [
  [0, 'now'],
  [59, '59 min ago'],
  [60, '1 h ago'],
  [47 * 60, '47 h ago'],
  [48 * 60, '2 days ago'],
];
for (const [minutes, text] of AGES) {
  test(`${minutes} minutes are ${text}`, () => {
    const now = new Date();
    assert.equal(ago(new Date(now.getTime() - minutes * 60_000), now), text);
  });
}

test('columns are aligned, without spaces at the end', () => {
  assert.deepEqual(
    columns([
      ['a', 'bb', ''],
      ['aaa', 'b', 'c'],
    ]),
    ['a    bb', 'aaa  b   c'],
  );
});
