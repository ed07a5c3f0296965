import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/dropout`: the mask is a function of the key, the same as core-tensor's `randomBits`. */
export const dropoutKernels: readonly WasmKernel[] = [{ name: 'evenkeel/dropout', run: dropout }];

function dropout(call: KernelCall): TensorInfo {
  const { attrs, backend } = call;
  const { x } = floats(call, 'dropout', 'x');
  const rate = attrs.rate as number;
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  const threshold = Math.ceil(rate * 2 ** 32);
  backend.run('dropout', chunksFor(size), backend.pointer(x), backend.pointer(y), size, threshold, 1 / (1 - rate), attrs.key0 as number, attrs.key1 as number);
  return y;
}
