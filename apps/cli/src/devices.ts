import { readdirSync } from 'node:fs';
import { engine, memory } from '@tensorflow/tfjs-core';
import { tfjsBackend, useDevice, type Device, type DeviceProvider } from '@evenkeel/core-tensor';
import { UsageError } from './errors.ts';
import { wrap } from './format.ts';

export type Precision = 'f32' | 'f16';
export type DeviceName = 'auto' | 'wasm' | 'webgpu' | 'cpu';

/** deviceProviders — every way this program can compute; what a name does not need is not loaded. */
export async function deviceProviders(name: DeviceName, { threads, thorough = false, fineTimestamps = false, precision = 'f32', tune }: ProviderOptions = {}): Promise<DeviceProvider[]> {
  const wants = (each: DeviceName): boolean => name === 'auto' || name === each;
  const providers: DeviceProvider[] = [];
  if (name === 'webgpu' || (name === 'auto' && (thorough || mayHaveGpu()))) {
    const { webgpu } = await import('@evenkeel/webgpu-kernels');
    providers.push(webgpu({ precision, ...(tune !== undefined && { tuning: tune ? 'auto' : 'off' }), ...(fineTimestamps && { toggles: { disable: ['timestamp_quantization'] } }) }));
  } else if (name === 'auto') providers.push(noGpu);
  if (wants('wasm')) {
    const { wasm, wasmFeatures } = await import('@evenkeel/wasm-kernels');
    providers.push(wasm({ ...(threads !== undefined && { threads }), ...(wasmFeatures().wideSimd && { simd: 'wide' }) }));
  }
  if (wants('cpu')) providers.push(await plainCpu());
  return providers;
}

export type ProviderOptions = {
  /** Threads of the wasm device. Default: all cores. */
  readonly threads?: number;
  /** Ask also devices that `auto` would not take. */
  readonly thorough?: boolean;
  /** Have the webgpu device tell times to the nanosecond, not in steps of 65.5 µs. */
  readonly fineTimestamps?: boolean;
  /** What the webgpu device rounds the factors of products to. */
  readonly precision?: Precision;
  /** Whether the webgpu device times its kernels after the first step and takes the fastest. Default: on hardware only. */
  readonly tune?: boolean | undefined;
};

/** Where Linux shows a graphics processor: DRM, NVIDIA, AMD's compute driver, Windows' through WSL, Adreno, Mali. */
const GPU_NODES = /^(dri|nvidia\d*|nvidiactl|kfd|dxg|kgsl-3d\d+|mali\d+)$/;

/** Loading a GPU driver costs a second; on Linux a look at /dev tells whether there can be anything but an emulation. */
function mayHaveGpu(): boolean {
  try {
    return process.platform !== 'linux' || readdirSync('/dev').some((name) => GPU_NODES.test(name));
  } catch {
    return true;
  }
}

const noGpu: DeviceProvider = {
  name: 'webgpu',
  backendName: 'webgpu',
  probe: async () => ({ available: false, kind: 'accelerator', reason: 'no graphics processor in /dev' }),
  create: async () => {},
};

/** tfjs' own CPU backend, without its advice to install another package. */
async function plainCpu(): Promise<DeviceProvider> {
  await import('@tensorflow/tfjs-backend-cpu');
  const provider = tfjsBackend('cpu');
  return { ...provider, probe: async () => ({ ...await provider.probe(), reason: "tfjs' plain JavaScript, slow" }) };
}

/** openDevice — makes the device that all tensors live on from now on. */
export async function openDevice(name: DeviceName, options: ProviderOptions = {}): Promise<Device> {
  const device = await useDevice(name, await deviceProviders(name, options));
  if (options.precision === 'f16' && device.name !== 'webgpu') throw new UsageError(`--precision f16 must be used with the webgpu device, got ${device.name}`);
  if (options.tune === true && device.name !== 'webgpu') throw new UsageError(`--tune must be used with the webgpu device, got ${device.name}`);
  const backend = engine().backend as { firstUse?: boolean };
  if (backend.firstUse === true) backend.firstUse = false; // tfjs' advertisement
  return device;
}

/** announceDevice — says once which device it is, and why not another. */
export function announceDevice({ name, considered }: Device, asked: DeviceName, say: (line: string) => void): void {
  const chosen = considered.find((probe) => probe.name === name);
  const why = asked === 'auto' ? '' : '; asked for by name';
  for (const line of wrap('device ', `${name}: ${chosen?.reason ?? ''}${why}`)) say(line);
  for (const { name: other, reason } of considered.slice(0, considered.indexOf(chosen as (typeof considered)[number]))) {
    for (const line of wrap('       ', `not ${other}: ${reason}`)) say(line);
  }
}

/** PeakMemory — the most bytes that tensors held at once since `start`. */
export type PeakMemory = {
  /** To be called now and then by devices that keep no statistics of their own. */
  sample(): void;
  peakBytes(): number;
};

/**
 * peakMemory — from the backend's own statistics where it keeps them (the wasm device, to the byte), otherwise the most that
 * `tf.memory()` showed at a `sample`, which sees what lives between the steps and not the peak inside one.
 */
export function peakMemory(): PeakMemory {
  let seen = 0;
  const sample = (): void => {
    const { numBytes, peakBytes, hostBytes = 0 } = memory() as { numBytes: number; peakBytes?: number; hostBytes?: number };
    seen = Math.max(seen, peakBytes === undefined ? numBytes : peakBytes + hostBytes);
  };
  return {
    sample,
    peakBytes: () => {
      sample();
      return seen;
    },
  };
}

