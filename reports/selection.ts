import type { Suite } from '@playwright/test/reporter';
import { execa } from 'execa';
import { z } from 'zod';

/** One clause as selected in this run: a test whose title begins with a clause id, in the project of its cell. */
export interface Selected {
  /** The runner's id of the test. */
  test: string;
  cell: string;
  clause: string;
  title: string;
}

const clauseTitle = /^([A-Z]+-\d{3})\b\s*(.*)$/;

/** The clause id with which the title of a test begins, if it does. */
export function clauseIn(testTitle: string): string | undefined {
  return clauseTitle.exec(testTitle)?.[1];
}

/** The clauses among the tests of a run; set-up projects and other tests that name no clause are left out. */
export function selectedIn(suite: Suite): Selected[] {
  return suite.allTests().flatMap((test) => selected(test.title, test.id, test.parent.project()?.name ?? ''));
}

function selected(testTitle: string, test: string, cell: string): Selected[] {
  const [, clause, title] = clauseTitle.exec(testTitle) ?? [];
  return clause === undefined ? [] : [{ test, cell, clause, title: title || clause }];
}

const listedSuite = z.object({
  specs: z.array(
    z.object({ title: z.string(), id: z.string(), tests: z.array(z.object({ projectName: z.string() })) }),
  ),
  get suites() {
    return z.array(listedSuite).optional();
  },
});
type ListedSuite = z.infer<typeof listedSuite>;

/**
 * The clauses this run would have judged, asked from a second runner with the same arguments. Needed when global
 * set-up died: the runner loads no spec after that, and reporters see an empty run.
 */
export async function selectedByCommand(): Promise<Selected[]> {
  const { stdout } = await execa(process.execPath, [...process.argv.slice(1), '--list', '--reporter=json'], {
    env: { PLAYWRIGHT_JSON_OUTPUT_FILE: undefined, PLAYWRIGHT_JSON_OUTPUT_NAME: undefined },
  });
  const { suites } = z.object({ suites: z.array(listedSuite) }).parse(JSON.parse(stdout));
  return suites.flatMap(selectedInList);
}

function selectedInList({ specs, suites }: ListedSuite): Selected[] {
  const own = specs.flatMap(({ title, id, tests }) =>
    tests.flatMap(({ projectName }) => selected(title, id, projectName)),
  );
  return [...own, ...(suites ?? []).flatMap(selectedInList)];
}
