import { PadV2, Reverse, Slice, slice_util, StridedSlice, Tile, Transpose, util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { onCpu, type KernelCall, type WasmKernel } from './kernel.ts';
import { filled } from './move.ts';
import { copyStrided, stridesOf } from './strided.ts';

/** Kernels whose result is values read, or written, at regular distances. Strings and complex numbers run on the CPU backend. */
export const rearrangeKernels: readonly WasmKernel[] = [
  { name: Slice, run: slice },
  { name: StridedSlice, run: stridedSlice },
  { name: Reverse, run: reverse },
  { name: Tile, run: tile },
  { name: PadV2, run: pad },
  { name: Transpose, run: transpose },
];

type Movable = TensorInfo & { dtype: 'float32' | 'int32' | 'bool' };

/** Whether the tensor's elements lie in memory as 4 bytes or 1. */
const moves = (backend: WasmBackend, x: TensorInfo | undefined): x is Movable =>
  (['float32', 'int32', 'bool'] as const).some((dtype) => backend.holds(x, dtype));

/** A new tensor whose axes are read from x, from element `start` on, at strides. */
function gathered(backend: WasmBackend, x: Movable, axes: readonly { size: number; stride: number }[], start = 0, shape?: number[]): TensorInfo {
  const sizes = axes.map(({ size }) => size);
  const bytes = x.dtype === 'bool' ? 1 : 4;
  const y = backend.allocate(shape ?? sizes, x.dtype);
  const to = stridesOf(sizes);
  const moved = axes.map(({ size, stride }, axis) => ({ size, strides: [stride, to[axis] as number] }));
  copyStrided(backend, backend.pointer(x) + bytes * start, backend.pointer(y), moved, bytes);
  return y;
}

/** The number of the element at `position`. */
const elementAt = (shape: readonly number[], position: readonly number[]): number =>
  stridesOf(shape).reduce((sum, stride, axis) => sum + stride * (position[axis] as number), 0);

function slice(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!moves(backend, x)) return onCpu(Slice, call);
  const [begin, size] = slice_util.parseSliceParams(x as never, attrs.begin as number[], attrs.size as number[]) as [number[], number[]];
  slice_util.assertParamsValid(x as never, begin, size);
  const strides = stridesOf(x.shape);
  return gathered(backend, x, size.map((length, axis) => ({ size: length, stride: strides[axis] as number })), elementAt(x.shape, begin));
}

function stridedSlice(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!moves(backend, x)) return onCpu(StridedSlice, call);
  const given = attrs as unknown as { [name: string]: number[] & number };
  const { finalShape, begin, end, strides: steps } = slice_util.sliceInfo(
    x.shape, given.begin as number[], given.end as number[], given.strides as number[],
    given.beginMask as number, given.endMask as number, given.ellipsisMask as number, given.newAxisMask as number, given.shrinkAxisMask as number);
  const strides = stridesOf(x.shape);
  const sizes = slice_util.computeOutShape(begin, end, steps).map((size) => Math.max(size, 0));
  const axes = sizes.map((size, axis) => ({ size, stride: (strides[axis] as number) * (steps[axis] as number) }));
  return gathered(backend, x, axes, elementAt(x.shape, begin), finalShape);
}

function reverse(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!moves(backend, x)) return onCpu(Reverse, call);
  const reversed = util.parseAxisParam(attrs.dims as number[], x.shape);
  const isReversed = (axis: number): boolean => reversed.includes(axis);
  const axes = stridesOf(x.shape).map((stride, axis) => ({ size: x.shape[axis] as number, stride: isReversed(axis) ? -stride : stride }));
  return gathered(backend, x, axes, elementAt(x.shape, x.shape.map((size, axis) => (isReversed(axis) ? Math.max(size - 1, 0) : 0))));
}

/** Each axis is two: the copies, which do not move in x, and their elements. */
function tile(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const reps = attrs.reps as number[];
  if (!moves(backend, x) || reps.length !== x.shape.length) return onCpu(Tile, call);
  const strides = stridesOf(x.shape);
  const axes = x.shape.flatMap((size, axis) => [{ size: reps[axis] as number, stride: 0 }, { size, stride: strides[axis] as number }]);
  return gathered(backend, x, axes, 0, x.shape.map((size, axis) => size * (reps[axis] as number)));
}

function pad(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const paddings = attrs.paddings as [number, number][];
  if (!backend.holds(x, 'float32')) return onCpu(PadV2, call);
  const y = filled(backend, x.shape.map((size, axis) => size + (paddings[axis]?.[0] ?? 0) + (paddings[axis]?.[1] ?? 0)), attrs.constantValue as number);
  const [from, to] = [stridesOf(x.shape), stridesOf(y.shape)];
  const axes = x.shape.map((size, axis) => ({ size, strides: [from[axis] as number, to[axis] as number] }));
  copyStrided(backend, backend.pointer(x), backend.pointer(y) + 4 * elementAt(y.shape, paddings.map(([before]) => before)), axes);
  return y;
}

function transpose(call: KernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const perm = attrs.perm as number[];
  if (!moves(backend, x)) return onCpu(Transpose, call);
  const plan = x.dtype === 'bool' ? null : swapOf(x.shape, perm);
  const strides = stridesOf(x.shape);
  if (plan === null) return gathered(backend, x, perm.map((axis) => ({ size: x.shape[axis] as number, stride: strides[axis] as number })));
  const y = backend.allocate(perm.map((axis) => x.shape[axis] as number), x.dtype);
  const [a, b, c, d] = plan;
  const perChunk = Math.max(1, Math.floor(16384 / Math.max(b * d, 1)));
  if (a * b * c * d > 0) backend.run('transpose', Math.ceil((a * c) / perChunk), backend.pointer(x), backend.pointer(y), a, b, c, d, perChunk);
  return y;
}

/** A permutation that swaps two adjacent groups of axes, as sizes a × (b, c swapped) × d; null for any other. */
function swapOf(shape: readonly number[], perm: readonly number[]): [number, number, number, number] | null {
  const rank = shape.length;
  let start = 0;
  while (start < rank && perm[start] === start) start++;
  let end = rank;
  while (end > start && perm[end - 1] === end - 1) end--;
  const split = perm[start] ?? end;
  const isSwap = perm.slice(start, end).every((axis, i) => axis === (split + i < end ? split + i : start + (split + i - end)));
  if (!isSwap) return null;
  const size = (from: number, to: number): number => util.sizeFromShape(shape.slice(from, to));
  return [size(0, start), size(start, split), size(split, end), size(end, rank)];
}
