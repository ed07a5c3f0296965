import { setFlagsFromString } from 'node:v8';
import { ready, setBackend } from '@tensorflow/tfjs-core';
import { BACKEND_NAME, createWasmBackend, wasmFeatures, type WasmBackend, type WasmOptions } from '@evenkeel/wasm-kernels';
import { afterAll, beforeAll, describe } from 'vitest';

setFlagsFromString('--no-liftoff'); // all code is optimised from the start, as the code that matters is later

/** One thread has an unshared memory, more a shared one; each with and without relaxed SIMD; `wide` is the code of `relaxed` (see wide.test.ts). */
export const variants: readonly WasmOptions[] = [
  { threads: 1, simd: 'relaxed' },
  { threads: 2, simd: 'relaxed' },
  { threads: 4, simd: 'relaxed' },
  { threads: 1, simd: 'plain' },
  { threads: 2, simd: 'plain' },
  { threads: 4, simd: 'plain' },
  ...(wasmFeatures().wideSimd ? [{ threads: 2, simd: 'wide' } as const] : []),
];

/** useWasm — registers and selects the backend with these options. */
export async function useWasm(options: WasmOptions = {}): Promise<WasmBackend> {
  const backend = await createWasmBackend(options);
  await setBackend(BACKEND_NAME);
  await ready();
  return backend;
}

/** describeVariants — a `describe` per variant, with its backend selected; `get()` is that backend. */
export function describeVariants(suite: (get: () => WasmBackend) => void, chosen = variants): void {
  describe.each(chosen.map((each) => [`${each.threads} thread(s), ${each.simd} SIMD`, each] as const))('with %s', (_, options) => {
    let backend: WasmBackend;
    beforeAll(async () => {
      backend = await useWasm(options);
    });
    afterAll(() => backend.dispose());
    suite(() => backend);
  });
}
