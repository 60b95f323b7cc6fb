import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allureAnnotations } from './allure.ts';

test('a clause becomes labels, and a description in which nothing is taken for mark-up', () => {
  const annotations = allureAnnotations({
    area: 'dns',
    level: 'must',
    statement: 'tasks.<service> resolves',
    sources: [{ name: 'docker/docs', ref: 'service_discovery.md' }],
  });
  assert.deepEqual(Object.fromEntries(annotations.map(({ type, description }) => [type, description])), {
    '@allure.label.epic': 'DNS: embedded DNS and round robin',
    '@allure.label.severity': 'critical',
    description: 'tasks.\\<service\\> resolves\n\n**Sources**\n\n- docker/docs: service\\_discovery.md',
  });
});

test('an area without a heading of its own is its own heading', () => {
  const [epic] = allureAnnotations({ area: 'new', level: 'detail', statement: '', sources: [] });
  assert.equal(epic?.description, 'NEW');
});
