import type { GpuKernel } from '@evenkeel/core-tensor';

export const linearKernels: readonly GpuKernel[] = [];
