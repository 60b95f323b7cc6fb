import jstat from 'jstat';

/** How one judgement of a version ended: the clause held, it did not, or nothing was found out. */
export type Outcome = 'holds' | 'broken' | 'open';

/** The next judgement the search needs. */
export interface Ask {
  version: string;
  /** What for, in words. */
  purpose: string;
  /** The most judgements this takes from here on, if none is open. */
  left: number;
}

/** What a search came to. */
export type Answer =
  | {
      outcome: 'found';
      lastGood: string;
      firstBad: string;
      /** Versions of which one is the first bad: just that one, unless some before it could not be judged. */
      candidates: string[];
      /** How often the clause broke at the newest version, and what its failure rate is at least, at the confidence asked for. */
      rate: { broken: number; judged: number; atLeast: number };
      /** So many judgements in a row that hold make a version good. */
      passes: number;
    }
  /** `none`: what was judged contradicts that the clause broke between the ends; `open`: a version that matters could not be judged. */
  | { outcome: 'none' | 'open'; why: string };

/** What is searched. */
export interface Search {
  /** The oldest first; all different, at least two. */
  versions: readonly string[];
  /** Chance that the answer is right, if the clause breaks by itself at no good version, and at every bad one at the same rate. */
  confidence: number;
}

/** Ours: a clause that breaks more rarely at the newest version is not searched for: it would take hundreds of judgements. */
export const LEAST_RATE = 0.2;

/**
 * Ours: failures waited for at the newest version. With more of them the failure rate is known better, and the other versions take fewer
 * judgements; for a clause that always breaks, ten make the sum the least.
 */
const FAILURES = 10;

/** Ours: a version whose judgement stays open so often in a row is given up. */
const MOST_OPEN = 3;

/**
 * Searches the first bad version by halves, where a bad version breaks only sometimes. One failure makes a version bad; it is
 * good after so many judgements that hold that a bad one would hardly have kept still. Written as a generator, so that a search
 * that was interrupted goes on when it is fed what it was told before.
 *
 * The chance of a wrong answer, `1 - confidence`, is shared: a quarter for the failure rate, half for all versions that may be
 * taken for good, the rest for giving up at the newest version too early.
 */
export function* bisect({ versions, confidence }: Search): Generator<Ask, Answer, Outcome> {
  const risk = 1 - confidence;
  const at = (index: number) => versions[index] as string;
  const newest = versions.length - 1;
  const seen = yield* failuresAt(at(newest), risk);
  if ('outcome' in seen) return seen;
  const atLeast = lowestRate(seen, risk / 4);
  // Each version is taken for good at most once, and the first bad one is judged once more.
  const passes = passesFor(atLeast, risk / 2 / (versions.length + 1));
  const judge = (index: number, purpose: string) => verdictOn(at(index), passes, purpose);

  const oldest = yield* judge(0, 'whether the oldest version is good');
  if (oldest === 'open') return unjudged(at(0));
  if (oldest === 'broken')
    return {
      outcome: 'none',
      why: `it breaks at the oldest version, ${at(0)}, too: begin with an older one`,
    };

  const good = new Set([0]);
  const skipped = new Set<number>();
  let bad = newest;
  for (;;) {
    let last = Math.max(...[...good].filter((index) => index < bad));
    for (;;) {
      const next = middle(last, bad, skipped);
      if (next === undefined) break;
      const verdict = yield* judge(next, `first bad version is one of ${bad - last}`);
      if (verdict === 'broken') bad = next;
      else if (verdict === 'open') skipped.add(next);
      else {
        good.add(next);
        last = next;
      }
    }
    const again = yield* judge(last, 'last good version again');
    if (again === 'open') return unjudged(at(last));
    if (again === 'broken') {
      // It had kept still by chance: one failure outweighs any number of judgements that hold.
      if (last === 0)
        return {
          outcome: 'none',
          why: `it broke at the oldest version, ${at(0)}, in the end: begin with an older one`,
        };
      good.delete(last);
      bad = last;
      continue;
    }
    const once = yield* judge(bad, 'first bad version again');
    if (once === 'open') return unjudged(at(bad));
    if (once === 'holds')
      return {
        outcome: 'none',
        why: `${at(bad)} broke, and then held ${passes} times in a row: something else than the version decides`,
      };
    const candidates = versions.slice(last + 1, bad + 1);
    const rate = { ...seen, atLeast };
    return { outcome: 'found', lastGood: at(last), firstBad: at(bad), candidates, rate, passes };
  }
}

/** Judges the newest version until the clause has broken often enough to know its failure rate. */
function* failuresAt(
  version: string,
  risk: number,
): Generator<Ask, Answer | { broken: number; judged: number }, Outcome> {
  const patience = passesFor(LEAST_RATE, risk / 10);
  // Three times as many as the least rate takes on average: it is hardly ever that unlucky.
  const most = (3 * FAILURES) / LEAST_RATE;
  let [broken, judged, open] = [0, 0, 0];
  while (broken < FAILURES) {
    const left =
      broken === 0
        ? patience - judged
        : Math.ceil((FAILURES - broken) / Math.max(broken / judged, LEAST_RATE));
    const outcome = yield { version, purpose: 'how often it breaks at the newest version', left };
    if (outcome === 'open') {
      open += 1;
      if (open >= MOST_OPEN) return unjudged(version);
      continue;
    }
    open = 0;
    judged += 1;
    if (outcome === 'broken') broken += 1;
    if ((broken === 0 && judged >= patience) || (judged >= most && broken < FAILURES))
      return {
        outcome: 'none',
        why: `it broke ${broken} times in ${judged} at the newest version, ${version}: too seldom to search for (the least rate is ${LEAST_RATE * 100} %)`,
      };
  }
  return { broken, judged };
}

/** Judges one version: broken at its first failure, good when it has held often enough, open when that cannot be found out. */
function* verdictOn(version: string, passes: number, purpose: string): Generator<Ask, Outcome, Outcome> {
  let [held, open] = [0, 0];
  while (held < passes) {
    const outcome = yield { version, purpose, left: passes - held };
    if (outcome === 'broken') return 'broken';
    if (outcome === 'holds') [held, open] = [held + 1, 0];
    else if (++open >= MOST_OPEN) return 'open';
  }
  return 'holds';
}

function unjudged(version: string): Answer {
  return {
    outcome: 'open',
    why: `${version} could not be judged ${MOST_OPEN} times in a row, and nothing can be said without it: see why and give the same command again, or choose other ends`,
  };
}

/** The version between two that halves what is left best and was not given up; undefined when there is none. */
function middle(last: number, bad: number, skipped: ReadonlySet<number>): number | undefined {
  const between = Array.from({ length: bad - last - 1 }, (_, index) => last + 1 + index);
  const distance = (index: number) => Math.abs(index - (last + bad) / 2);
  return between.filter((index) => !skipped.has(index)).sort((a, b) => distance(a) - distance(b) || a - b)[0];
}

/**
 * The least failure rate that agrees with what was seen, at this risk of being wrong: Clopper and Pearson's lower bound. It is
 * exact here, too, where not the number of judgements but that of failures was fixed beforehand.
 */
export function lowestRate({ broken, judged }: { broken: number; judged: number }, risk: number): number {
  return broken === 0 ? 0 : jstat.beta.inv(risk, broken, judged - broken + 1);
}

/** The number of judgements that a version with this failure rate survives by chance with at most this risk. */
export function passesFor(rate: number, risk: number): number {
  return Math.max(1, Math.ceil(Math.log(risk) / Math.log(1 - rate)));
}
