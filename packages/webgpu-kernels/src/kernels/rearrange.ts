import type { GpuBackend, GpuKernel, GpuKernelCall } from '@evenkeel/core-tensor';
import { PadV2, Reverse, Slice, slice_util, StridedSlice, Tile, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { filled } from './fill.ts';
import { onStock } from './stock.ts';
import { copyStrided, isWord, MAX_AXES, mergeAxes, stridesOf, type Axis } from './strided.ts';

/** Kernels whose result is values read, or written, at regular distances. Strings and complex numbers go to tfjs' kernels. */
export const rearrangeKernels: readonly GpuKernel[] = [
  { name: Slice, run: (call) => gathering(Slice, call, slice) },
  { name: StridedSlice, run: (call) => gathering(StridedSlice, call, stridedSlice) },
  { name: Reverse, run: (call) => gathering(Reverse, call, reverse) },
  { name: Tile, run: (call) => gathering(Tile, call, tile) },
  { name: PadV2, run: pad },
];

/** How a result is read from x: from element `start` on, its axes (or more, that fall together) at strides. */
type Gather = { readonly axes: readonly { readonly size: number; readonly stride: number }[]; readonly start?: number; readonly shape?: readonly number[] };

type Attrs = GpuKernelCall['attrs'];

function gathering(name: string, call: GpuKernelCall, planOf: (x: TensorInfo, attrs: Attrs) => Gather): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!isWord(x)) return onStock(name, call);
  return gathered(backend, x, planOf(x, attrs)) ?? onStock(name, call);
}

/** gathered — a new tensor that is read from x as planned; undefined if that takes too many axes. */
export function gathered(backend: GpuBackend, x: TensorInfo, { axes, start = 0, shape }: Gather): TensorInfo | undefined {
  const sizes = axes.map(({ size }) => size);
  const to = stridesOf(sizes);
  const moved: Axis[] = mergeAxes(axes.map(({ size, stride }, axis) => ({ size, strides: [stride, to[axis] as number] })));
  if (moved.length > MAX_AXES) return undefined;
  const y = backend.allocate(shape ?? sizes, x.dtype);
  copyStrided(backend, x, y, moved, start);
  return y;
}

/** The number of the element at `position`. */
const elementAt = (shape: readonly number[], position: readonly number[]): number =>
  stridesOf(shape).reduce((sum, stride, axis) => sum + stride * (position[axis] as number), 0);

function slice(x: TensorInfo, attrs: Attrs): Gather {
  const [begin, size] = slice_util.parseSliceParams(x as never, attrs['begin'] as number[], attrs['size'] as number[]) as [number[], number[]];
  slice_util.assertParamsValid(x as never, begin, size);
  const strides = stridesOf(x.shape);
  return { axes: size.map((length, axis) => ({ size: length, stride: strides[axis] as number })), start: elementAt(x.shape, begin) };
}

function stridedSlice(x: TensorInfo, attrs: Attrs): Gather {
  const given = attrs as unknown as { [name: string]: number[] & number };
  const { finalShape, begin, end, strides: steps } = slice_util.sliceInfo(
    x.shape, given['begin'] as number[], given['end'] as number[], given['strides'] as number[],
    given['beginMask'] as number, given['endMask'] as number, given['ellipsisMask'] as number, given['newAxisMask'] as number, given['shrinkAxisMask'] as number);
  const strides = stridesOf(x.shape);
  const sizes = slice_util.computeOutShape(begin, end, steps).map((size) => Math.max(size, 0));
  const axes = sizes.map((size, axis) => ({ size, stride: (strides[axis] as number) * (steps[axis] as number) }));
  return { axes, start: elementAt(x.shape, begin), shape: finalShape };
}

function reverse(x: TensorInfo, attrs: Attrs): Gather {
  const reversed = util.parseAxisParam(attrs['dims'] as number[], x.shape);
  const isReversed = (axis: number): boolean => reversed.includes(axis);
  const axes = stridesOf(x.shape).map((stride, axis) => ({ size: x.shape[axis] as number, stride: isReversed(axis) ? -stride : stride }));
  return { axes, start: elementAt(x.shape, x.shape.map((size, axis) => (isReversed(axis) ? Math.max(size - 1, 0) : 0))) };
}

/** Each axis is two: the copies, which do not move in x, and their elements. */
function tile(x: TensorInfo, attrs: Attrs): Gather {
  const reps = attrs['reps'] as number[];
  const strides = stridesOf(x.shape);
  const axes = x.shape.flatMap((size, axis) => [{ size: reps[axis] as number, stride: 0 }, { size, stride: strides[axis] as number }]);
  return { axes, shape: x.shape.map((size, axis) => size * (reps[axis] as number)) };
}

function pad(call: GpuKernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const { paddings, constantValue } = attrs as { paddings: [number, number][]; constantValue: number };
  if (!isWord(x)) return onStock(PadV2, call);
  const shape = x.shape.map((size, axis) => size + (paddings[axis]?.[0] ?? 0) + (paddings[axis]?.[1] ?? 0));
  const [from, to] = [stridesOf(x.shape), stridesOf(shape)];
  const axes = mergeAxes(x.shape.map((size, axis) => ({ size, strides: [from[axis] as number, to[axis] as number] })));
  if (axes.length > MAX_AXES) return onStock(PadV2, call);
  const y = filled(backend, shape, constantValue, x.dtype);
  copyStrided(backend, x, y, axes, 0, elementAt(shape, paddings.map(([before]) => before)));
  return y;
}
