import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { driverHint } from '../src/missingDriver.ts'; // by path: it is no part of the public surface

const PACKAGE = `${import.meta.dirname}/..`;

/** What `webgpu(options).probe()` says in a fresh process with other environment variables. */
async function probeIn(environment: NodeJS.ProcessEnv, before = ''): Promise<{ available: boolean; reason: string }> {
  const program = `${before}
    const { webgpu } = await import('@evenkeel/webgpu-kernels');
    process.stdout.write(JSON.stringify(await webgpu().probe()));`;
  const { stdout } = await promisify(execFile)(
    process.execPath, ['--conditions=@evenkeel/source', '--input-type=module', '--eval', program],
    { cwd: PACKAGE, env: { PATH: process.env['PATH'], ...environment } },
  );
  return JSON.parse(stdout) as { available: boolean; reason: string };
}

/** A machine whose files and directories are all absent. */
const WITHOUT_FILES = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const exists = fs.existsSync;
  fs.existsSync = (path) => !String(path).endsWith('icd.d') && exists(path);
  syncBuiltinESMExports();`;

describe.runIf(process.platform === 'linux')('webgpu().probe() on Linux', () => {
  it('names the variable that points to no driver', async () => {
    const probe = await probeIn({ VK_DRIVER_FILES: '/nowhere/driver.json' });
    expect(probe).toMatchObject({ available: false, reason: 'VK_DRIVER_FILES names no Vulkan driver that exists: /nowhere/driver.json' });
  });

  it('says how to get a driver where none is installed', async () => {
    const probe = await probeIn({}, WITHOUT_FILES);
    expect(probe.available).toBe(false);
    expect(probe.reason).toMatch(/^no Vulkan driver is installed; /);
    expect(probe.reason).toContain(driverHint());
  });

  it('says that npm webgpu is missing, and how to add it', async () => {
    const hideWebgpu = `
      import { registerHooks } from 'node:module';
      registerHooks({ resolve: (name, context, next) => {
        if (name !== 'webgpu') return next(name, context);
        throw Object.assign(new Error("Cannot find package 'webgpu' imported from here"), { code: 'ERR_MODULE_NOT_FOUND' });
      } });`;
    const probe = await probeIn({ VK_DRIVER_FILES: import.meta.filename }, hideWebgpu);
    expect(probe).toMatchObject({ available: false, reason: 'npm package webgpu is not installed; add it with: npm install webgpu' });
  });

  it('says that npm webgpu does not load, and what it is built for', async () => {
    const breakWebgpu = `
      import { registerHooks } from 'node:module';
      registerHooks({ load: (url, context, next) => {
        if (!url.includes('/webgpu/index.js')) return next(url, context);
        throw new Error('/lib/libc.so.6: version GLIBC_2.99 not found');
      } });`;
    const probe = await probeIn({ VK_DRIVER_FILES: import.meta.filename }, breakWebgpu);
    expect(probe.available).toBe(false);
    expect(probe.reason).toContain(`npm webgpu does not load on ${process.platform}-${process.arch}`);
    expect(probe.reason).toContain('GLIBC_2.99 not found');
  });
});

describe('driverHint(osRelease)', () => {
  it('sends Debian 12 to backports, because Dawn refuses its own Mesa', () => {
    const hint = driverHint('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n');
    expect(hint).toContain('bookworm-backports');
    expect(hint).toContain('apt-get install -y -t bookworm-backports mesa-vulkan-drivers libvulkan1');
  });

  it('gives the plain command where the distribution\'s own Mesa is recent enough', () => {
    for (const release of ['ID=debian\nVERSION_ID="13"', 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"']) {
      expect(driverHint(release)).toBe('install one as root: apt-get update && apt-get install -y mesa-vulkan-drivers libvulkan1');
    }
  });

  it('tells Ubuntu before 24.04 that its Mesa is too old, and others what to look for', () => {
    expect(driverHint('ID=ubuntu\nVERSION_ID="22.04"')).toContain('Ubuntu has from 24.04 on');
    expect(driverHint('ID=fedora\nVERSION_ID=42')).toContain("your GPU's Vulkan driver, or Mesa 24 or newer");
    expect(driverHint('')).toContain('Mesa 24 or newer');
  });
});
