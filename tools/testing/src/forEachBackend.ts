import { getBackend, setBackend } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { defaultBackends, useBackend } from './backends.ts';

/**
 * forEachBackend — a `describe` per tfjs backend, with that backend selected while its tests run.
 *
 * A backend that is unavailable skips its tests with the reason; with `CI=true` that is a failure.
 *
 *     forEachBackend((backend) => { it('rmsNorm(x) …', async () => …) });
 *     forEachBackend(['cpu', 'evenkeel-wasm'], (backend) => …);
 */
export function forEachBackend(suite: (backend: string) => void): void;
export function forEachBackend(names: readonly string[], suite: (backend: string) => void): void;
export function forEachBackend(first: readonly string[] | ((backend: string) => void), second?: (backend: string) => void): void {
  const names = typeof first === 'function' ? defaultBackends : first;
  const suite = typeof first === 'function' ? first : second!;
  describe.each([...names])('on %s', (backend) => {
    let unavailable: string | undefined;
    let previous: string | undefined;
    beforeAll(async () => {
      previous = getBackend() || undefined;
      unavailable = await useBackend(backend);
    });
    beforeEach((context) => {
      if (unavailable === undefined) return;
      const message = `backend ${backend} is unavailable: ${unavailable}`;
      if (process.env['CI'] === 'true') throw new Error(`${message} (a skip is a failure with CI=true)`);
      context.skip(message);
    });
    afterAll(async () => {
      if (previous !== undefined) await setBackend(previous);
    });
    suite(backend);
  });
}
