import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWorkloadLog } from './workload-log.ts';

test('starts, signals and drains', () => {
  const text = `{"at":1795382719436.027,"container":"c1","event":"start","open":0}
{"at":1795382729436.027,"container":"c1","event":"signal","signal":"TERM","action":"drain","open":2}
{"at":1795382739436.027,"container":"c1","event":"drained","open":0}`;
  assert.deepEqual(parseWorkloadLog(text), [
    { at: 1795382719436.027, event: 'start', open: 0 },
    { at: 1795382729436.027, event: 'signal', signal: 'TERM', action: 'drain', open: 2 },
    { at: 1795382739436.027, event: 'drained', open: 0 },
  ]);
  assert.deepEqual(parseWorkloadLog(''), []);
});

test('what the workload does not say is refused', () => {
  for (const line of [
    'cannot bind tcp/80',
    '{}',
    '{"at":1,"open":0,"event":"end"}',
    '{"at":1,"open":0,"event":"signal","signal":"TERM","action":"stop"}',
  ])
    assert.throws(() => parseWorkloadLog(line), /log of the workload, line 1/);
});
