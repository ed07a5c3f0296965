import { gpuProgram, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import {
  Equal, Greater, GreaterEqual, Less, LessEqual, LogicalAnd, LogicalOr, NotEqual, Select, util, type TensorInfo,
} from '@tensorflow/tfjs-core';
import { broadcaster, type Word } from './broadcast.ts';
import { INVOCATIONS, overVectors } from './elementwise.ts';
import { sizeOf } from './kernel.ts';
import { onStock } from './stock.ts';

const COMPARISONS: Readonly<Record<string, string>> = {
  [Equal]: 'a == b', [NotEqual]: 'a != b', [Less]: 'a < b', [LessEqual]: 'a <= b', [Greater]: 'a > b', [GreaterEqual]: 'a >= b',
};

/** Comparisons of two float32 or two int32 (bool) tensors, And and Or of bool ones, whose shapes broadcast; Select among two of one dtype by a tensor of their shape. */
export const logicalKernels: readonly GpuKernel[] = [
  ...Object.entries(COMPARISONS).map(([name, comparison]) => ({ name, run: compare(name, comparison) })),
  { name: LogicalAnd, run: combine(LogicalAnd, '(a != V(0)) & (b != V(0))') },
  { name: LogicalOr, run: combine(LogicalOr, '(a != V(0)) | (b != V(0))') },
  { name: Select, run: select },
];

/** NaN differs from everything and is neither above nor below. */
function compare(name: string, comparison: string): GpuKernel['run'] {
  const holds = name === NotEqual ? `(${comparison}) | isNan(a) | isNan(b)` : `(${comparison}) & !(isNan(a) | isNan(b))`;
  const runs = (word: Word, condition: string) => broadcaster({ name, word, result: 'i32', body: `return R(${condition});` });
  const [onFloats, onIntegers] = [runs('f32', holds), runs('i32', comparison)];
  return (call: GpuKernelCall): TensorInfo => {
    const { a, b } = call.inputs;
    const isFloats = a?.dtype === 'float32' && b?.dtype === 'float32';
    if (a === undefined || b === undefined || !(isFloats || (isInteger(a) && isInteger(b)))) return onStock(name, call);
    return (isFloats ? onFloats : onIntegers)(call.backend, a, b, 'bool') ?? onStock(name, call);
  };
}

function combine(name: string, condition: string): GpuKernel['run'] {
  const run = broadcaster({ name, word: 'i32', result: 'i32', body: `return R(${condition});` });
  return (call: GpuKernelCall): TensorInfo => {
    const { a, b } = call.inputs;
    if (a?.dtype !== 'bool' || b?.dtype !== 'bool') return onStock(name, call);
    return run(call.backend, a, b, 'bool') ?? onStock(name, call);
  };
}

const isInteger = ({ dtype }: TensorInfo): boolean => dtype === 'int32' || dtype === 'bool';

/** Of words of any dtype, one vector of four per invocation. */
const selectProgram = gpuProgram({
  name: 'Select', bindings: { condition: 'read vec4i', t: 'read vec4i', e: 'read vec4i', y: 'write vec4i' }, uniforms: { vectors: 'u32' }, workgroupSize: INVOCATIONS,
  main: 'if (index < u.vectors) { y[index] = select(e[index], t[index], condition[index] != vec4i(0)); }',
});

function select(call: GpuKernelCall): TensorInfo {
  const { inputs: { condition, t, e }, backend } = call;
  const fits = condition !== undefined && t !== undefined && e !== undefined && condition.dtype === 'bool' && t.dtype === e.dtype
    && (t.dtype === 'float32' || isInteger(t)) && util.arraysEqual(condition.shape, t.shape) && util.arraysEqual(t.shape, e.shape);
  if (!fits) return onStock(Select, call);
  const y = backend.allocate(t.shape, t.dtype);
  const { vectors, groups } = overVectors(backend, sizeOf(t));
  backend.dispatch(selectProgram, { tensors: { condition, t, e, y }, uniforms: { vectors }, groups });
  return y;
}
