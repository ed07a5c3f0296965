import { dawnInstances } from './dawnInstances.ts';
import { missingDriver } from './missingDriver.ts';
import type { WebgpuOptions } from './options.ts';
import { isNode } from './runtime.ts';

/**
 * GpuEntry — where adapters come from. `dawn` is there if it is npm `webgpu`: the names (GPUBufferUsage …) that browsers have
 * as globals and Node lacks.
 */
export type GpuEntry = { readonly gpu: GPU; readonly source: string; readonly dawn?: { readonly globals: object } };

/** Missing — why there is no GPU here, in plain words. */
export type Missing = { readonly missing: string };

type Dawn = { create(flags: string[]): GPU; readonly globals: object };

/** gpuEntry — `navigator.gpu` where the platform has one, else Dawn through npm `webgpu`. */
export async function gpuEntry(options: WebgpuOptions): Promise<GpuEntry | Missing> {
  const own = platformGpu();
  if (own === undefined) return isNode() ? dawnEntry(options) : { missing: missingInBrowser() };
  if (options.toggles === undefined) return { gpu: own, source: 'navigator.gpu' };
  return { missing: 'toggles exist only where Dawn is started from Node (npm webgpu), and this platform brings its own navigator.gpu; leave them out' };
}

/** The platform's own `navigator.gpu`, not the one that `openDevice` installs in Node. */
function platformGpu(): GPU | undefined {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu as GPU | undefined;
  return gpu === undefined || [...dawnInstances.values()].includes(gpu) ? undefined : gpu;
}

function missingInBrowser(): string {
  return globalThis.isSecureContext === false
    ? 'WebGPU needs a secure page: serve it over https or from localhost'
    : 'this browser offers no navigator.gpu; WebGPU is in Chrome and Edge from 113 on, Safari from 26 on, and recent Firefox';
}

async function dawnEntry({ adapter, toggles = {} }: WebgpuOptions): Promise<GpuEntry | Missing> {
  const withoutDriver = missingDriver();
  if (withoutDriver !== undefined) return { missing: withoutDriver }; // Dawn would find that out too, and print about it
  const dawn = await importDawn();
  if ('missing' in dawn) return dawn;
  const flags = [
    ...(adapter === undefined ? [] : [`adapter=${adapter}`]),
    ...(toggles.enable?.length ? [`enable-dawn-features=${toggles.enable.join(',')}`] : []),
    ...(toggles.disable?.length ? [`disable-dawn-features=${toggles.disable.join(',')}`] : []),
  ];
  const key = flags.join(' ');
  const gpu = dawnInstances.get(key) ?? dawn.create(flags);
  dawnInstances.set(key, gpu);
  return { gpu, source: 'npm webgpu (Dawn)', dawn };
}

async function importDawn(): Promise<Dawn | Missing> {
  const name = ['web', 'gpu'].join(''); // not a literal, so that bundlers for browsers do not look for Node's optional package
  try {
    return await import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Dawn;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND' && /package 'webgpu'/.test(message)) return { missing: 'npm package webgpu is not installed; add it with: npm install webgpu' };
    const [firstLine] = message.split('\n');
    return { missing: `npm webgpu does not load on ${process.platform}-${process.arch} (it has builds for linux x64 and arm64 with glibc, macOS and Windows): ${firstLine}` };
  }
}
