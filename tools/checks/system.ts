/**
 * The programs outside npm that the tests use: a software Vulkan driver, so that WebGPU runs without a GPU, and Chromium.
 * On Debian and Ubuntu as root what is missing is installed; elsewhere its absence is a skip with the reason.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { command } from './command.ts';
import { merge, passed, skipped, type Outcome } from './outcome.ts';

type Need = {
  what: string;
  packages: readonly string[];
  /** A sentence saying what is there, or undefined if it must be installed. */
  found: () => Promise<string | undefined>;
  prepare?: () => Promise<void>;
};

const BACKPORTS = '/etc/apt/sources.list.d/evenkeel-backports.sources';
const OLDEST_MESA = 24; // Dawn refuses the software driver of older ones

const needs: readonly Need[] = [
  { what: 'software Vulkan driver', packages: ['mesa-vulkan-drivers', 'libvulkan1'], found: foundVulkan, prepare: addBackports },
  { what: 'Chromium', packages: ['chromium'], found: async () => chromiumPath() },
];

/** prepareSystem — installs what is missing where it may, and says what is there. */
export async function prepareSystem(): Promise<Outcome> {
  return merge(await needs.reduce<Promise<Outcome[]>>(async (before, need) => [...await before, await prepare(need)], Promise.resolve([])));
}

async function prepare({ what, packages, found, prepare: before }: Need): Promise<Outcome> {
  const present = await found();
  if (present !== undefined) return say(`${what}: ${present}`);
  const obstacle = installObstacle();
  if (obstacle !== undefined) return skipped(`${what} is missing and ${obstacle} (packages on Debian: ${packages.join(', ')})`);
  process.stdout.write(`  ${what}: installing ${packages.join(', ')} with apt-get …\n`);
  await apt('update');
  await before?.();
  const { code, output } = await apt('install', '--yes', '--no-install-recommends', ...packages);
  const installed = await found();
  if (installed !== undefined) return say(`${what}: ${installed}`);
  return skipped(`${what} could not be installed (apt-get ended with ${code}): ${output.trim().split('\n').slice(-3).join(' / ')}`);
}

function say(text: string): Outcome {
  process.stdout.write(`  ${text}\n`);
  return passed();
}

function installObstacle(): string | undefined {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID(_LIKE)?=.*(debian|ubuntu)/m.test(release)) return 'this is not Debian or Ubuntu';
  return process.getuid?.() === 0 ? undefined : 'only root can install it';
}

function apt(...args: string[]) {
  return command('apt-get', ['-q', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=120', ...args], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
}

async function foundVulkan(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'not needed here';
  if (lavapipePath() === undefined) return undefined;
  const { code, stdout } = await command('dpkg-query', ['--show', '--showformat=${Version}', 'mesa-vulkan-drivers']);
  if (code === 127) return `lavapipe, ${lavapipePath()}`; // not a Debian
  return code === 0 && parseInt(stdout) >= OLDEST_MESA ? `lavapipe of Mesa ${stdout.split('-')[0]}` : undefined;
}

/** lavapipePath — the description of Mesa's software driver for the Vulkan loader. */
export function lavapipePath(): string | undefined {
  return ['lvp_icd.json', 'lvp_icd.x86_64.json', 'lvp_icd.aarch64.json'].map((name) => `/usr/share/vulkan/icd.d/${name}`).find(existsSync);
}

/** swiftshaderPath — the description of the software driver that comes with Chromium, for the Vulkan loader. */
export function swiftshaderPath(): string | undefined {
  const folders = [...(process.env['CHROMIUM_PATH'] === undefined ? [] : [dirname(process.env['CHROMIUM_PATH'])]),
    '/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome', '/opt/chromium.org/chromium'];
  return process.platform === 'linux' ? folders.map((folder) => `${folder}/vk_swiftshader_icd.json`).find(existsSync) : undefined;
}

/** Debian bookworm has a Mesa that is too old; its backports have a newer one. */
async function addBackports(): Promise<void> {
  const { stdout } = await command('apt-cache', ['policy', 'mesa-vulkan-drivers']);
  const candidate = Number(/Candidate: (\d+)/.exec(stdout)?.[1] ?? 0);
  const release = readFileSync('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(release)?.[1];
  if (candidate >= OLDEST_MESA || codename === undefined || !/^ID=debian/m.test(release)) return;
  process.stdout.write(`  Mesa ${candidate} is too old for WebGPU: adding ${codename}-backports to the apt sources (${BACKPORTS})\n`);
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(BACKPORTS, `Types: deb\nURIs: http://deb.debian.org/debian\nSuites: ${codename}-backports\nComponents: main\nSigned-By: ${keyring}\n`);
  await apt('update');
  await apt('install', '--yes', '--no-install-recommends', '-t', `${codename}-backports`, 'mesa-vulkan-drivers', 'libvulkan1');
}

/** chromiumPath — a Chromium or Chrome of this machine; `CHROMIUM_PATH` overrides. */
export function chromiumPath(): string | undefined {
  const places = [
    '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ];
  return [process.env['CHROMIUM_PATH'], ...places].find((path) => path !== undefined && existsSync(path));
}
