/** Why no Vulkan driver can be found on this Linux machine, and how to get one. Node only: reads environment and files. */
import { isNode } from './runtime.ts';

type Files = typeof import('node:fs');

/** A list of driver manifests in one of these variables replaces the search. */
const DRIVER_LISTS = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const;

/** missingDriver — the reason why Dawn cannot find a Vulkan driver here, or undefined if there may be one. */
export function missingDriver(): string | undefined {
  if (!isNode() || process.platform !== 'linux') return undefined; // elsewhere drivers come with the system
  const files = process.getBuiltinModule('node:fs');
  const variable = DRIVER_LISTS.find((name) => process.env[name]);
  const listed = variable === undefined ? [] : (process.env[variable] as string).split(':').filter(Boolean);
  if (listed.some(files.existsSync)) return undefined;
  if (variable !== undefined) return `${variable} names no Vulkan driver that exists: ${listed.join(', ')}`;
  return manifests(files).length > 0 ? undefined : `no Vulkan driver is installed; ${driverHint()}`;
}

/** refusedDriver — why Dawn found no adapter although a driver may be there, and how to get a better one. */
export function refusedDriver(): string {
  if (!isNode()) return 'the browser has no adapter to offer: its GPU is blocked, disabled or absent (see chrome://gpu or about:support)';
  if (process.platform !== 'linux') return 'Dawn found no GPU that it can use; update the graphics driver';
  const listed = DRIVER_LISTS.map((name) => process.env[name]).find(Boolean)?.split(':');
  const installed = (listed ?? manifests(process.getBuiltinModule('node:fs'))).map((path) => path.split('/').pop());
  return `Dawn found no GPU that it can use with the installed Vulkan drivers (${installed.join(', ')}); ${driverHint()}`;
}

/** driverHint — the command that installs Mesa's drivers, software rasteriser included, on this distribution. */
export function driverHint(osRelease = readOsRelease()): string {
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  const version = Number.parseFloat(field('VERSION_ID'));
  const family = [field('ID'), ...field('ID_LIKE').split(' ')];
  const install = 'apt-get install -y mesa-vulkan-drivers libvulkan1';
  if (field('ID') === 'debian' && version === 12) {
    return 'Debian 12 has Mesa 22.3, which Dawn refuses, so take it from backports, as root: '
      + "echo 'deb http://deb.debian.org/debian bookworm-backports main' > /etc/apt/sources.list.d/backports.list && apt-get update && "
      + 'apt-get install -y -t bookworm-backports mesa-vulkan-drivers libvulkan1';
  }
  if (field('ID') === 'ubuntu' && version < 24) return `Dawn needs Mesa 24 or newer, which Ubuntu has from 24.04 on: ${install}`;
  if (family.includes('debian') || family.includes('ubuntu')) return `install one as root: apt-get update && ${install}`;
  return "install your GPU's Vulkan driver, or Mesa 24 or newer (its lavapipe needs no GPU)";
}

function readOsRelease(): string {
  try {
    return process.getBuiltinModule('node:fs').readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}

/** The driver manifests in the directories that the Vulkan loader searches. */
function manifests(files: Files): string[] {
  const { XDG_CONFIG_HOME, XDG_CONFIG_DIRS, XDG_DATA_HOME, XDG_DATA_DIRS, HOME = '', VK_ADD_DRIVER_FILES = '' } = process.env;
  const roots = [
    XDG_CONFIG_HOME ?? `${HOME}/.config`, ...(XDG_CONFIG_DIRS ?? '/etc/xdg').split(':'), '/usr/local/etc', '/etc',
    XDG_DATA_HOME ?? `${HOME}/.local/share`, ...(XDG_DATA_DIRS ?? '/usr/local/share:/usr/share').split(':'),
    '/usr/local/share', '/usr/share', '/run/opengl-driver/share',
  ];
  const found = roots.flatMap((root) => {
    const folder = `${root}/vulkan/icd.d`;
    return files.existsSync(folder) ? files.readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => `${folder}/${name}`) : [];
  });
  return [...new Set([...found, ...VK_ADD_DRIVER_FILES.split(':').filter((path) => files.existsSync(path))])];
}
