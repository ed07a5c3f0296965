import { useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { backend } from '@tensorflow/tfjs-core';
import { conformance, type Conformance } from './conformance.ts';

/** ConformanceRun — the verdicts and what they were found on. */
export type ConformanceRun = { adapter: string; software: boolean; features: string[]; invocations: number; seconds: number; results: Conformance[] };

/** conformanceRun — the conformance suite on the first adapter there is. */
export async function conformanceRun(): Promise<ConformanceRun> {
  const started = performance.now();
  const { considered } = await useDevice('webgpu', [webgpu()]);
  const { features, limits } = backend() as unknown as GpuBackend;
  const results = await conformance();
  return {
    adapter: considered[0]?.reason ?? '', software: considered[0]?.kind === 'software', features: [...features],
    invocations: limits.maxComputeInvocationsPerWorkgroup, seconds: (performance.now() - started) / 1000, results,
  };
}
