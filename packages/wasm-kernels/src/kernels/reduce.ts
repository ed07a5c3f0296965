import { Max, Mean, Sum, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { onCpu, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Sum, Mean and Max of float32 tensors over adjacent axes. tfjs hands over axes anywhere and of any order; a reduction over
 * scattered axes runs on the CPU backend.
 */
export const reduceKernels: readonly WasmKernel[] = [
  { name: Sum, run: (call) => sum(Sum, call) },
  { name: Mean, run: (call) => sum(Mean, call) },
  { name: Max, run: max },
];

/** Columns that one thread sums. */
const COLUMNS = 64;

type Plan = { readonly outer: number; readonly reduced: number; readonly inner: number; readonly shape: number[] };

function sum(name: string, call: KernelCall): TensorInfo {
  const { inputs: { x }, backend } = call;
  const plan = backend.holds(x, 'float32') ? planOf(x, call.attrs) : null;
  if (plan === null) return onCpu(name, call);
  const { outer, reduced, inner, shape } = plan;
  const factor = name === Mean ? 1 / reduced : 1;
  const y = backend.allocate(shape);
  const [from, to] = [backend.pointer(x as TensorInfo), backend.pointer(y)];
  if (inner === 1) {
    const cut = rowChunks(outer, reduced);
    backend.run('sumRows', cut.chunks, from, to, outer, reduced, factor, cut.perChunk);
  } else {
    backend.run('sumColumns', outer * Math.ceil(inner / COLUMNS), from, to, outer, reduced, inner, factor, COLUMNS);
  }
  return y;
}

function max(call: KernelCall): TensorInfo {
  const { inputs: { x }, backend } = call;
  const plan = backend.holds(x, 'float32') ? planOf(x, call.attrs) : null;
  if (plan === null || plan.inner !== 1) return onCpu(Max, call);
  const y = backend.allocate(plan.shape);
  const cut = rowChunks(plan.outer, plan.reduced);
  backend.run('maxRows', cut.chunks, backend.pointer(x as TensorInfo), backend.pointer(y), plan.outer, plan.reduced, cut.perChunk);
  return y;
}

/** The tensor as outer × reduced × inner, or null where the axes are scattered or nothing is left to reduce. */
function planOf(x: TensorInfo, attrs: KernelCall['attrs']): Plan | null {
  const given = (attrs.axis ?? attrs.reductionIndices) as number | number[] | undefined;
  const axes = [...util.parseAxisParam(given as never, x.shape)].sort((a, b) => a - b);
  const first = axes[0];
  const last = axes[axes.length - 1];
  if (first === undefined || last === undefined || last - first !== axes.length - 1) return null;
  const size = (from: number, to: number): number => util.sizeFromShape(x.shape.slice(from, to));
  const reduced = size(first, last + 1);
  if (reduced === 0) return null;
  const shape = attrs.keepDims === true
    ? x.shape.map((length, axis) => (axis >= first && axis <= last ? 1 : length))
    : x.shape.filter((_, axis) => axis < first || axis > last);
  return { outer: size(0, first), reduced, inner: size(last + 1, x.shape.length), shape };
}
