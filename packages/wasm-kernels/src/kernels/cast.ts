import { Cast, util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { chunksFor, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Cast. The CPU backend answers int32 → float32 and bool → int32 or float32 with the same data under a new dtype, which is right
 * only for readers of JavaScript numbers; kernels that read memory need the values converted.
 */
export const castKernels: readonly WasmKernel[] = [{ name: Cast, run: cast }];

function cast(call: KernelCall) {
  const { inputs: { x }, attrs: { dtype }, backend } = call;
  if (backend.holds(x, 'bool') && dtype === 'float32') return toFloats(x, backend);
  const widens = (x?.dtype === 'bool' && dtype === 'int32') || ((x?.dtype === 'bool' || x?.dtype === 'int32') && dtype === 'float32');
  return x !== undefined && widens ? backend.converted(x, dtype as 'float32' | 'int32') : onCpu(Cast, call);
}

function toFloats(x: TensorInfo, backend: WasmBackend): TensorInfo {
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('truthsToFloats', chunksFor(size), backend.pointer(x), backend.pointer(y), size);
  return y;
}
