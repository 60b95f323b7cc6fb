import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { HELD, parseKernelList } from './ipvs.ts';

test("the kernel's own list: marks, schedulers, servers and weights, whatever else is there", () => {
  // net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show: numbers are hexadecimal, weights are not.
  const list = [
    'IP Virtual Server version 1.2.1 (size=4096)',
    'Prot LocalAddress:Port Scheduler Flags',
    '  -> RemoteAddress:Port Forward Weight ActiveConn InActConn',
    'TCP  0A000001:0050 wlc ',
    '  -> 0A000009:0050      Masq    1      0          0         ',
    'FWM  00000101 rr ',
    '  -> 0A000105:0000      Masq    1      0          0         ',
    '  -> 0A0001FE:0000      Masq    10     0          3         ',
    'FWM  00000102 sh  ',
  ].join('\n');
  assert.deepEqual(parseKernelList(list), [
    {
      mark: 257,
      scheduler: 'rr',
      servers: [
        { address: '10.0.1.5', weight: 1 },
        { address: '10.0.1.254', weight: 10 },
      ],
    },
    { mark: 258, scheduler: 'sh', servers: [] },
  ]);
});

/*
 * The loops are tried on an ipvsadm of our own, which prints a table from a file and writes down what else it is asked for.
 */

let folder: string;
before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ipvs-'));
  const tool = `#!/bin/sh\n[ "$1" = -Sn ] && exec cat ${folder}/table\necho "$*" >> ${folder}/asked\n`;
  await fs.writeFile(path.join(folder, 'ipvsadm'), tool, { mode: 0o755 });
});
after(() => fs.rm(folder, { recursive: true }));

/** One round of a loop over a table: its status, and what it asked ipvsadm for. */
async function round(what: keyof typeof HELD, table: string[]): Promise<{ did: boolean; asked: string[] }> {
  await fs.writeFile(path.join(folder, 'table'), table.map((line) => `${line}\n`).join(''));
  await fs.rm(path.join(folder, 'asked'), { force: true });
  const env = { TMPDIR: folder, PATH: `${folder}:${process.env.PATH}` };
  const { exitCode } = await execa('sh', ['-c', HELD[what].script], { env, reject: false });
  const asked = await fs.readFile(path.join(folder, 'asked'), 'utf8').catch(() => '');
  return { did: exitCode === 0, asked: asked.split('\n').filter(Boolean) };
}

const TABLE = [
  '-A -f 256 -s rr',
  '-a -f 256 -r 10.0.0.5:0 -m -w 1',
  '-A -f 257 -s rr',
  '-a -f 257 -r 10.0.1.5:0 -m -w 1',
  '-a -f 257 -r 10.0.1.6:0 -m -w 1',
];

test('schedulers are changed, and then there is nothing more to do', async () => {
  assert.deepEqual(await round('scheduler', TABLE), {
    did: true,
    asked: ['-E -f 256 -s sh', '-E -f 257 -s sh'],
  });
  const changed = TABLE.map((line) => line.replace('-s rr', '-s sh'));
  assert.deepEqual(await round('scheduler', changed), { did: false, asked: [] });
  assert.deepEqual(await round('scheduler', []), { did: false, asked: [] });
});

test('one server of several gets nothing, the last one is left alone', async () => {
  assert.deepEqual(await round('weight-0', TABLE), { did: true, asked: ['-e -f 257 -r 10.0.1.5:0 -m -w 0'] });
  const changed = TABLE.map((line) => (line.includes('10.0.1.5') ? line.replace('-w 1', '-w 0') : line));
  assert.deepEqual(await round('weight-0', changed), { did: false, asked: [] });
});

test('a weight of 0 becomes 1 again', async () => {
  const draining = TABLE.map((line) => (line.includes('10.0.1.6') ? line.replace('-w 1', '-w 0') : line));
  assert.deepEqual(await round('weight-back', draining), {
    did: true,
    asked: ['-e -f 257 -r 10.0.1.6:0 -m -w 1'],
  });
  assert.deepEqual(await round('weight-back', TABLE), { did: false, asked: [] });
});

test('a server that was there comes back, also after it had weight 0', async () => {
  assert.deepEqual(await round('ghosts', TABLE), { did: false, asked: [] });
  const draining = TABLE.map((line) => (line.includes('10.0.1.6') ? line.replace('-w 1', '-w 0') : line));
  await round('ghosts', draining);
  const without = TABLE.filter((line) => !line.includes('10.0.1.6'));
  assert.deepEqual(await round('ghosts', without), { did: true, asked: ['-a -f 257 -r 10.0.1.6:0 -m -w 1'] });
});
