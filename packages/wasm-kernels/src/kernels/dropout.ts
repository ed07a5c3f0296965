import { seedKey } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/dropout`: the mask is a function of the key, the same as core-tensor's `randomBits`. */
export const dropoutKernels: readonly WasmKernel[] = [{ name: 'evenkeel/dropout', run: dropout }];

function dropout(call: KernelCall): TensorInfo {
  const { attrs, backend } = call;
  const { x } = floats(call, 'dropout', 'x');
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  const [threshold, factor] = thresholdAndFactor(attrs.rate as number);
  backend.run('dropout', chunksFor(size), backend.pointer(x), backend.pointer(y), size, threshold, factor, attrs.key0 as number, attrs.key1 as number);
  return y;
}

/** dropoutNumbers — threshold, factor and the two words of the key, as kernels take them; a threshold of 0 where `rate` is 0. */
export function dropoutNumbers(rate: number, seed: number): number[] {
  return [...thresholdAndFactor(rate), ...seedKey(seed)];
}

/** An element is kept where its bits are ≥ rate · 2³², which must be a word of 32 bits. */
function thresholdAndFactor(rate: number): [threshold: number, factor: number] {
  return [Math.min(Math.ceil(rate * 2 ** 32), 2 ** 32 - 1), 1 / (1 - rate)];
}
