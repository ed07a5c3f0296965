import { backend_util, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual, Select, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';
import { broadcastAxes, MAX_AXES, rowsOf } from './strided.ts';

/** In the order of the operations in assembly/logical.ts. */
const COMPARISONS = [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] as const;

/** Comparisons of two float32 tensors of shapes that broadcast, and Select among two by a tensor of their shape. Others run on the CPU backend. */
export const logicalKernels: readonly WasmKernel[] = [
  ...COMPARISONS.map((name, operation) => ({ name, run: (call: KernelCall) => compare(name, operation, call) })),
  { name: Select, run: select },
];

function compare(name: string, operation: number, call: KernelCall): TensorInfo {
  const { inputs: { a, b }, backend } = call;
  if (!backend.holds(a, 'float32') || !backend.holds(b, 'float32')) return onCpu(name, call);
  const shape = backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const axes = broadcastAxes(shape, a.shape, b.shape);
  if (axes.length >= MAX_AXES) return onCpu(name, call);
  const out = backend.allocate(shape, 'bool');
  const { rows, inner, chunks, perChunk, described } = rowsOf(axes);
  backend.run(
    'compare', chunks, backend.pointer(a), backend.pointer(b), backend.pointer(out), rows, inner.size, operation, ...inner.strides, perChunk, ...described);
  return out;
}

function select(call: KernelCall): TensorInfo {
  const { inputs: { condition, t, e }, backend } = call;
  const fits = backend.holds(condition, 'bool') && backend.holds(t, 'float32') && backend.holds(e, 'float32')
    && util.arraysEqual(condition.shape, t.shape) && util.arraysEqual(t.shape, e.shape);
  if (!fits) return onCpu(Select, call);
  const y = backend.allocate(t.shape);
  const size = util.sizeFromShape(t.shape);
  backend.run('select', chunksFor(size), backend.pointer(condition), backend.pointer(t), backend.pointer(e), backend.pointer(y), size);
  return y;
}
