import path from 'node:path';
import { type Browser, chromium } from '@playwright/test';
import { execa } from 'execa';
import { keyOf } from '../../helpers/key.ts';
import { Apt, unpack } from '../../helpers/lab/apt.ts';
import { Cache } from '../../helpers/lab/cache.ts';
import { archiveOf, readSettings } from '../../helpers/lab/settings.ts';

/** Debian 13, as for the lab's own tools. */
const SUITE = 'trixie';
const PACKAGES = ['chromium-headless-shell', 'fonts-dejavu-core', 'patchelf'];

/** Drivers of graphics cards, and what only maintainer scripts call: pages are painted without them. */
const UNUSED = /^(?:libllvm|libz3|mesa-|libgl1-mesa|libdrm-|debconf|xdg-utils|x11-utils|xkb-data)/;

const PROGRAM = 'usr/lib/chromium/chromium-headless-shell';
const LOADER = 'usr/lib64/ld-linux-x86-64.so.2';
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

/**
 * Starts a headless Chromium for tests. It comes from Debian packages, fetched, verified and unpacked once into the
 * lab's cache, so that nothing need be installed on the system.
 *
 * @throws UsageError when the packages cannot be had.
 */
export async function startChromium(): Promise<Browser> {
  const settings = readSettings();
  const cache = await new Cache(settings.LAB_CACHE).open();
  // The folder is part of the recipe because its name is written into the program.
  const recipe = { suite: SUITE, packages: PACKAGES, root: cache.root };
  const { folder } = cache.locate('browser', keyOf(recipe));
  await cache.once('browser', recipe, async (partial) => {
    const apt = await Apt.open(cache, SUITE, archiveOf(settings));
    await unpack(await apt.fetch(PACKAGES, (name) => !UNUSED.test(name)), partial);
    await setLoader(partial, path.join(folder, LOADER));
  });
  const libraries = path.join(folder, LIBRARIES);
  return chromium.launch({
    executablePath: path.join(folder, PROGRAM),
    // Without its own sandbox: that needs rights which not every user has, and the only pages are ours.
    chromiumSandbox: false,
    env: {
      LD_LIBRARY_PATH: [libraries, path.join(libraries, 'pulseaudio')].join(':'),
      FONTCONFIG_SYSROOT: folder,
    },
  });
}

/**
 * Has the program start through this loader. QEMU is started by naming the loader instead; Chromium starts further
 * processes by its own file name, which would then be the loader's.
 */
async function setLoader(root: string, loader: string): Promise<void> {
  const patchelf = [path.join(root, 'usr/bin/patchelf'), '--set-interpreter', loader];
  const own = [path.join(root, LOADER), '--library-path', path.join(root, LIBRARIES)] as const;
  const [file, ...args] = [...own, ...patchelf, path.join(root, PROGRAM)] as [string, ...string[]];
  await execa(file, args);
}
