import { Add, backend_util, Multiply, RealDiv, Sub, util } from '@tensorflow/tfjs-core';
import { chunksFor, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';

/** Add, Sub, Multiply, RealDiv of float32 tensors: equal shapes, a scalar, or a repeated trailing shape. Others run on the CPU backend. */
export const binaryKernels: readonly WasmKernel[] = [Add, Sub, Multiply, RealDiv].map((name, operation) => ({
  name,
  run: (call) => binary(name, operation, call),
}));

function binary(name: string, operation: number, call: KernelCall) {
  const { inputs: { a, b }, backend } = call;
  if (!backend.holds(a, 'float32') || !backend.holds(b, 'float32')) return onCpu(name, call);
  const shape = util.arraysEqual(a.shape, b.shape) ? a.shape : backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const size = util.sizeFromShape(shape);
  const periodA = period(a.shape, shape, size);
  const periodB = period(b.shape, shape, size);
  if (periodA === 0 || periodB === 0) return onCpu(name, call);
  const out = backend.allocate(shape);
  backend.run('binary', chunksFor(size), backend.pointer(a), backend.pointer(b), backend.pointer(out), size, operation, periodA, periodB);
  return out;
}

/** Elements after which `shape` repeats in a result of shape `full`: its own size if it is a trailing part of it, else 0. */
function period(shape: readonly number[], full: readonly number[], size: number): number {
  let first = 0;
  while (first < shape.length && shape[first] === 1) first++;
  const offset = full.length - shape.length;
  let count = 1;
  for (let axis = first; axis < shape.length; axis++) {
    if (shape[axis] !== full[axis + offset]) return 0;
    count *= shape[axis] as number;
  }
  return size === 0 ? 1 : count;
}
