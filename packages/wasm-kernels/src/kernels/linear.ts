import { UnsupportedError } from '@evenkeel/core-tensor';
import { util } from '@tensorflow/tfjs-core';
import { gemm } from '../gemm.ts';
import type { KernelCall, WasmKernel } from './kernel.ts';

/** `evenkeel/linear`: x `... i`, weight `o i`, bias? `o` → y `... o`. */
export const linearKernels: readonly WasmKernel[] = [{ name: 'evenkeel/linear', run: linear }];

function linear({ inputs: { x, weight, bias }, backend }: KernelCall) {
  if (!backend.holds(x, 'float32') || !backend.holds(weight, 'float32')) {
    throw new UnsupportedError(`linear: x and weight must have dtype float32, got ${x?.dtype} and ${weight?.dtype}`);
  }
  const [n, k] = weight.shape as [number, number];
  const out = backend.allocate([...x.shape.slice(0, -1), n]);
  gemm(backend, {
    m: util.sizeFromShape(x.shape.slice(0, -1)), n, k, transposeA: false, transposeB: true,
    a: [backend.pointer(x)], b: [backend.pointer(weight)], c: [backend.pointer(out)],
    bias: bias === undefined ? 0 : backend.pointer(bias),
  });
  return out;
}
