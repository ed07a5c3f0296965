import { Cast } from '@tensorflow/tfjs-core';
import { onCpu, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Cast. The CPU backend answers int32 → float32 with the same data under a new dtype, which is right only for readers of
 * JavaScript numbers; kernels that read memory need the values converted.
 */
export const castKernels: readonly WasmKernel[] = [{ name: Cast, run: cast }];

function cast(call: KernelCall) {
  const { inputs: { x }, attrs: { dtype }, backend } = call;
  if (x === undefined || x.dtype === dtype || dtype !== 'float32' || (x.dtype !== 'int32' && x.dtype !== 'bool')) return onCpu(Cast, call);
  const values = backend.data.get(x.dataId as object)?.values as ArrayLike<number>;
  return backend.makeTensorInfo(x.shape, 'float32', Float32Array.from(values));
}
