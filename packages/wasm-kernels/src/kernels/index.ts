import { getKernel, getKernelsForBackend, registerKernel, type KernelConfig } from '@tensorflow/tfjs-core';
import { binaryKernels } from './binary.ts';
import { castKernels } from './cast.ts';
import { geluKernels } from './gelu.ts';
import type { KernelCall, WasmKernel } from './kernel.ts';
import { linearKernels } from './linear.ts';
import { matMulKernels } from './matMul.ts';

/** Every kernel of this package: one list per family. */
const KERNELS: readonly WasmKernel[] = [...matMulKernels, ...linearKernels, ...binaryKernels, ...castKernels, ...geluKernels];

/** registerWasmKernels — ours first, then the CPU backend's for every name we do not have. A second call changes nothing. */
export function registerWasmKernels(backendName: string): void {
  for (const { name, run } of KERNELS) {
    const kernelFunc = (call: object) => run({ attrs: {}, ...call } as KernelCall);
    register({ kernelName: name, backendName, kernelFunc });
  }
  for (const kernel of getKernelsForBackend('cpu')) register({ ...kernel, backendName });
}

function register(kernel: KernelConfig): void {
  if (getKernel(kernel.kernelName, kernel.backendName) === undefined) registerKernel(kernel);
}
