/** Work in tfjs operations on whatever backend is active: the same program for tfjs' own and for Evenkeel. */
import { add, backend, matMul, scalar, tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import type { Run, Work } from './serve.ts';
import { RECORD, checkProduct, uniform } from './workloads.ts';

/** settled — resolves when the device has done all work. A kernel on WASM has finished when the call returns. */
export async function settled(): Promise<void> {
  const gpu = backend() as Partial<WebgpuBackend>;
  if (gpu.device === undefined) return;
  gpu.ensureCommandEncoderReady?.();
  gpu.endComputePassEncoder?.();
  gpu.submitQueue?.();
  await gpu.device.queue.onSubmittedWorkDone();
}

type WebgpuBackend = { readonly device: GPUDevice; ensureCommandEncoderReady(): void; endComputePassEncoder(): void; submitQueue(): void };

export async function product(size: number): Promise<Run> {
  const [x, y] = [uniform(size * size, 1, 0, 1), uniform(size * size, 2, 0, 1)];
  const [a, b] = [tensor2d(x, [size, size]), tensor2d(y, [size, size])];
  const c = matMul(a, b);
  checkProduct(x, y, await c.data(), size);
  c.dispose();
  return async () => {
    matMul(a, b).dispose();
    await settled();
  };
}

export async function record(): Promise<Work> {
  const { checkLaunches } = await import('./gpu.ts');
  const { launches, size } = RECORD;
  const [x, one] = [tensor1d(uniform(size, 1, 0, 1)), scalar(1)];
  const run = async (): Promise<void> => {
    for (let i = 0; i < launches; i++) add(x, one).dispose();
  };
  await settled();
  await checkLaunches(run, settled, launches);
  return { run, settle: settled };
}
