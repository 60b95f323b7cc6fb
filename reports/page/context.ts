import type { ClauseVerdict, VerdictFile } from '../../helpers/verdict/model.ts';
import type { Catalogue, ReportedClause } from '../compose.ts';
import type { History, Past } from '../history.ts';

/** What the page is made of. */
export interface PageFacts {
  verdict: VerdictFile;
  catalogue: Catalogue;
  /** Earlier runs. */
  history: History;
  /** Further files to link, relative to the page, by name. */
  files: Readonly<Record<string, string>>;
}

/** A clause as the page shows it: what it promises, and its verdict in each cell. */
export interface Row {
  id: string;
  title: string;
  area: string;
  level: ClauseVerdict['level'];
  facts: ReportedClause | undefined;
  provenBy: string[];
  verdicts: ClauseVerdict[];
}

/** All that the parts of the page are made of. */
export interface Context extends PageFacts {
  rows: Row[];
  past: ReadonlyMap<ClauseVerdict, Past>;
  /** Runs before this one. */
  earlier: History;
}

/** The clauses by id, each with its verdicts. */
export function rowsOf(clauses: readonly ClauseVerdict[], catalogue: Catalogue): Row[] {
  return [...Map.groupBy(clauses, ({ id }) => id)]
    .map(([id, verdicts]) => {
      const [{ title, area, level }] = verdicts as [ClauseVerdict];
      const provenBy = [...new Set(verdicts.flatMap((one) => one.provenBy))];
      return { id, title, area, level, facts: catalogue.get(id), provenBy, verdicts };
    })
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
