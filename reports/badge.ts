import { makeBadge } from 'badge-maker';
import type { VerdictFile } from '../helpers/verdict/model.ts';
import type { Answer } from './advice.ts';

const colours: Record<Answer, string> = {
  no: 'critical',
  unknown: 'blueviolet',
  care: 'yellow',
  partly: 'informational',
  yes: 'success',
};

/** A small picture of the verdict for a README or a CI page: an SVG that needs nothing else. */
export function badge({ totals, clauses }: Pick<VerdictFile, 'totals' | 'clauses'>, answer: Answer): string {
  const { fail, inconclusive } = totals;
  const parts = [
    ...(fail > 0 ? [`${fail} fail`] : []),
    ...(inconclusive > 0 ? [`${inconclusive} inconclusive`] : []),
  ];
  const message =
    clauses.length === 0
      ? 'nothing judged'
      : parts.length > 0
        ? `${parts.join(', ')} of ${clauses.length}`
        : `${totals.pass} pass`;
  return makeBadge({ label: 'swarmproof', message, color: colours[answer] });
}
