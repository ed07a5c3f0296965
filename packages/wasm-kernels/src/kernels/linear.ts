import { util } from '@tensorflow/tfjs-core';
import { gemm } from '../gemm.ts';
import { floats, optionalFloats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/linear`: x `... i`, weight `o i`, bias? `o` → y `... o`. */
export const linearKernels: readonly WasmKernel[] = [{ name: 'evenkeel/linear', run: linear }];

function linear(call: KernelCall) {
  const { backend } = call;
  const { x, weight } = floats(call, 'linear', 'x', 'weight');
  const { bias } = optionalFloats(call, 'linear', 'bias');
  const [n, k] = weight.shape as [number, number];
  const out = backend.allocate([...x.shape.slice(0, -1), n]);
  gemm(backend, {
    m: util.sizeFromShape(x.shape.slice(0, -1)), n, k, transposeA: false, transposeB: true,
    a: [backend.pointer(x)], b: [backend.pointer(weight)], c: [backend.pointer(out)],
    bias: backend.pointerOrZero(bias),
  });
  return out;
}
