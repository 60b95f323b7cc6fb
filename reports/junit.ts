import type { ClauseVerdict, VerdictFile } from '../helpers/verdict/model.ts';

/**
 * The verdict as JUnit XML: fail is a failure, inconclusive an error, skipped and expected-fail are skipped. (The
 * runner's own JUnit reporter knows only whether a test went as expected, so it would call a test that judged nothing
 * a success.) Cells are suites; a run that broke before any clause holds one case that says why.
 */
export function junitXml({ run, cells, clauses, time }: VerdictFile): string {
  const suites = cells.map(({ name }) =>
    suite(
      name,
      clauses.filter(({ cell }) => cell === name),
    ),
  );
  // A shard that no clause fell to is complete, and empty.
  const broken = clauses.length === 0 && run.exitReason !== 'completed';
  if (broken) suites.push(suite('run', [], [runCase(run)]));
  const counts = tally(clauses, broken ? 1 : 0);
  const root = element('testsuites', { name: 'swarmproof', ...counts, time: seconds(time.total) }, suites);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root}\n`;
}

function suite(name: string, clauses: ClauseVerdict[], others: string[] = []): string {
  const time = clauses.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const attributes = { name, ...tally(clauses, others.length), time: seconds(time) };
  return element('testsuite', attributes, [...clauses.map(testCase), ...others]);
}

function tally(clauses: ClauseVerdict[], broken: number): Record<string, string> {
  const count = (...verdicts: string[]) => clauses.filter(({ verdict }) => verdicts.includes(verdict)).length;
  return {
    tests: String(clauses.length + broken),
    failures: String(count('fail')),
    errors: String(count('inconclusive') + broken),
    skipped: String(count('skipped', 'expected-fail')),
  };
}

function testCase(clause: ClauseVerdict): string {
  const { id, title, cell, area, durationMs, evidence } = clause;
  const attributes = { name: `${id} ${title}`, classname: `${cell}.${area}`, time: seconds(durationMs) };
  const files = evidence.map(({ path }) => `[[ATTACHMENT|${path}]]`).join('\n');
  return element('testcase', attributes, [
    ...outcome(clause),
    ...(files ? [element('system-out', {}, [text(files)])] : []),
  ]);
}

const outcomes = {
  fail: 'failure',
  inconclusive: 'error',
  skipped: 'skipped',
  'expected-fail': 'skipped',
} as const;

function outcome({ verdict, reason, message, node }: ClauseVerdict): string[] {
  if (verdict === 'pass') return [];
  const where = node === null ? '' : ` (${node})`;
  const known = verdict === 'expected-fail' ? 'expected to fail: ' : '';
  return [
    element(outcomes[verdict], { message: `${known}${reason ?? verdict}${where}`, type: verdict }, [
      text(message ?? ''),
    ]),
  ];
}

function runCase({ exitReason, message }: VerdictFile['run']): string {
  const error = element('error', { message: exitReason, type: 'inconclusive' }, [text(message ?? '')]);
  return element('testcase', { name: 'no clause was judged', classname: 'run', time: '0' }, [error]);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

function element(name: string, attributes: Record<string, string>, children: string[]): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${text(value)}"`);
  return `<${name}${list.join('')}>${children.join('')}</${name}>`;
}

/** Escaped for XML 1.0, which has no way at all to write most control characters: those become the replacement sign. */
function text(value: string): string {
  return value
    .replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}')
    .replaceAll(/[&<>"\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
