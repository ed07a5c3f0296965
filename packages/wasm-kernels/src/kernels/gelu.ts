import { UnsupportedError } from '@evenkeel/core-tensor';
import { util } from '@tensorflow/tfjs-core';
import { chunksFor, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/gelu`: x → y, attrs approximate: 'none' | 'tanh'. */
export const geluKernels: readonly WasmKernel[] = [{ name: 'evenkeel/gelu', run: gelu }];

function gelu({ inputs: { x }, attrs: { approximate }, backend }: KernelCall) {
  if (!backend.holds(x, 'float32')) throw new UnsupportedError(`gelu: x must have dtype float32, got ${x?.dtype}`);
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('gelu', chunksFor(size), backend.pointer(x), backend.pointer(y), size, approximate === 'tanh' ? 1 : 0);
  return y;
}
