import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { findInCode, readSources, type SourceFile } from './catalogue/coverage.ts';

/**
 * What the files of one part may not do. An import is written as what it leads to: the path from the root of the
 * repository for our own files, `node:fs` for Node's modules, `npm:zod` for packages.
 */
interface Rule {
  files: RegExp;
  /** Everything these files import must match. */
  only?: RegExp;
  /** Nothing these files import may match. */
  never?: RegExp;
  /** These may be imported, but by `import type` only. */
  typesOnly?: RegExp;
  /** This may not occur in the code. */
  words?: RegExp;
  because: string;
}

const RULES: Rule[] = [
  {
    files: /^specs\//,
    only: /^fixtures\//,
    because: 'a spec speaks the language of the domain, which fixtures alone provide',
  },
  {
    files: /^specs\//,
    words: /\b(?:setTimeout|setInterval|waitForTimeout)\b/,
    because: 'waiting happens in one place, never in a spec',
  },
  {
    files: /^(?:specs|helpers\/(?:swarm|observe|judge))\/.*(?<!\.test)\.ts$/,
    words:
      /\b(?:performance\.now|Date\.now|Math\.random|randomUUID|process\.(?:pid|hrtime))\b|\bnew Date\(\)/,
    because: 'time and chance come through the transcript, or a clause could not be judged again from it',
  },
  {
    files: /^helpers\/transcript\/.*(?<!\.test)\.ts$/,
    only: /^(?:node:|npm:|helpers\/(?:transcript\/|errors\.ts))/,
    because: 'everything passes the transcript, so it stands on nothing',
  },
  {
    files: /^helpers\/(?:repro|bundle)\//,
    never: /^helpers\/(?:lab|pool)\//,
    because: 'what a run left is worked on without a lab',
  },
  {
    files: /^fixtures\//,
    never: /^(?:specs|reports|cli)\//,
    because: 'dependencies point one way: specs, fixtures, helpers',
  },
  {
    files: /^helpers\//,
    never: /^(?:specs|fixtures|reports|cli)\//,
    because: 'dependencies point one way: specs, fixtures, helpers',
  },
  {
    files: /^helpers\/observe\/parse\/.*(?<!\.test)\.ts$/,
    only: /^(?:node:|helpers\/observe\/parse\/)/,
    because: 'a parser turns text into types and can be tried on any recording, with nothing else at hand',
  },
  {
    files: /^helpers\/observe\/parse\//,
    only: /^(?:node:|npm:|helpers\/observe\/parse\/)/,
    because: 'tests of parsers may use packages, but nothing of ours',
  },
  {
    files: /^helpers\/judge\//,
    only: /^(?:node:|npm:|helpers\/judge\/)/,
    because:
      'a judgement is a pure function over data, so a verdict can be computed again from stored evidence',
  },
  {
    files: /^helpers\/lab\//,
    never: /^helpers\/swarm\//,
    because: 'a lab is one engine with known kernel facts and knows of no Swarm',
  },
  {
    files: /^helpers\/swarm\//,
    typesOnly: /^helpers\/lab\//,
    because: 'a Swarm runs in whatever lab it is given',
  },
  {
    files: /^helpers\/(?!fault\/|sabotage\/)/,
    never: /^helpers\/(?:fault\/|sabotage\/(?!plan\.ts))/,
    because: 'a Swarm, and whoever observes and judges it, does not know what breaks it',
  },
  {
    files: /^helpers\/fault\//,
    never: /^helpers\/(?:judge|pool|lab|sabotage|verdict)\//,
    because:
      'a fault breaks a Swarm that it is given, and proves so by itself, not by what a clause would say',
  },
  {
    files: /^helpers\/walk\/(?!collect\.ts)/,
    typesOnly:
      /^(?:npm:dockerode|helpers\/(?:engine|lab|pool)\/|helpers\/swarm\/swarm\.ts|helpers\/observe\/shell\.ts)/,
    because: 'a walk is told from evidence alone, so it can be told again when the lab is gone',
  },
  {
    // The browser of their own tests comes from packages, as the lab's programs do.
    files: /^reports\/(?!testing\/chromium\.ts$)/,
    only: /^(?:node:|npm:|reports\/|helpers\/(?:verdict\/|catalogue\/|sabotage\/(?:plan|record|sabotages)\.ts|errors\.ts))/,
    because: 'reports are made from verdict files and the catalogue, without a lab',
  },
  {
    files: /^cli\//,
    only: /^(?:node:|npm:|cli\/|helpers\/|reports\/)/,
    because: 'the command line looks after labs and what runs left, and runs no clause itself',
  },
  {
    files: /^helpers\/compare\/.*(?<!\.test)\.ts$/,
    only: /^(?:npm:|helpers\/(?:compare|verdict)\/)/,
    because: 'two verdict files are compared by pure functions, wherever they came from',
  },
  {
    files: /^helpers\/bisect\/search\.ts$/,
    only: /^npm:jstat$/,
    because: 'a search can be tried on any world, with nothing else at hand',
  },
];

/** An import or re-export of any form, from its keyword to its target. */
const IMPORT =
  /(?:\b(?:import|export)\s+(?<type>type\b)?[\w$*{},\s]*)?\b(?:from|import)\s*\(?\s*(?<quote>['"])(?<target>[^'"\n]+)\k<quote>/;

/** Every breach of the rules in these files, as `file:line what: why`. */
function violations(files: readonly SourceFile[], rules: readonly Rule[] = RULES): string[] {
  const found: string[] = [];
  for (const file of files) {
    const imports = [...findInCode(file.text, IMPORT)].map(({ groups, line }) => ({
      line,
      target: resolved(file.path, groups.target ?? ''),
      typeOnly: groups.type !== undefined,
    }));
    for (const rule of rules.filter((r) => r.files.test(file.path))) {
      for (const { line, target, typeOnly } of imports) {
        const barred = rule.never?.test(target) || (rule.only && !rule.only.test(target));
        if (barred || (!typeOnly && rule.typesOnly?.test(target))) {
          found.push(`${file.path}:${line} imports ${target}: ${rule.because}`);
        }
      }
      for (const { groups, line } of rule.words ? findInCode(file.text, rule.words) : []) {
        found.push(`${file.path}:${line} uses ${groups.hit}: ${rule.because}`);
      }
    }
  }
  return found;
}

function resolved(file: string, target: string): string {
  if (target.startsWith('.')) return path.posix.join(path.posix.dirname(file), target);
  return target.startsWith('node:') ? target : `npm:${target}`;
}

const BREACHES: [file: string, text: string, found: string][] = [
  [
    'specs/vip/a.spec.ts',
    `import { x } from '../../helpers/swarm/node.ts';`,
    ':1 imports helpers/swarm/node.ts',
  ],
  [
    'specs/vip/a.spec.ts',
    `import type { X } from '../../helpers/errors.ts';`,
    ':1 imports helpers/errors.ts',
  ],
  ['specs/vip/a.spec.ts', `\nimport { spawn } from 'node:child_process';`, ':2 imports node:child_process'],
  ['specs/vip/a.spec.ts', `import { execa } from 'execa';`, ':1 imports npm:execa'],
  ['specs/vip/a.spec.ts', `import { test } from '@playwright/test';`, ':1 imports npm:@playwright/test'],
  ['specs/vip/a.spec.ts', `await new Promise((r) => setTimeout(r, 1000));`, ':1 uses setTimeout'],
  ['specs/vip/a.spec.ts', `const started = performance.now();`, ':1 uses performance.now'],
  ['helpers/swarm/a.ts', `const id = Math.random();`, ':1 uses Math.random'],
  [
    'helpers/transcript/a.ts',
    `import { quote } from '../observe/shell.ts';`,
    ':1 imports helpers/observe/shell.ts',
  ],
  ['helpers/bundle/a.ts', `import { Cache } from '../lab/cache.ts';`, ':1 imports helpers/lab/cache.ts'],
  ['fixtures/test.ts', `import '../specs/vip/a.spec.ts';`, ':1 imports specs/vip/a.spec.ts'],
  ['fixtures/test.ts', `import { x } from '../reports/x.ts';`, ':1 imports reports/x.ts'],
  [
    'helpers/lab/vm.ts',
    `import {\n  a,\n  b,\n} from '../../fixtures/test.ts';`,
    ':1 imports fixtures/test.ts',
  ],
  ['helpers/lab/vm.ts', `const x = await import('../swarm/node.ts');`, ':1 imports helpers/swarm/node.ts'],
  ['helpers/verdict/a.ts', `export * from '../../reports/a.ts';`, ':1 imports reports/a.ts'],
  ['helpers/observe/parse/ip.ts', `import { z } from 'zod';`, ':1 imports npm:zod'],
  [
    'helpers/observe/parse/ip.test.ts',
    `import { x } from '../shell.ts';`,
    ':1 imports helpers/observe/shell.ts',
  ],
  [
    'helpers/judge/a.ts',
    `import type { Rule } from '../observe/parse/ip.ts';`,
    ':1 imports helpers/observe/parse/ip.ts',
  ],
  [
    'helpers/walk/follow.ts',
    `import { Swarm } from '../swarm/swarm.ts';`,
    ':1 imports helpers/swarm/swarm.ts',
  ],
  ['helpers/swarm/a.ts', `import { Lab } from '../lab/lab.ts';`, ':1 imports helpers/lab/lab.ts'],
  ['helpers/swarm/a.ts', `import { type Lab } from '../lab/lab.ts';`, ':1 imports helpers/lab/lab.ts'],
  ['reports/a.ts', `import { x } from '../helpers/lab/vm.ts';`, ':1 imports helpers/lab/vm.ts'],
  [
    'helpers/swarm/a.ts',
    `import { FAULTS } from '../fault/library.ts';`,
    ':1 imports helpers/fault/library.ts',
  ],
  [
    'helpers/fault/a.ts',
    `import { uniform } from '../judge/uniform.ts';`,
    ':1 imports helpers/judge/uniform.ts',
  ],
  ['cli/lab.ts', `import { voting } from '../fixtures/stacks.ts';`, ':1 imports fixtures/stacks.ts'],
  ['helpers/compare/a.ts', `import fs from 'node:fs';`, ':1 imports node:fs'],
  ['helpers/bisect/search.ts', `import { x } from './suite.ts';`, ':1 imports helpers/bisect/suite.ts'],
];
for (const [file, text, found] of BREACHES) {
  test(`reported: ${file}: ${text.trim()}`, () => {
    const list = violations([{ path: file, text }]);
    assert.ok(
      list.length > 0 && list.every((v) => v.startsWith(`${file}${found}: `)),
      list.join('\n') || 'nothing reported',
    );
  });
}

const ALLOWED: [file: string, text: string][] = [
  ['specs/vip/a.spec.ts', `import { clause, test } from '../../fixtures/test.ts';`],
  ['specs/vip/a.spec.ts', `// no setTimeout here\nsay("import x from 'execa'");`],
  ['specs/vip/a.spec.ts', `const started = now();\n// performance.now() would not be in the transcript`],
  ['fixtures/test.ts', `import { x } from '../helpers/swarm/node.ts';`],
  ['helpers/lab/vm.ts', `import { execa } from 'execa';`],
  ['helpers/observe/parse/ip.test.ts', `import fc from 'fast-check';\nimport { ip } from './ip.ts';`],
  ['helpers/judge/a.ts', `import { jStat } from 'jstat';`],
  ['helpers/swarm/a.ts', `import type { Lab } from '../lab/lab.ts';`],
  ['cli/lab.ts', `import { size } from './words.ts';\nimport { Cache } from '../helpers/lab/cache.ts';`],
  ['reports/a.ts', `import { loadCatalogue } from '../helpers/catalogue/catalogue.ts';`],
];
for (const [file, text] of ALLOWED) {
  test(`allowed: ${file}: ${text}`, () => assert.deepEqual(violations([{ path: file, text }]), []));
}

test('every rule reports one of the examples', () => {
  const files = BREACHES.map(([file, text]) => ({ path: file, text }));
  const silent = RULES.filter((rule) => violations(files, [rule]).length === 0);
  assert.deepEqual(silent, []);
});

test('this repository keeps every rule', () => {
  const files = readSources('{specs,fixtures,helpers,reports,cli}/**/*.ts').filter(
    (f) => !f.path.startsWith('reports/out/'),
  );
  assert.ok(
    files.some((file) => file.path === 'helpers/architecture.test.ts'),
    'the files of the repository were not found',
  );
  assert.deepEqual(violations(files), []);
});
