import { GPU_BACKEND, registerGpuKernels, type GpuKernel } from '@evenkeel/core-tensor';
import { getKernel, getKernelsForBackend, registerKernel } from '@tensorflow/tfjs-core';
import { repairedKernel } from '../repairs/kernels.ts';
import { linearKernels } from './linear.ts';
import { matMulKernels } from './matMul.ts';

/** KERNELS — every kernel of this package: one list per family. Those of techniques live with the techniques. */
export const KERNELS: readonly GpuKernel[] = [...matMulKernels, ...linearKernels];

/** registerKernels — ours first, then tfjs' own for every name we do not have. A second call changes nothing. */
export function registerKernels(): void {
  registerGpuKernels(KERNELS);
  for (const kernel of getKernelsForBackend('webgpu')) {
    if (getKernel(kernel.kernelName, GPU_BACKEND) === undefined) registerKernel({ ...repairedKernel(kernel), backendName: GPU_BACKEND });
  }
}
