import { engine } from '@tensorflow/tfjs-core';
import { UnsupportedError, type Device } from '@evenkeel/core-tensor';
import type { WasmBackend } from '@evenkeel/wasm-kernels';
import { round } from './statistics.ts';

/** KernelTime — milliseconds and calls of one kernel, per step. */
export type KernelTime = { readonly name: string; readonly ms: number; readonly calls: number };

export type KernelClock = {
  /** Forgets what was measured so far. */
  reset(): void;
  /** What one of `steps` steps spent in each kernel, the longest first. */
  perStep(steps: number): KernelTime[];
};

/**
 * kernelClock — times every job of the wasm device from now on; the device lasts as long as the program.
 *
 * @throws UnsupportedError  for another device: its kernels have not run when the call returns.
 */
export function kernelClock({ name }: Device): KernelClock {
  if (name !== 'wasm') throw new UnsupportedError(`bench gpt-step: --profile must be used with the wasm device, got ${name}`);
  const backend = engine().backend as unknown as WasmBackend;
  const times = new Map<string, { ms: number; calls: number }>();
  const run = backend.run.bind(backend);
  backend.run = (kernel, ...rest) => {
    const start = performance.now();
    run(kernel, ...rest);
    const { ms, calls } = times.get(kernel) ?? { ms: 0, calls: 0 };
    times.set(kernel, { ms: ms + performance.now() - start, calls: calls + 1 });
  };
  return {
    reset: () => times.clear(),
    perStep: (steps) => [...times].map(([kernel, { ms, calls }]) => ({ name: kernel, ms: round(ms / steps, 3), calls: round(calls / steps, 1) })).sort((a, b) => b.ms - a.ms),
  };
}
