import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { arrange, type Box, draw } from './draw.ts';
import { follow } from './follow.ts';
import type { Hop, Leg, Walk } from './model.ts';
import { WALKS } from './testing/example.ts';

/** A walk of any form: each hop but the first comes after one before it, anywhere on three nodes or outside. */
const anyWalk: fc.Arbitrary<Walk> = fc
  .array(
    fc.record({
      after: fc.nat(),
      node: fc.constantFrom('m1', 'w1', 'w2', null),
      namespace: fc.constantFrom('the node itself', 'balancer of front', 'overlay front', 'task two.1'),
      title: fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }),
      facts: fc.array(
        fc.record({
          label: fc.string({ maxLength: 12 }),
          value: fc.string({ maxLength: 80, unit: 'binary' }),
        }),
        { maxLength: 4 },
      ),
      state: fc.constantFrom('stands', 'broken', 'unseen', 'unreached'),
      why: fc.string({ minLength: 1, maxLength: 150 }),
    }),
    { minLength: 1, maxLength: 24 },
  )
  .map((parts) => {
    const hops: Hop[] = parts.map(({ after: _, why, node, namespace, ...part }, i) => ({
      ...part,
      id: `${i}`,
      node,
      namespace: node === null ? null : namespace,
      ...(part.state === 'broken' && { why }),
    }));
    const legs: Leg[] = parts
      .slice(1)
      .map(({ after }, i) => ({ from: `${after % (i + 1)}`, to: `${i + 1}` }));
    const nodes = { m1: '192.168.83.11', w1: '192.168.83.21', w2: '192.168.83.22' };
    return {
      title: 'a & b <asks> "c"',
      result: 'All 3 requests were answered.',
      troubled: false,
      seenAt: 0,
      hops,
      legs,
      nodes,
    };
  });

test('no box lies on another, and each lies within the frames it belongs to', () => {
  fc.assert(
    fc.property(anyWalk, (walk) => {
      const { hops, frames } = arrange(walk);
      const boxes = [...hops.values()];
      for (const [i, box] of boxes.entries())
        for (const other of boxes.slice(i + 1)) assert.ok(!overlap(box, other), 'two hops');
      for (const hop of walk.hops.filter(({ node }) => node !== null)) {
        const box = hops.get(hop.id);
        const around = frames.filter(({ inner, title }) =>
          inner ? title === hop.namespace : title.startsWith(`${hop.node} `),
        );
        assert.ok(box && around.filter((frame) => within(box, frame)).length >= 2, `frames of hop ${hop.id}`);
      }
    }),
    { numRuns: 40 },
  );
});

test('a frame reaches to what belongs to it where legs lead it around another node', () => {
  const at = (id: string, node: string | null, namespace: string | null): Hop => ({
    id,
    node,
    namespace,
    title: id,
    facts: [],
    state: 'stands',
  });
  const own = 'the node itself';
  const { hops, frames } = arrange({
    hops: [
      at('0', null, null),
      at('1', null, null),
      at('2', 'm1', own),
      at('3', 'w2', own),
      at('4', 'w1', own),
      at('5', 'w1', own),
      at('6', 'w2', own),
      at('7', null, null),
      at('8', 'm1', own),
      at('9', 'w1', 'task two.1'),
      at('10', 'm1', own),
      at('11', 'w1', 'overlay front'),
    ],
    legs: ['0 1', '0 2', '0 3', '3 4', '0 5', '4 6', '4 7', '7 8', '2 9', '8 10', '9 11'].map((pair) => {
      const [from = '', to = ''] = pair.split(' ');
      return { from, to };
    }),
    nodes: {},
  });
  const node = frames.find(({ title }) => title.startsWith('w1'));
  for (const id of ['4', '5', '9', '11']) {
    const box = hops.get(id);
    assert.ok(node && box && within(box, node), `hop ${id}`);
  }
});

test('frames of the walks there are do not lie on each other', () => {
  for (const [kind, make] of Object.entries(WALKS)) {
    const walk = follow(make());
    assert.ok(walk);
    const { frames } = arrange(walk);
    for (const inner of [true, false]) {
      const alike = frames.filter((frame) => frame.inner === inner);
      for (const [i, frame] of alike.entries())
        for (const other of alike.slice(i + 1))
          assert.ok(!overlap(frame, other), `${kind}: ${frame.title}, ${other.title}`);
    }
  }
});

test('whatever a walk holds, its drawing is well-formed, and says everything in text', () => {
  fc.assert(
    fc.property(anyWalk, fc.boolean(), (walk, expected) => {
      const svg = draw(walk, { expected });
      const texts = parse(svg);
      for (const hop of walk.hops) {
        assert.ok(
          texts.some((text) => text.includes(legal(hop.title))),
          `title of ${hop.id}`,
        );
        for (const { value } of hop.facts)
          assert.ok(
            texts.some((text) => text.includes(legal(value))),
            `a fact of ${hop.id}`,
          );
        if (hop.why)
          assert.ok(
            texts.some((text) => text.includes(legal(hop.why ?? ''))),
            `why of ${hop.id}`,
          );
      }
      assert.match(
        svg,
        /^<svg [^>]*role="img" aria-labelledby="(\S+)-title \1-desc">\n<title id="\1-title">.*\n<desc id="\1-desc">/,
      );
    }),
    { numRuns: 40 },
  );
});

test('a broken hop is called so in words, and of a clause that passed only the end of the way', () => {
  const walk: Walk = {
    title: 'x',
    result: 'y',
    troubled: true,
    seenAt: 0,
    hops: [
      { id: 'a', node: 'w1', namespace: 'n', title: 'Mark', facts: [], state: 'broken', why: 'no rule' },
    ],
    legs: [],
    nodes: { w1: '192.168.83.21' },
  };
  assert.match(draw(walk), /Broken: Mark on w1: no rule/);
  assert.match(draw(walk), />BROKEN: no rule</);
  const passed = draw(walk, { expected: true });
  assert.match(passed, /Ends at: Mark on w1: no rule/);
  assert.doesNotMatch(passed, />BROKEN|Broken:/);
});

test('colours of light and dark are both there, and no rule reaches beyond the drawing', () => {
  const walk = follow(WALKS.virtualIpWalk());
  assert.ok(walk);
  const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(draw(walk)) ?? [];
  assert.match(style, /prefers-color-scheme:dark/);
  const selectors = style.replace(/@media[^{]*\{/g, '').match(/[^{}]+(?=\{)/g) ?? [];
  for (const selector of selectors.flatMap((one) => one.split(',')))
    assert.match(selector.trim(), /^\.packet-walk\b/);
});

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function within(box: Box, frame: Box): boolean {
  return (
    box.x >= frame.x &&
    box.y >= frame.y &&
    box.x + box.width <= frame.x + frame.width &&
    box.y + box.height <= frame.y + frame.height
  );
}

/** What XML cannot hold is replaced in the drawing. */
function legal(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}');
}

/** The texts of an XML document; throws where it is not well-formed, as far as drawings use XML. */
function parse(xml: string): string[] {
  const open: string[] = [];
  const texts: string[] = [];
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' };
  for (const [whole, close, name = '', attributes = '', empty, text] of xml.matchAll(
    /<(\/?)([a-z]+)((?:\s+[a-zA-Z-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/g,
  )) {
    if (text !== undefined) {
      assert.doesNotMatch(text, /&(?!(amp|lt|gt|quot);)/, 'a bare ampersand');
      texts.push(text.replace(/&(\w+);/g, (_, entity) => entities[entity] ?? '?'));
    } else if (close) assert.equal(open.pop(), name, `${whole} closes another`);
    else {
      assert.doesNotMatch(attributes, /&(?!(amp|lt|gt|quot);)/);
      if (!empty) open.push(name);
    }
  }
  assert.deepEqual(open, [], 'elements that stay open');
  assert.equal(
    xml.replace(/<(\/?)([a-z]+)((?:\s+[a-zA-Z-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/g, ''),
    '',
    'something that is no XML',
  );
  return texts;
}
