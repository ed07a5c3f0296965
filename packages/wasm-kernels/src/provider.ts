import type { DeviceProvider } from '@evenkeel/core-tensor';
import { findBackendFactory, registerBackend, removeBackend } from '@tensorflow/tfjs-core';
import { wasmFeatures, type WasmFeatures } from './features.ts';
import { registerWasmKernels } from './kernels/index.ts';
import { createRuntime, variantFor, type WasmOptions } from './runtime.ts';
import { BACKEND_NAME, WasmBackend } from './wasmBackend.ts';

/**
 * wasm — the device provider for CPU cores: `await useDevice('auto', [wasm()])`.
 *
 * `create` compiles the kernels, starts the threads and registers the tfjs backend `evenkeel-wasm`; a backend of that name
 * from an earlier call is taken out of tfjs' list and its threads end. Its tensors survive: they keep their memory until they
 * are freed, and move to the new backend when an op needs them.
 */
export function wasm(options: WasmOptions = {}): DeviceProvider {
  return {
    name: 'wasm',
    backendName: BACKEND_NAME,
    async probe() {
      const features = wasmFeatures();
      const threads = features.threads && features.sharedMemory ? options.threads ?? Math.min(features.cores, 16) : 1;
      const simd = `${variantFor(options.simd ?? 'auto', features)} SIMD`;
      const reason = features.simd ? `WebAssembly ${simd}${whySimd(options, features)}, ${threads} thread${threads === 1 ? '' : 's'}${whyThreads(options, features)}`
        : 'the engine has no WebAssembly SIMD';
      return { available: features.simd, kind: 'processor', reason, details: { ...features, chosenThreads: threads, chosenSimd: simd } };
    },
    async create() {
      await createWasmBackend(options);
    },
  };
}

/** Why not relaxed SIMD; nothing where it is taken because the engine has it. */
function whySimd({ simd = 'auto' }: WasmOptions, { relaxedSimd }: WasmFeatures): string {
  if (simd === 'wide') return ' (eight floats at a time)';
  if (simd !== 'auto') return ' (asked for)';
  return relaxedSimd ? '' : ' (the engine has no relaxed SIMD)';
}

/** Why that many threads; nothing where there is one per core. */
function whyThreads({ threads }: WasmOptions, features: WasmFeatures): string {
  if (threads === 1) return ' (asked for)';
  if (!features.threads) return ' (the engine has no WebAssembly threads)';
  if (!features.sharedMemory) return ' (no shared memory; a page needs cross-origin isolation for it)';
  return threads === undefined ? '' : ' (asked for)';
}

/** createWasmBackend — the backend itself, registered with tfjs but not yet set; for tools that read its statistics. */
export async function createWasmBackend(options: WasmOptions = {}): Promise<WasmBackend> {
  const backend = new WasmBackend(await createRuntime(options));
  if (findBackendFactory(BACKEND_NAME)) removeBackend(BACKEND_NAME);
  registerWasmKernels(BACKEND_NAME);
  registerBackend(BACKEND_NAME, () => backend, 2);
  return backend;
}
