import { z } from 'zod';
import { UsageError } from '../errors.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { dnsFaults } from './dns.ts';
import type { Damage, Fault } from './fault.ts';
import { hostFaults } from './host.ts';
import { ipvsFaults } from './ipvs.ts';
import { overlayFaults } from './overlay.ts';
import { requestFaults } from './requests.ts';
import { ruleFaults } from './rules.ts';

/** Every fault there is, by id. */
export const FAULTS: ReadonlyMap<string, Fault> = new Map(
  [...dnsFaults, ...ipvsFaults, ...ruleFaults, ...overlayFaults, ...hostFaults, ...requestFaults].map(
    (one) => [one.id, one],
  ),
);

/** A fault with its parameters, as data. */
export const woundSchema = z.looseObject({ fault: z.string() });
export type Wound = z.infer<typeof woundSchema>;

/** A fault that is ready to be done. */
export interface Readied {
  id: string;
  description: string;
  areas: readonly string[];
  inflict: (swarm: Swarm) => Promise<Damage>;
}

/** Finds the fault that data name and checks its parameters. @throws UsageError naming the fault and what is wrong. */
export function readied({ fault: id, ...given }: Wound): Readied {
  const known = FAULTS.get(id);
  if (!known) throw new UsageError(`there is no fault ${id}; there are ${[...FAULTS.keys()].join(', ')}`);
  const parsed = known.parameters.safeParse(given);
  if (!parsed.success) throw new UsageError(`fault ${id}: ${z.prettifyError(parsed.error)}`);
  return {
    id,
    description: known.describe(parsed.data),
    areas: known.areas,
    inflict: (swarm) => known.inflict(swarm, parsed.data),
  };
}
