import { Add, backend_util, Maximum, Minimum, Multiply, RealDiv, SquaredDifference, Sub, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';
import { broadcastAxes, MAX_AXES, rowsOf } from './strided.ts';

/** In the order of the operations in assembly/binary.ts. */
const BINARY = [Add, Sub, Multiply, RealDiv, Maximum, Minimum, SquaredDifference] as const;

/** Elementwise functions of two float32 tensors of shapes that broadcast. Others run on the CPU backend. */
export const binaryKernels: readonly WasmKernel[] = BINARY.map((name, operation) => ({
  name,
  run: (call) => binary(name, operation, call),
}));

function binary(name: string, operation: number, call: KernelCall): TensorInfo {
  const { inputs: { a, b }, backend } = call;
  if (!backend.holds(a, 'float32') || !backend.holds(b, 'float32')) return onCpu(name, call);
  const shape = util.arraysEqual(a.shape, b.shape) ? a.shape : backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const size = util.sizeFromShape(shape);
  const periodA = period(a.shape, shape, size);
  const periodB = period(b.shape, shape, size);
  const axes = periodA === 0 || periodB === 0 ? broadcastAxes(shape, a.shape, b.shape) : undefined;
  if (axes !== undefined && axes.length >= MAX_AXES) return onCpu(name, call);
  const out = backend.allocate(shape);
  const pointers = [backend.pointer(a), backend.pointer(b), backend.pointer(out)] as const;
  if (axes !== undefined) {
    const { rows, inner, chunks, perChunk, described } = rowsOf(axes);
    backend.run('binaryStrided', chunks, ...pointers, rows, inner.size, operation, ...inner.strides, perChunk, ...described);
  } else {
    backend.run('binary', chunksFor(size), ...pointers, size, operation, periodA, periodB);
  }
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
