import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weightsOf } from './timeline.ts';

test('the weights of one server, each once, whatever changes beside it', () => {
  const server = (address: string, weight: number) => ({ mark: 259, address, weight });
  const table = [
    { at: 1, servers: [server('10.0.0.1', 1)] },
    { at: 2, servers: [server('10.0.0.1', 1), server('10.0.0.2', 1)] },
    { at: 3, servers: [server('10.0.0.1', 0), server('10.0.0.2', 1)] },
    { at: 4, servers: [server('10.0.0.2', 1)] },
  ];
  assert.deepEqual(weightsOf(table, '10.0.0.1'), [
    { at: 1, weight: 1 },
    { at: 3, weight: 0 },
    { at: 4, weight: undefined },
  ]);
  assert.deepEqual(weightsOf(table, '10.0.0.3'), [{ at: 1, weight: undefined }]);
  assert.deepEqual(weightsOf([], '10.0.0.1'), []);
});
