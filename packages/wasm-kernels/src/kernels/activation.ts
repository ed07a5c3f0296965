import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/silu` and the gradients of GELU and SiLU. */
export const activationKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/silu', run: silu },
  { name: 'evenkeel/siluGrad', run: (call) => activationGrad('siluGrad', call, 2) },
  { name: 'evenkeel/geluGrad', run: (call) => activationGrad('geluGrad', call, call.attrs.approximate === 'tanh' ? 1 : 0) },
];

function silu(call: KernelCall): TensorInfo {
  const { backend } = call;
  const { x } = floats(call, 'silu', 'x');
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('silu', chunksFor(size), backend.pointer(x), backend.pointer(y), size);
  return y;
}

/** dx = dy · f'(x), with f by its number in assembly/activationGrad.ts. */
function activationGrad(name: string, call: KernelCall, kind: number): TensorInfo {
  const { backend } = call;
  const { x, dy } = floats(call, name, 'x', 'dy');
  const dx = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('activationGrad', chunksFor(size), backend.pointer(x), backend.pointer(dy), backend.pointer(dx), size, kind);
  return dx;
}
