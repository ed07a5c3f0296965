import { util } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/gelu`: x → y, attrs approximate: 'none' | 'tanh'. */
export const geluKernels: readonly WasmKernel[] = [{ name: 'evenkeel/gelu', run: gelu }];

function gelu(call: KernelCall) {
  const { attrs: { approximate }, backend } = call;
  const { x } = floats(call, 'gelu', 'x');
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('gelu', chunksFor(size), backend.pointer(x), backend.pointer(y), size, approximate === 'tanh' ? 1 : 0);
  return y;
}
