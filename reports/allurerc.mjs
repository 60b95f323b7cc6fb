import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig } from 'allure';

const verdictPath = process.env.SWARMPROOF_VERDICT ?? join(import.meta.dirname, 'out', 'verdict.json');

/** @type {import('../helpers/verdict/model.ts').VerdictFile} */
const { cells, clauses } = JSON.parse(readFileSync(verdictPath, 'utf8'));

/** What a reader wants to know about a cell, leaving out what is not known. */
function variables({ kernel, engines, nodes, qemu, accelerator, error }) {
  const node = ({ name, role, address }) => [
    `Node ${name}`,
    [role, address, engines?.[name]].filter(Boolean).join(', '),
  ];
  const facts = {
    Kernel: kernel,
    Engine: engines && [...new Set(Object.values(engines))].join(', '),
    QEMU: qemu,
    Accelerator: accelerator,
    ...Object.fromEntries((nodes ?? []).map(node)),
    Error: error,
  };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value));
}

/**
 * Allure does not take a slash in the name of an environment, and has one named `default` of its own.
 * One cell needs none: it would only stand there twice.
 */
const environmentName = (cell) => `cell ${cell.replaceAll('/', '-')}`;
const several = cells.length > 1;

/** allure-playwright writes the Playwright project, which is the cell, as the outermost suite. */
function environment(cell) {
  return {
    name: environmentName(cell.name),
    variables: variables(cell),
    matcher: ({ labels }) => labels.some(({ name, value }) => name === 'parentSuite' && value === cell.name),
  };
}

/** Takes a known defect, in the cell where it was met, out of Allure's count of failures. */
function acceptance({ cell, reason }) {
  const messageRegexp = `^known defect: ${reason.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}`;
  const where = several ? { environment: [environmentName(cell)] } : {};
  return { resolution: 'accepted', messageRegexp, ...where, comment: reason };
}

const verdict = (value) => ({ labels: { verdict: `^${value}$` } });

export default defineConfig({
  name: 'swarmproof: Docker Swarm service networking',
  hideLabels: ['host', 'thread', 'titlePath', 'package', 'language', 'framework', 'parentSuite', 'suite'],
  // Shown without choosing an environment first.
  variables: several ? {} : variables(cells[0] ?? {}),
  environments: Object.fromEntries(
    several ? cells.map((cell, index) => [`cell-${index + 1}`, environment(cell)]) : [],
  ),
  // Allure writes this file; without a place of its own it would lie in the working directory.
  resolutions: {
    knownIssuesPath: join(dirname(verdictPath), 'known-issues.json'),
    rules: clauses.filter((clause) => clause.verdict === 'expected-fail').map(acceptance),
  },
  categories: [
    { name: 'The product does not do what is documented', matchers: verdict('fail'), expand: true },
    { name: 'Inconclusive: the lab or the suite broke', matchers: verdict('inconclusive'), expand: true },
    { name: 'Known defects', matchers: verdict('expected-fail') },
    { name: 'Skipped', matchers: verdict('skipped') },
  ],
  plugins: {
    awesome: {
      options: { singleFile: true, groupBy: ['epic'], defaultSortBy: 'name,asc', reportLanguage: 'en' },
    },
  },
});
