/** Faults that the engine would heal, or whose victim comes later: done again and again by a loop beside the node. */
import { quote } from '../observe/shell.ts';
import type { Node } from '../swarm/node.ts';
import { currentPace, until } from '../waiting.ts';
import type { Place } from './place.ts';

/** Ours: a round of a loop takes some tenths of a second under emulation; the rest is for a loaded host. */
const FIRST_ROUND = { withinMs: 20_000, everyMs: 100 };

/** A loop that goes on until its Swarm is gone. */
export interface Hold {
  /** Rounds so far in which the script said by its status 0 that it did something. */
  deeds: () => Promise<number>;
}

let serial = 0;

/**
 * Runs a script over and over beside a node and waits for the end of its first round.
 *
 * @param script ends with status 0 when it did damage in this round, with another when there was none to do.
 */
export async function hold(node: Node, script: string, everySeconds = 0.2): Promise<Hold> {
  serial += 1;
  const folder = `/tmp/fault-${process.pid}-${serial}`;
  const loop = [
    `cd ${folder} || exit 1`,
    `while :; do if ( ${script}\n) >/dev/null 2>&1; then echo >> deeds; fi; touch round; sleep ${everySeconds}; done`,
  ].join('\n');
  await node.toolbox.must(`mkdir -p ${folder}; setsid sh -c ${quote(loop)} >${folder}/log 2>&1 </dev/null &`);
  const begun = async () =>
    (await node.toolbox.run(`[ -e ${folder}/round ]`)).status === 0 ? true : undefined;
  await until(`a fault's first round beside ${node.name}`, begun, {
    ...FIRST_ROUND,
    withinMs: FIRST_ROUND.withinMs * currentPace(),
  });
  return {
    deeds: async () => Number(await node.toolbox.must(`cat ${folder}/deeds 2>/dev/null | wc -l`)),
  };
}

/** The same inside a network namespace. */
export async function holdIn(place: Place, script: string): Promise<Hold> {
  return hold(place.node, place.command(script));
}
