import { engine } from '@tensorflow/tfjs-core';
import { UnsupportedError, type Device } from '@evenkeel/core-tensor';
import type { WasmBackend } from '@evenkeel/wasm-kernels';
import type { Profile } from '@evenkeel/webgpu-kernels';
import { round } from './statistics.ts';

/** KernelTime — milliseconds and calls of one kernel, per step. */
export type KernelTime = { readonly name: string; readonly ms: number; readonly calls: number };

export type KernelClock = {
  /** Begins to measure. */
  start(): void;
  /** Ends it: what one of `steps` steps spent in each kernel, the longest first. */
  perStep(steps: number): Promise<KernelTime[]>;
  /** What the rest of a step's time is, when no kernel runs. */
  readonly rest: string;
};

/**
 * kernelClock — times the kernels of the wasm or webgpu device, which lasts as long as the program.
 *
 * @throws UnsupportedError  for another device: nothing of it can be measured.
 */
export function kernelClock({ name }: Device): KernelClock {
  if (name === 'wasm') return wasmClock(engine().backend as unknown as WasmBackend);
  if (name === 'webgpu') return gpuClock(engine().backend as unknown as { profile(): Profile });
  throw new UnsupportedError(`bench gpt-step: --profile must be used with the wasm or the webgpu device, got ${name}`);
}

/** Every job has run when the call returns. */
function wasmClock(backend: WasmBackend): KernelClock {
  const times = new Map<string, { ms: number; calls: number }>();
  const run = backend.run.bind(backend);
  return {
    start: () => {
      backend.run = (kernel, ...rest) => {
        const start = performance.now();
        run(kernel, ...rest);
        const { ms, calls } = times.get(kernel) ?? { ms: 0, calls: 0 };
        times.set(kernel, { ms: ms + performance.now() - start, calls: calls + 1 });
      };
    },
    perStep: async (steps) => {
      backend.run = run;
      return perStep([...times].map(([kernel, time]) => ({ name: kernel, ...time })), steps);
    },
    rest: 'JavaScript',
  };
}

/** By the device's own clock: JavaScript and the device work side by side. */
function gpuClock(backend: { profile(): Profile }): KernelClock {
  let profile: Profile | undefined;
  return {
    start: () => { profile = backend.profile(); },
    perStep: async (steps) => perStep((await profile?.stop() ?? []).map(({ name, ms, launches }) => ({ name, ms, calls: launches })), steps),
    rest: 'device idle',
  };
}

function perStep(times: readonly KernelTime[], steps: number): KernelTime[] {
  return times.map(({ name, ms, calls }) => ({ name, ms: round(ms / steps, 3), calls: round(calls / steps, 1) })).sort((a, b) => b.ms - a.ms);
}
