import type { GpuKernelCall } from '@evenkeel/core-tensor';
import { getKernel, type KernelConfig, type TensorInfo } from '@tensorflow/tfjs-core';
import { repairedKernel } from '../repairs/kernels.ts';

const found = new Map<string, KernelConfig>();

/** onStock — runs tfjs' own WebGPU kernel of that name: for inputs that a kernel here does not handle. */
export function onStock(name: string, { inputs, attrs, backend }: GpuKernelCall): TensorInfo {
  return listOnStock(name, { inputs, attrs, backend }) as unknown as TensorInfo;
}

/** listOnStock — `onStock` for kernels with several outputs. */
export function listOnStock(name: string, { inputs, attrs, backend }: GpuKernelCall): TensorInfo[] {
  let kernel = found.get(name);
  if (kernel === undefined) {
    const original = getKernel(name, 'webgpu');
    if (original === undefined) throw new Error(`onStock: name must be a kernel of webgpu, got ${name}`);
    found.set(name, kernel = repairedKernel(original));
  }
  return kernel.kernelFunc({ inputs: inputs as Record<string, TensorInfo>, attrs: attrs as never, backend }) as TensorInfo[];
}
