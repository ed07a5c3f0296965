import { GPU_BACKEND, UnsupportedError, type DeviceProbe, type DeviceProvider } from '@evenkeel/core-tensor';
import { describeAdapter, requestAdapter } from './adapter.ts';
import { openDevice } from './openDevice.ts';
import { checkOptions, optionsKey, type WebgpuOptions } from './options.ts';

/**
 * webgpu — the device provider for GPUs: `navigator.gpu` in browsers, npm `webgpu` (Dawn) in Node.
 *
 * Probing finds an adapter and says what it is; an adapter that computes on the CPU (llvmpipe, SwiftShader) has the kind
 * `software`, so `useDevice('auto', …)` passes over it. Creating opens a device with every feature and limit of the adapter
 * that computing can use, and registers it as tfjs' backend `evenkeel-webgpu`; a working one made with the same options is kept.
 *
 * @returns  a provider for `useDevice`. Nothing is loaded or opened before `probe` or `create` is called.
 * @throws ConfigError  if an option is not valid. `create` throws UnsupportedError where there is no GPU, saying what is
 *                      missing and how to get it, and ConfigError while tensors live on another device.
 */
export function webgpu(options: WebgpuOptions = {}): DeviceProvider {
  checkOptions(options);
  return Object.freeze({
    name: 'webgpu',
    backendName: GPU_BACKEND,
    probe: () => probe(options),
    create: () => create(options),
  });
}

async function probe(options: WebgpuOptions): Promise<DeviceProbe> {
  const found = await requestAdapter(options);
  if ('missing' in found) return { available: false, kind: 'accelerator', reason: found.missing };
  const { name, isSoftware, details } = describeAdapter(found);
  const reason = isSoftware ? `${name} through ${found.source} emulates a GPU on the CPU` : `${name} through ${found.source}`;
  return { available: true, kind: isSoftware ? 'software' : 'accelerator', reason, details };
}

async function create(options: WebgpuOptions): Promise<void> {
  const found = await requestAdapter(options);
  if ('missing' in found) throw new UnsupportedError(`webgpu: a GPU adapter must be available here, got none: ${found.missing}`);
  await openDevice(found, optionsKey(options), options);
}
