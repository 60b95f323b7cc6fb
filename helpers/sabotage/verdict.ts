import type { Proven } from './record.ts';
import type { Sabotage } from './sabotages.ts';

/** How a clause was judged under a fault, as far as it matters here. */
interface Judged {
  outcome: 'pass' | 'fail' | 'inconclusive';
  reason: string;
  message?: string;
  node?: string | undefined;
}

/** What data say of damage that shows wherever traffic happens to meet it. */
const ANYWHERE = 'any';

/**
 * Whether a clause was killed: only a fail of the product that says what was expected kills, and one that names a node must name the
 * damaged one. A clause that broke, timed out or could not be judged has shown nothing.
 *
 * @param damaged nodes on which the damage was done; empty when it is in the Swarm as a whole.
 */
export function verdictOn(
  { red, at }: Pick<Sabotage, 'red' | 'at'>,
  { outcome, reason, message = '', node }: Judged,
  damaged: readonly string[],
): Pick<Proven, 'outcome' | 'said'> {
  if (reason === 'excused') return { outcome: 'excused', said: message };
  if (outcome === 'pass') return { outcome: 'survived', said: 'the clause passed' };
  if (outcome !== 'fail')
    return { outcome: 'survived', said: `red for no reason of the product (${reason}): ${message}` };
  if (!red.test(message))
    return { outcome: 'survived', said: `red for another reason than /${red.source}/: ${message}` };
  if (at === ANYWHERE) return { outcome: 'killed', said: message };
  const right = at === undefined ? damaged : [at];
  const elsewhere = node !== undefined && right.length > 0 && !right.includes(node);
  if (elsewhere || (at !== undefined && node === undefined && !message.includes(at)))
    return {
      outcome: 'survived',
      said: `it names ${node ?? 'no node'} in place of ${right.join(' or ')}: ${message}`,
    };
  return { outcome: 'killed', said: message };
}
