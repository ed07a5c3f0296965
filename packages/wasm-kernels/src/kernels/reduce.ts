import { Max, Mean, Sum, util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { onCpu, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Sum, Mean and Max of float32 tensors. tfjs hands over axes anywhere and of any order; axes that are scattered are reduced group by
 * group, from the last.
 */
export const reduceKernels: readonly WasmKernel[] = [
  { name: Sum, run: (call) => reduce(Sum, call, sum) },
  { name: Mean, run: (call) => reduce(Mean, call, (backend, x, plan) => sum(backend, x, plan, 1 / plan.reduced)) },
  { name: Max, run: (call) => reduce(Max, call, max) },
];

/** Columns that one thread sums. */
const COLUMNS = 64;

/** The tensor as outer × reduced × inner. */
type Plan = { readonly outer: number; readonly reduced: number; readonly inner: number; readonly shape: number[] };

/** Reduces one group of adjacent axes. */
type Step = (backend: WasmBackend, x: TensorInfo, plan: Plan) => TensorInfo;

function reduce(name: string, call: KernelCall, step: Step): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!backend.holds(x, 'float32')) return onCpu(name, call);
  const given = (attrs.axis ?? attrs.reductionIndices) as number | number[] | undefined;
  const axes = [...util.parseAxisParam(given as never, x.shape)].sort((a, b) => a - b);
  if (axes.length === 0 || axes.some((axis) => x.shape[axis] === 0)) return onCpu(name, call);
  let partial: TensorInfo = x;
  for (const [first, last] of groupsOf(axes).reverse()) {
    if (partial !== x) backend.temporary(partial);
    partial = step(backend, partial, planOf(partial.shape, first, last));
  }
  return attrs.keepDims === true ? partial : { ...partial, shape: x.shape.filter((_, axis) => !axes.includes(axis)) };
}

function sum(backend: WasmBackend, x: TensorInfo, { outer, reduced, inner, shape }: Plan, factor = 1): TensorInfo {
  const y = backend.allocate(shape);
  const [from, to] = [backend.pointer(x), backend.pointer(y)];
  if (inner === 1) {
    const cut = rowChunks(outer, reduced);
    backend.run('sumRows', cut.chunks, from, to, outer, reduced, factor, cut.perChunk);
  } else {
    backend.run('sumColumns', outer * Math.ceil(inner / COLUMNS), from, to, outer, reduced, inner, factor, COLUMNS);
  }
  return y;
}

function max(backend: WasmBackend, x: TensorInfo, { outer, reduced, inner, shape }: Plan): TensorInfo {
  const y = backend.allocate(shape);
  const [from, to] = [backend.pointer(x), backend.pointer(y)];
  if (inner === 1) {
    const cut = rowChunks(outer, reduced);
    backend.run('maxRows', cut.chunks, from, to, outer, reduced, cut.perChunk);
  } else {
    backend.run('maxColumns', outer * Math.ceil(inner / COLUMNS), from, to, reduced, inner, COLUMNS);
  }
  return y;
}

/** Runs of adjacent axes, as their first and last. */
function groupsOf(axes: readonly number[]): [first: number, last: number][] {
  const groups: [number, number][] = [];
  for (const axis of axes) {
    const group = groups[groups.length - 1];
    if (group !== undefined && group[1] === axis - 1) group[1] = axis;
    else groups.push([axis, axis]);
  }
  return groups;
}

function planOf(of: readonly number[], first: number, last: number): Plan {
  const size = (from: number, to?: number): number => util.sizeFromShape(of.slice(from, to));
  const shape = of.map((length, axis) => (axis >= first && axis <= last ? 1 : length));
  return { outer: size(0, first), reduced: size(first, last + 1), inner: size(last + 1), shape };
}
