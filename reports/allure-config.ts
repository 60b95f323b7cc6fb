import { join } from 'node:path';
import type { Config } from '@allurereport/plugin-api';
import { severities } from '../helpers/verdict/allure.ts';
import type { Cell, ClauseVerdict, Verdict, VerdictFile } from '../helpers/verdict/model.ts';
import { rememberedCell } from './history.ts';

/** Where Allure reads and writes. */
export interface AllurePlaces {
  outDir: string;
  /** Folder that is kept from run to run. */
  historyDir: string;
}

/** The label allure-playwright sets from the Playwright project, which is the cell. */
export const CELL_LABEL = 'parentSuite';

/** Allure's own memory of earlier runs, beside ours. */
export const ALLURE_HISTORY = 'allure.jsonl';

/** Runs that Allure remembers: it embeds them all in its page. Ours keeps more, in less room. */
const REMEMBERED_RUNS = 3;

/** How Allure is to show this verdict. */
export function allureConfig({ cells, clauses }: VerdictFile, { outDir, historyDir }: AllurePlaces): Config {
  const several = cells.length > 1;
  return {
    name: 'swarmproof: Docker Swarm service networking',
    output: join(outDir, 'allure'),
    historyPath: join(historyDir, ALLURE_HISTORY),
    historyLimit: REMEMBERED_RUNS,
    hideLabels: ['thread', CELL_LABEL],
    // Shown without choosing an environment first. One cell needs none: it would only stand there twice.
    variables: several ? {} : variables(cells[0]),
    environments: Object.fromEntries(
      several ? cells.map((cell, index) => [`cell-${index + 1}`, environment(cell)]) : [],
    ),
    resolutions: {
      // Allure writes this file; without a place of its own it would lie in the working directory.
      knownIssuesPath: join(outDir, 'known-issues.json'),
      rules: clauses
        .filter(({ verdict }) => verdict === 'expected-fail')
        .map((clause) => acceptance(clause, several ? cells : [])),
    },
    categories: [
      category('The product does not do what is documented', 'fail', true),
      category('Inconclusive: the lab or the suite broke', 'inconclusive', true),
      category('Known defects', 'expected-fail'),
      category('Skipped', 'skipped'),
    ],
    qualityGate: qualityGate(),
    plugins: {
      awesome: {
        options: {
          singleFile: true,
          groupBy: ['epic'],
          defaultSortBy: 'name,asc',
          reportLanguage: 'en',
          charts: [
            { type: 'statusDynamics', title: 'Results, run by run' },
            { type: 'statusTransitions', title: 'What changed from run to run' },
            { type: 'durations', title: 'How long clauses took', groupBy: 'none' },
            { type: 'durationDynamics', title: 'Durations, run by run' },
            {
              type: 'testResultSeverities',
              title: 'Results by level',
              levels: Object.values(severities),
              statuses: ['passed', 'failed', 'broken', 'skipped'],
              includeUnset: false,
            },
            ...(several
              ? [{ type: 'problemsDistribution', title: 'Problems by cell', by: 'environment' }]
              : []),
          ],
        },
      },
    },
  };
}

function category(name: string, verdict: Verdict, expand = false) {
  return { name, matchers: { labels: { verdict: `^${verdict}$` } }, expand };
}

/**
 * Allure's gate: what did not hold of the promises fails it, what did not hold of the details is a warning. Known
 * defects count in neither. It decides nothing: the exit status of a run is the reporter's.
 */
function qualityGate(): NonNullable<Config['qualityGate']> {
  const failed = (status: string) => status === 'failed' || status === 'broken';
  const isDetail = ({ labels }: { labels: readonly { name: string; value?: string }[] }) =>
    labels.some(({ name, value }) => name === 'severity' && value === severities.detail);
  return {
    rules: [
      { promises: 0, filter: (result) => !isDetail(result) },
      { details: 0, filter: isDetail },
    ],
    use: [
      {
        rule: 'promises',
        message: ({ actual }) => `${actual} of level must or should failed or could not be judged`,
        successMessage: () => 'Every clause of level must or should that was judged holds',
        async validate({ trs }) {
          const bad = trs.filter(({ status }) => failed(status));
          return { success: bad.length === 0, actual: bad.length, testResults: bad.map(({ id }) => id) };
        },
      },
      {
        rule: 'details',
        message: () => '',
        successMessage: ({ actual }) =>
          Number(actual) > 0
            ? `Warning: ${actual} of level detail failed or could not be judged; tools may rely on them`
            : 'Every detail that was judged is as documented',
        async validate({ trs }) {
          const bad = trs.filter(({ status }) => failed(status));
          return { success: true, actual: bad.length, testResults: bad.map(({ id }) => id) };
        },
      },
    ],
  };
}

/** What a reader wants to know about a cell, leaving out what is not known. */
function variables(cell: Cell | undefined): Record<string, string> {
  if (cell === undefined) return {};
  const { kernel, engines, nodes, qemu, accelerator, error, settings } = cell;
  const node = ({ name, role, address }: NonNullable<Cell['nodes']>[number]) => [
    `Node ${name}`,
    [role, address, engines?.[name]].filter(Boolean).join(', '),
  ];
  const facts: Record<string, string | null | undefined> = {
    Kernel: kernel,
    Engine: rememberedCell(cell).engines.join(', '),
    QEMU: qemu,
    Accelerator: accelerator,
    ...Object.fromEntries((nodes ?? []).map(node)),
    ...settings,
    Error: error,
  };
  return Object.fromEntries(Object.entries(facts).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

/** Allure takes no slash in the name of an environment, no more than 64 characters, and has one named `default`. */
function environmentName(cell: Cell): string {
  const engines = rememberedCell(cell).engines.join(' and ') || 'unknown';
  const name = `${cell.name}: ${cell.kernel ?? 'unknown'}, ${engines}`.replaceAll('/', '-');
  return name.length > 64 ? `${name.slice(0, 63)}…` : name;
}

function environment(cell: Cell) {
  return {
    name: environmentName(cell),
    variables: variables(cell),
    matcher: ({ labels }: { labels: readonly { name: string; value?: string }[] }) =>
      labels.some(({ name, value }) => name === CELL_LABEL && value === cell.name),
  };
}

/** Takes a known defect, in the cell where it was met, out of Allure's count of failures. */
function acceptance({ cell, reason }: ClauseVerdict, several: readonly Cell[]) {
  const text = reason ?? '';
  const messageRegexp = `^known defect: ${text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}`;
  const met = several.find(({ name }) => name === cell);
  return {
    resolution: 'accepted' as const,
    messageRegexp,
    ...(met === undefined ? {} : { environment: [environmentName(met)] }),
    comment: text,
  };
}
