/**
 * Measures what a user waits for, on a warm cache, and prints one line a figure: `npx node scripts/benchmark.ts [runs]`.
 *
 * Figures are for reading, not for passing: machines differ, so compare ratios within one run.
 */
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { OUT_DIR } from '../helpers/verdict/channel.ts';
import { verdictSchema } from '../helpers/verdict/model.ts';

const runs = Number(process.argv[2] ?? 3);

/** One run of the suite: seconds from the command to the first verdict, to its end, and what the time was spent on. */
async function measure(...args: string[]): Promise<Record<string, number>> {
  const started = Date.now();
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, guestMemory());
  }, 1000);
  await execa('npx', ['playwright', 'test', ...args], { reject: false });
  clearInterval(watch);
  const wall = Date.now() - started;
  const { clauses, time, totals } = verdictSchema.parse(
    JSON.parse(fs.readFileSync(path.join(OUT_DIR, 'verdict.json'), 'utf8')),
  );
  const { total, ...spent } = time;
  const ends = clauses.flatMap(({ startedAt, durationMs }) =>
    startedAt === null ? [] : [Date.parse(startedAt) + durationMs],
  );
  const first = Math.min(...ends) - started;
  return { clauses: clauses.length, passed: totals.pass, first, wall, ...spent, run: total, peakMiB: peak };
}

/** Resident memory of the largest process named like QEMU's guest (MiB), from /proc. */
function guestMemory(): number {
  const sizes = fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        if (!fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('-name\0swarmproof')) return 0;
        return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
      } catch {
        return 0; // It ended while we looked.
      }
    });
  return Math.round(Math.max(0, ...sizes));
}

for (const [name, args] of Object.entries({ first: ['--grep', '@first'], core: ['--grep', '@core'] })) {
  for (let run = 1; run <= runs; run += 1) {
    const figures = Object.entries(await measure(...args)).map(([key, value]) =>
      ['clauses', 'passed', 'peakMiB'].includes(key)
        ? `${key} ${value}`
        : `${key} ${(value / 1000).toFixed(1)} s`,
    );
    console.log(`${name} ${run}/${runs}: ${figures.join(', ')}`);
  }
}
