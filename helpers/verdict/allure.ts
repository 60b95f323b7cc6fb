import type { ClauseData } from '../catalogue/catalogue.ts';
import { linkTo } from '../catalogue/links.ts';

/** What Allure is told about a clause. */
export type AllureClause = Pick<ClauseData, 'area' | 'level' | 'statement' | 'sources'> &
  Partial<Pick<ClauseData, 'regressions'>>;

/** Allure's severity of a level. */
export const severities = { must: 'critical', should: 'normal', detail: 'minor' } as const;

const subjects: Record<string, string> = {
  dns: 'embedded DNS and round robin',
  enc: 'encrypted overlays',
  err: 'refused requests',
  iso: 'isolation of networks',
  life: 'updates and failures of tasks',
  mesh: 'the routing mesh',
  node: 'nodes that come and go',
  overlay: 'overlay networks',
  port: 'published ports',
  reg: 'failures that users met',
  scale: 'many services and tasks',
  sys: 'the Swarm and its nodes',
  vip: 'virtual IPs over IPVS',
};

/** The heading under which an Allure page lists the clauses of an area. */
export function areaHeading(area: string): string {
  const subject = subjects[area];
  return subject === undefined ? area.toUpperCase() : `${area.toUpperCase()}: ${subject}`;
}

/**
 * Playwright annotations that allure-playwright turns into labels and a description: area as epic, level as severity,
 * the documented statement with its sources as description. Annotations are known before a test starts, so a clause
 * whose set-up breaks is labelled too, which labels set at run time would not be.
 */
export function allureAnnotations({ area, level, statement, sources, regressions = [] }: AllureClause) {
  const list = sources.map((source) => {
    const link = linkTo(source);
    const ref = verbatim(source.ref);
    return `- ${verbatim(source.name)}: ${link === undefined ? ref : `[${ref}](${link})`}`;
  });
  const caught = regressions.map(({ id, title, links }) => `- [${id}](${links[0]}) ${verbatim(title)}`);
  const guard = caught.length > 0 ? ['', '**Failures it would catch**', '', ...caught] : [];
  return [
    { type: '@allure.label.epic', description: areaHeading(area) },
    { type: '@allure.label.severity', description: severities[level] },
    {
      type: 'description',
      description: [verbatim(statement), ...guard, '', '**Sources**', '', ...list].join('\n'),
    },
  ];
}

/** Text that Markdown shows as it is: names such as `tasks.<service>` would else be taken for mark-up. */
export function verbatim(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]]/g, '\\$&');
}
