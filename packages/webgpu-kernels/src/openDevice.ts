import { ConfigError, GPU_BACKEND, UnsupportedError } from '@evenkeel/core-tensor';
import { engine, findBackendFactory, registerBackend, removeBackend, type KernelBackend } from '@tensorflow/tfjs-core';
import { adapterName, describeAdapter, type FoundAdapter } from './adapter.ts';
import { watchDevice } from './deviceWatch.ts';
import type { GpuEntry } from './gpuEntry.ts';
import { registerKernels } from './kernels/index.ts';
import { usefulFeatures, usefulLimits } from './requirements.ts';
import type { WebgpuOptions } from './options.ts';
import { adapterKey, loadWinners, saveWinners } from './tuningStore.ts';

/** What `openDevice` registered last, under which options. */
let opened: { readonly key: string; readonly isUsable: () => boolean } | undefined;

/**
 * openDevice — opens a device on the adapter and registers it as tfjs' backend `evenkeel-webgpu`.
 *
 * One that was opened with the same `key` and still works is kept. Tuning is `wanted`, or `auto` on hardware and `off` on software.
 *
 * @throws ConfigError       while tensors live on another device of ours, which would be lost.
 * @throws UnsupportedError  if the adapter gives no device, or cannot compute in the precision asked for.
 */
export async function openDevice(found: FoundAdapter, key: string, { tuning: wanted, precision = 'f32' }: WebgpuOptions = {}): Promise<void> {
  if (opened?.key === key && opened.isUsable()) return;
  checkUnused();
  const { adapter } = found;
  if (precision === 'f16' && !adapter.features.has('shader-f16')) {
    throw new UnsupportedError(`webgpu: precision f16 must be used on an adapter with the feature shader-f16, got ${adapterName(adapter)} without it`);
  }
  const { isSoftware } = describeAdapter(found);
  const tuning = wanted ?? (isSoftware ? 'off' : 'auto');
  const kept = adapterKey(adapter.info);
  const remembered = { adapter: kept, winners: tuning === 'auto' ? await loadWinners(kept) : {} };
  const device = await requestDevice(adapter);
  const watch = watchDevice(device);
  // Loaded before navigator.gpu is there, tfjs registers no backend of its own in Node; in browsers it does, beside ours.
  const { EvenkeelWebgpuBackend } = await import('./backend.ts');
  installGlobals(found);
  registerKernels();
  if (findBackendFactory(GPU_BACKEND)) removeBackend(GPU_BACKEND);
  const factory = (): KernelBackend => new EvenkeelWebgpuBackend({
    device, info: adapter.info, watch, isSoftware, precision, tuning: { tuning, remembered, save: (winners) => saveWinners(kept, winners) },
  });
  registerBackend(GPU_BACKEND, factory, 3); // tfjs' own priority for WebGPU
  opened = { key, isUsable: () => watch.failure() === undefined && findBackendFactory(GPU_BACKEND) === factory };
}

function checkUnused(): void {
  const backend = engine().registry[GPU_BACKEND];
  if (backend === undefined || backend.numDataIds() === 0 || ('isWorking' in backend && !backend.isWorking)) return;
  throw new ConfigError(
    `webgpu: the tfjs backend ${GPU_BACKEND} must hold no tensors when another device is opened, got ${backend.numDataIds()}; dispose them, or open the device first`);
}

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({ label: 'evenkeel', requiredFeatures: usefulFeatures(adapter), requiredLimits: usefulLimits(adapter) });
  } catch (error) {
    throw new UnsupportedError(
      `webgpu: ${adapterName(adapter)} must give a device, got ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** In Node: the names that tfjs' backend reads as globals, and `navigator.gpu`, without which it refuses to start. */
function installGlobals({ gpu, dawn }: GpuEntry): void {
  if (dawn === undefined) return;
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
}
