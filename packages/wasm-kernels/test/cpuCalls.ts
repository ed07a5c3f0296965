import { getKernelsForBackend, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core';

/** Kernels that only look at shapes, or hand data on: they cost the same wherever they run. */
const FREE = new Set(['Identity', 'Reshape', 'ExpandDims']);

/** cpuCalls — the result of `run`, and the names of the CPU backend's kernels that moved or computed data for it. */
export function cpuCalls<T>(run: () => T): { result: T; names: string[] } {
  const names: string[] = [];
  const kernels = getKernelsForBackend('cpu').filter(({ kernelName }) => !FREE.has(kernelName));
  const exchange = (recorded: boolean): void => {
    for (const kernel of kernels) {
      unregisterKernel(kernel.kernelName, 'cpu');
      registerKernel(recorded ? { ...kernel, kernelFunc: (call) => { names.push(kernel.kernelName); return kernel.kernelFunc(call); } } : kernel);
    }
  };
  exchange(true);
  try {
    return { result: run(), names };
  } finally {
    exchange(false);
  }
}
