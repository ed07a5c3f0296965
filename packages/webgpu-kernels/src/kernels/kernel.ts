import type { GpuKernelCall } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';

/** given — an input that the caller must have. */
export function given({ inputs }: GpuKernelCall, name: string): TensorInfo {
  const info = inputs[name];
  if (info === undefined) throw new Error(`kernel: inputs must have ${name}, got ${Object.keys(inputs).join(', ')}`);
  return info;
}

/** sizeOf — the number of elements. */
export const sizeOf = ({ shape }: TensorInfo): number => util.sizeFromShape(shape);

/** rowsOf — the number of rows of `... c`. */
export const rowsOf = ({ shape }: TensorInfo): number => util.sizeFromShape(shape.slice(0, -1));
