import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContextOptions, expect, type Page } from '@playwright/test';
import { loadCatalogue } from '../../helpers/catalogue/catalogue.ts';
import { type ClauseVerdict, verdictSchema } from '../../helpers/verdict/model.ts';
import { startChromium } from '../testing/chromium.ts';
import { exampleRuns } from '../testing/example-runs.ts';
import { conformancePage } from './page.ts';

const runs = exampleRuns();
const folder = mkdtempSync(join(tmpdir(), 'swarmproof-page-'));
let browser: Browser;

before(async () => {
  const catalogue = loadCatalogue();
  const files = { 'verdict.json': 'verdict.json' };
  for (const [name, { verdict, history }] of Object.entries(runs)) {
    verdictSchema.parse(verdict);
    // To look at every element of a page of all clauses takes long, and tells no more than a few of each kind do.
    const clauses = verdict.clauses
      .filter(({ id, verdict }) => verdict !== 'pass' || id.endsWith('5'))
      .slice(0, 16);
    for (const [file, shown] of [
      [name, verdict],
      [`${name}-short`, { ...verdict, clauses }],
    ] as const)
      writeFileSync(
        join(folder, `${file}.html`),
        conformancePage({ verdict: shown, catalogue, history, files }),
      );
  }
  browser = await startChromium();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 800 };

/** Opens the page of one of the runs, and fails on anything it loads or complains of. */
async function opened(name: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  const page = await context.newPage();
  const strange: string[] = [];
  page.on('request', (request) => request.resourceType() === 'document' || strange.push(request.url()));
  page.on('console', (message) => strange.push(message.text()));
  page.on('pageerror', (error) => strange.push(String(error)));
  await page.goto(`file://${folder}/${name}.html`);
  return {
    page,
    async [Symbol.asyncDispose]() {
      await context.close();
      assert.deepEqual(strange, []);
    },
  };
}

const rows = (page: Page) => page.locator('.matrix tr[id]:visible');
const fits = (page: Page) => page.evaluate('document.documentElement.scrollWidth <= innerWidth');

test('cells that all have one answer, and it is not yes, are told by it', () => {
  const { verdict, history } = runs.matrix;
  const catalogue = loadCatalogue();
  const [some] = verdict.clauses.filter(({ verdict: one }) => one === 'pass').map(({ id }) => id);
  const clauses = verdict.clauses.filter(({ id, verdict: one }) => id === some && one === 'pass');
  const cells = verdict.cells.filter(({ name }) => clauses.some(({ cell }) => cell === name));
  assert.ok(cells.length > 1);
  const page = conformancePage({ verdict: { ...verdict, cells, clauses }, catalogue, history, files: {} });
  assert.match(page, /<h1>Nothing failed, but only part was judged<\/h1>/);
});

test('where nothing failed in most cells, and only part was judged, the answer is what the worst say, and they come first', () => {
  const { verdict, history } = runs.matrix;
  const failed = verdict.clauses.find(({ verdict: one }) => one === 'fail') as ClauseVerdict;
  const others = verdict.clauses.filter(
    ({ id, cell, verdict: one }) => cell !== failed.cell && one === 'pass' && id !== failed.id,
  );
  const [{ id }] = others as [ClauseVerdict];
  const clauses = [...others.filter((one) => one.id === id), failed];
  const cells = verdict.cells.filter(({ name }) => clauses.some(({ cell }) => cell === name));
  assert.ok(cells.length > 1);
  const page = conformancePage({
    verdict: { ...verdict, cells, clauses },
    catalogue: loadCatalogue(),
    history,
    files: {},
  });
  assert.match(page, new RegExp(`<h1>1 of ${cells.length} cells: do not upgrade</h1>`));
  assert.ok(page.indexOf(`<h2>${failed.cell}: `) > 0);
  for (const { name } of cells)
    assert.ok(page.indexOf(`<h2>${failed.cell}: `) <= page.indexOf(`<h2>${name}: `));
});

const answers = {
  clean: 'Nothing stands against the upgrade',
  failures: 'Do not upgrade',
  died: 'No answer yet',
  never: 'No answer yet',
  matrix: '2 of 3 cells can be upgraded to',
} as const;
for (const name of Object.keys(answers) as (keyof typeof answers)[]) {
  describe(`the page of a run: ${name}`, () => {
    test('begins with the answer, opens at once, and is light', async () => {
      await using open = await opened(name);
      assert.equal(await open.page.locator('h1').textContent(), answers[name]);
      // The best of three: other tests run beside this one.
      const times: number[] = [];
      for (let go = 1; go <= 3; go += 1) {
        await open.page.reload();
        times.push(
          Number(await open.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")),
        );
      }
      assert.ok(Math.min(...times) < 2000, `it took ${times} ms`);
      for (const viewport of [NARROW, WIDE]) {
        await open.page.setViewportSize(viewport);
        assert.ok(await fits(open.page), `it is wider than a window of ${viewport.width} px`);
      }
      const bytes = statSync(join(folder, `${name}.html`)).size;
      assert.ok(bytes < 5_000_000, `it has ${bytes} bytes`);
    });

    // Each in all four would take minutes; so every colour and width occurs, and every kind of page but the emptiest.
    const looks = { clean: [2], failures: [0, 3], died: [1], never: [], matrix: [1] }[name];
    for (const look of looks) {
      const colorScheme = look % 2 === 0 ? 'light' : 'dark';
      const viewport = look < 2 ? WIDE : NARROW;
      test(`can be read by all, ${colorScheme} and ${viewport.width} px wide`, async () => {
        await using open = await opened(`${name}-short`, { colorScheme, viewport });
        const { violations } = await new AxeBuilder({ page: open.page }).analyze();
        const told = violations.map(
          ({ id, help, nodes }) =>
            `${id}: ${help}: ${nodes
              .slice(0, 3)
              .map(({ html }) => html.slice(0, 200))
              .join(' ')}`,
        );
        assert.deepEqual(told, []);
      });
    }
  });
}

test('the first screen names what failed, on which node and since when', async () => {
  await using open = await opened('failures');
  const lines = await open.page.locator('.glance li').allTextContents();
  assert.deepEqual(
    lines.map((line) => line.replaceAll(/\s+/g, ' ')),
    [
      '✗ MESH-002 Connections entering one node go round all tasks must on m1, since 2026-11-21',
      '✗ VIP-015 New connections from one node go round the tasks strictly should on w1, new in this run',
      '✗ VIP-010 Packets to a virtual IP get the firewall mark of their service detail on w2, new in this run',
      '? DNS-003 could not be judged: the shell on w2 ended',
    ],
  );
  assert.ok(await open.page.getByText('VIP-010').first().isVisible());
  await open.page.getByRole('link', { name: 'MESH-002' }).first().click();
  const card = open.page.locator('#MESH-002');
  assert.match(
    (await card.textContent()) ?? '',
    /It fails since the run of 2026-11-21 10:00 UTC; before that it was pass, last on 2026-11-20 10:00 UTC \(kernel 6\.12\.107 then, 7\.3\.4 now\)\./,
  );
  assert.match((await card.textContent()) ?? '', /KERNEL=debian:forky npx playwright test --grep "MESH-002"/);
});

test('evidence is linked, a picture first', async () => {
  await using open = await opened('failures');
  const links = open.page.locator('#VIP-015 .files a');
  assert.deepEqual(await links.evaluateAll((all) => all.map((link) => link.getAttribute('href'))), [
    'evidence/vm/VIP-015/walk.svg',
    'evidence/vm/VIP-015/answers.json',
    'evidence/vm/VIP-015/log-of-m1.txt',
  ]);
});

test('what was measured stands in words, a column for each cell', async () => {
  await using open = await opened('matrix');
  const table = await open.page
    .locator('#measured tr')
    .evaluateAll((found) =>
      found.map((row) => [...row.children].map((cell) => cell.textContent.replaceAll(/\s+/g, ' ').trim())),
    );
  const names = runs.matrix.verdict.cells.map(({ name }) => name);
  assert.deepEqual(table.slice(0, 2), [
    ['Measured', 'By', ...names],
    [
      'From the death of a task until every node told the same again.',
      'LIFE-001',
      ...names.map(() => '20.7 s'),
    ],
  ]);
  assert.deepEqual(
    table.slice(2).map(([, by, value]) => [by, value]),
    [
      ['NODE-003', '1.4 % of 279 samples'],
      ['VIP-018', '1.33 of 15 samples'],
      ['DNS-003', '4.3 ms of 40 samples'],
      ['DNS-003', '7.8 ms of 40 samples'],
    ],
  );
});

test('what a clause saw is text, whatever it looks like', async () => {
  await using open = await opened('failures');
  assert.match(
    (await open.page.locator('#VIP-015 pre').first().textContent()) ?? '',
    /<b>nothing<\/b><script>/,
  );
  assert.equal(await open.page.title(), 'Do not upgrade: swarmproof');
});

test('filters work by keyboard, are told to screen readers, and stand in the address', async () => {
  await using open = await opened('failures');
  const { page } = open;
  const all = await rows(page).count();
  assert.equal(all, runs.failures.verdict.clauses.length);
  await page.locator('#filters [value=fail]').focus();
  await page.keyboard.press('Space');
  await expect(rows(page)).toHaveCount(3);
  assert.deepEqual(await rows(page).evaluateAll((found) => found.map(({ id }) => id)), [
    'clause-MESH-002',
    'clause-VIP-010',
    'clause-VIP-015',
  ]);
  await expect(page.getByRole('status')).toHaveText(`3 of ${all} clauses shown.`);
  await page.locator('#filters [value=vip]').press('Space');
  await expect(rows(page)).toHaveCount(2);
  await page.reload();
  await expect(rows(page), 'the choice is lost with a reload').toHaveCount(2);
  await page.getByRole('button', { name: 'Show all' }).press('Enter');
  await expect(rows(page)).toHaveCount(all);
  await page.getByRole('searchbox').fill('packets firewall mark');
  await expect(rows(page)).toHaveCount(1);
  assert.deepEqual(await rows(page).evaluateAll((found) => found.map(({ id }) => id)), ['clause-VIP-010']);
});

test('a link to a clause opens it, even one that is filtered out', async () => {
  await using open = await opened('died');
  const { page } = open;
  await page.locator('.counts a.pass').click();
  await page.getByRole('link', { name: 'VIP-001', exact: true }).first().click();
  const row = page.locator('#clause-VIP-001');
  await expect(row.getByText('exactly one virtual IP')).toBeVisible();
  const source = row.getByRole('link', { name: /networking\.md/ });
  assert.match((await source.getAttribute('href')) ?? '', /^https:\/\/github\.com\/docker\/docs\/blob\//);
});

test('of several cells each has its answer and its column', async () => {
  await using open = await opened('matrix');
  assert.deepEqual(await open.page.locator('.cells h2').allTextContents(), [
    'forky: Do not upgrade',
    'trixie: Nothing stands against the upgrade',
    'mixed: Nothing stands against the upgrade',
  ]);
  assert.deepEqual(
    await open.page
      .locator('#clause-MESH-002 .chip')
      .evaluateAll((chips) => chips.filter((chip) => chip.closest('td')).map((chip) => chip.textContent)),
    ['✓ pass', '✗ fail', '✓ pass'],
  );
});

test('without scripts everything is there to read', async () => {
  await using open = await opened('failures', { javaScriptEnabled: false });
  assert.equal(await rows(open.page).count(), runs.failures.verdict.clauses.length);
  assert.ok(await open.page.locator('#filters').isHidden());
});
