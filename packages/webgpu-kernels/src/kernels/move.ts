import type { GpuKernel, GpuKernelCall } from '@evenkeel/core-tensor';
import { backend_util, Concat, Pack, SplitV, Unpack, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { listOnStock, onStock } from './stock.ts';
import { copyStrided, isWord } from './strided.ts';

/** Kernels that move whole blocks, one launch per part. Strings, complex numbers and mixed dtypes go to tfjs' kernels. */
export const moveKernels: readonly GpuKernel[] = [
  { name: SplitV, run: split },
  { name: Unpack, run: unpack },
  { name: Concat, run: (call) => concat(Concat, call, (shape, axis) => shape[axis] as number) },
  { name: Pack, run: (call) => concat(Pack, call, () => 1) },
];

/** The number of slices that stand before `axis`, and the elements of one index of it. */
function around(shape: readonly number[], axis: number): { outer: number; inner: number } {
  return { outer: util.sizeFromShape(shape.slice(0, axis)), inner: util.sizeFromShape(shape.slice(axis + 1)) };
}

/** Part of `x` along one axis, from index `begin` on. */
function part({ backend }: GpuKernelCall, x: TensorInfo, axis: number, begin: number, shape: number[], length: number): TensorInfo {
  const y = backend.allocate(shape, x.dtype);
  const { outer, inner } = around(x.shape, axis);
  const axes = [{ size: outer, strides: [(x.shape[axis] as number) * inner, length * inner] }, { size: length * inner, strides: [1, 1] }];
  copyStrided(backend, x, y, axes, begin * inner);
  return y;
}

function split(call: GpuKernelCall): TensorInfo[] {
  const { inputs: { x }, attrs } = call;
  if (!isWord(x)) return listOnStock(SplitV, call);
  const axis = util.parseAxisParam(attrs['axis'] as number, x.shape)[0] as number;
  const sizes = backend_util.prepareSplitSize(x as never, attrs['numOrSizeSplits'] as number[], axis);
  const fits = sizes.every((size) => size >= 0) && sizes.reduce((sum, size) => sum + size, 0) === x.shape[axis];
  if (!fits) return listOnStock(SplitV, call); // throws, with tfjs' own message
  let begin = 0;
  return sizes.map((size) => {
    const piece = part(call, x, axis, begin, x.shape.with(axis, size), size);
    begin += size;
    return piece;
  });
}

function unpack(call: GpuKernelCall): TensorInfo[] {
  const { inputs: { value }, attrs } = call;
  if (!isWord(value)) return listOnStock(Unpack, call);
  const axis = ((attrs['axis'] as number) + value.shape.length) % value.shape.length;
  const shape = value.shape.toSpliced(axis, 1);
  return Array.from({ length: value.shape[axis] as number }, (_, i) => part(call, value, axis, i, shape, 1));
}

/** Concat and Pack: each input is written into its stripe of the result. `lengthOf`: how wide that stripe is along the axis. */
function concat(name: string, call: GpuKernelCall, lengthOf: (shape: readonly number[], axis: number) => number): TensorInfo {
  const { attrs, backend } = call;
  const inputs = Object.values(call.inputs) as TensorInfo[];
  const [first] = inputs;
  if (!isWord(first) || inputs.some(({ dtype }) => dtype !== first.dtype)) return onStock(name, call);
  const rank = first.shape.length + (name === Pack ? 1 : 0);
  const axis = ((attrs['axis'] as number) + rank) % rank;
  const lengths = inputs.map(({ shape }) => lengthOf(shape, axis));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const shape = name === Pack ? first.shape.toSpliced(axis, 0, total) : first.shape.with(axis, total);
  const same = inputs.every((x) => x.shape.length === first.shape.length && x.shape.every((length, at) => length === first.shape[at] || (name === Concat && at === axis)));
  if (!same) return onStock(name, call); // throws, with tfjs' own message
  const y = backend.allocate(shape, first.dtype);
  const { outer, inner } = around(shape, axis);
  let begin = 0;
  inputs.forEach((x, i) => {
    const block = (lengths[i] as number) * inner;
    if (block > 0) copyStrided(backend, x, y, [{ size: outer, strides: [block, total * inner] }, { size: block, strides: [1, 1] }], 0, begin);
    begin += block;
  });
  return y;
}
