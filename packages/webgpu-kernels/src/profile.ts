import { GPU_BACKEND, UnsupportedError } from '@evenkeel/core-tensor';
import { engine } from '@tensorflow/tfjs-core';
import type { Profile } from './profiler.ts';

/**
 * profile — measures what the active WebGPU device spends in each program, until `stop` tells it. Each launch then runs in a compute
 * pass of its own, so the whole is slower; captured steps are measured too.
 *
 * @returns  `stop`, which gives `[{ name, ms, launches }]`, the longest first.
 * @throws UnsupportedError  if the active backend is not `evenkeel-webgpu`, or the device has no timestamp queries.
 * @throws ConfigError       if a profile is on already.
 */
export function profile(): Profile {
  const { backend, backendName } = engine();
  if (backendName !== GPU_BACKEND) throw new UnsupportedError(`profile: the active backend must be ${GPU_BACKEND}, got ${backendName}`);
  return (backend as unknown as { profile(): Profile }).profile();
}
