import { once } from 'node:events';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeClientFolder } from '../helpers/engine/certificates.ts';
import { INTERRUPTED } from '../helpers/errors.ts';
import { Cache, lock } from '../helpers/lab/cache.ts';
import { cellsOfRun } from '../helpers/lab/cells.ts';
import { PORTS } from '../helpers/lab/machine.ts';
import { type Settings, shapeOfLab } from '../helpers/lab/settings.ts';
import { PoolClient, startPool } from '../helpers/pool/client.ts';
import { keptPool, runsInUse } from '../helpers/pool/runs.ts';
import { until } from '../helpers/waiting.ts';
import { findKeptLab, type KeptLab } from './kept.ts';
import { nameOf } from './prune.ts';
import { ago, columns, count, size } from './words.ts';

/** Ours: a pool ends its guests by killing them; a second is much. */
const ENDS_MS = 20_000;

/** `lab up`: starts a lab that outlives this process, or says that there is one. */
export async function up(settings: Settings): Promise<void> {
  const cache = await new Cache(settings.LAB_CACHE).open();
  await using _starting = await lock(path.join(cache.root, 'locks', 'lab-up'), 'exclusive', () =>
    progress('waiting for another `lab up`'),
  );
  const known = await findKeptLab(settings);
  if (known) {
    console.log('A lab is kept already; nothing was started.');
    tellOtherSettings(known, settings);
    await show(known);
    return;
  }
  const { client, process: daemon } = await startPool({ outlive: true });
  const [{ name } = { name: '' }] = cellsOfRun();
  const abandon = async () => {
    const gone = once(daemon, 'exit');
    daemon.ref();
    await client.call('stop', {}).catch(() => daemon.kill());
    await gone;
  };
  const interrupted = () => void abandon().then(() => process.exit(INTERRUPTED));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const { cell } = await client.call('prepare', { cell: name, slots: 1 }, progress);
    await client.call('lease', { cell: name, slot: 0, stack: null, topology: {} }, progress);
    const engines = [...new Set(Object.values(cell.engines ?? {}))].join(', ');
    console.log(
      `The lab is up: kernel ${cell.kernel}, engine ${engines}. End it with \`npx swarmproof lab down\`.`,
    );
  } catch (error) {
    await abandon();
    throw error;
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
  const kept = await findKeptLab(settings);
  if (kept) await show(kept);
}

/** `lab down`: ends the kept lab and waits until it is gone. */
export async function down(settings: Settings): Promise<void> {
  const pool = await keptPool(settings.LAB_CACHE);
  if (!pool) {
    console.log('No lab is kept.');
    return;
  }
  // A pool that does not answer any more still ends in order when it is told to.
  await new PoolClient(pool.socket).call('stop', {}).catch(() => process.kill(pool.pid, 'SIGTERM'));
  await until(
    `the kept lab (process ${pool.pid}) to end`,
    async () => (isAlive(pool.pid) ? undefined : true),
    {
      withinMs: ENDS_MS,
      everyMs: 100,
    },
  );
  console.log('The kept lab is gone.');
}

/** `lab status`: the kept lab, runs in progress, and what the cache holds. */
export async function status(settings: Settings): Promise<void> {
  const kept = await findKeptLab(settings);
  if (kept) {
    tellOtherSettings(kept, settings);
    await show(kept);
  } else {
    console.log('No lab is kept.');
  }
  const others = (await runsInUse(settings.LAB_CACHE)) - (kept ? 1 : 0);
  if (others > 0) console.log(`${count(others, 'run')} in progress.`);
  const artifacts = await new Cache(settings.LAB_CACHE).list();
  const sum = artifacts.reduce((total, { bytes }) => total + bytes, 0);
  console.log(`\nThe cache ${settings.LAB_CACHE} holds ${size(sum)}:`);
  const rows = artifacts.map((one) => [nameOf(one), one.key, size(one.bytes), ago(one.usedAt)]);
  for (const line of columns([['what', 'key', 'size', 'last used'], ...rows])) console.log(`  ${line}`);
}

/** Says how to reach the kept lab, and writes the certificates that doing so takes. */
async function show({ pool, status: { provider, dead }, lab }: KeptLab): Promise<void> {
  if (dead) console.log(`The kept lab is dead: ${dead}\nEnd it with \`npx swarmproof lab down\`.`);
  if (!lab) {
    console.log(`The kept lab (process ${pool.pid}) is not ready yet, or lent to nobody.`);
    return;
  }
  // In the folder of the lab's run: it goes when the lab goes.
  const certificates = path.join(path.dirname(pool.socket), 'client');
  await writeClientFolder(certificates, lab.swarm.tls);
  const guest = lab.pid === null ? '' : `, guest ${lab.pid}`;
  console.log(`Kept lab: pool ${pool.pid}${guest}, at ${lab.host}`);
  const nodes = lab.swarm.nodes.map(({ name, role, address, engine, enginePort }) => [
    name,
    role,
    address,
    `engine ${engine}`,
    `tcp://${lab.host}:${enginePort}`,
  ]);
  const outside = ['outsider', 'not a member', lab.swarm.outsider.address, '', ''];
  const below = ['vm', 'the lab itself', '', '', `tcp://${lab.host}:${PORTS.engine}`];
  const rows = [...nodes, outside, ...(provider === 'vm' ? [below] : [])];
  for (const line of columns(rows)) console.log(`  ${line}`);
  const [first] = lab.swarm.nodes;
  if (first) {
    console.log('To use a Docker client with it:');
    console.log(`  export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${certificates}`);
    console.log(`  export DOCKER_HOST=tcp://${lab.host}:${first.enginePort}`);
  }
}

function tellOtherSettings({ pool }: KeptLab, settings: Settings): void {
  const kept = pool.settings as Record<string, unknown>;
  const others = Object.entries(shapeOfLab(settings)).filter(
    ([name, value]) => !isDeepStrictEqual(kept[name], value),
  );
  if (others.length === 0) return;
  const names = others.map(([name]) => name).join(', ');
  console.log(
    `It was started with other settings than yours (${names}): runs of yours start a lab of their own.`,
  );
}

function progress(line: string): void {
  console.error(line);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
