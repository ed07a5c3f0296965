import type { GpuKernel, GpuKernelCall } from '@evenkeel/core-tensor';
import { All, Any, Max, Mean, Min, Sum, util, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Word } from './broadcast.ts';
import { COLUMN_SPAN, columnsProgram, LANES, ROW_SPAN, rowsProgram, type Reduction } from './reducePrograms.ts';
import { onStock } from './stock.ts';

/**
 * Sum, Mean, Max and Min of float32 and int32 tensors, Any and All of bool ones, over any axes; axes that are scattered are reduced
 * group by group, from the last. Always added in the same order, in runs of at most a few hundred, so that long sums stay exact.
 * Over no elements a sum is 0, a maximum −∞ or the smallest integer, a minimum the opposite; the largest with a NaN is NaN.
 */
export const reduceKernels: readonly GpuKernel[] = [
  { name: Sum, run: (call) => reduce(Sum, call, 'sum') },
  { name: Mean, run: (call) => reduce(Mean, call, 'sum') },
  { name: Max, run: (call) => reduce(Max, call, 'max') },
  { name: Min, run: (call) => reduce(Min, call, 'min') },
  { name: Any, run: (call) => reduce(Any, call, 'max') },
  { name: All, run: (call) => reduce(All, call, 'min') },
];

/** What is found where there is no element. */
const STARTS: Readonly<Record<Word, Readonly<Record<Reduction, number>>>> = {
  f32: { sum: 0, max: -Infinity, min: Infinity }, i32: { sum: 0, max: -(2 ** 31), min: 2 ** 31 - 1 },
};

/** The dtypes that a kernel takes, and what comes out. */
function resultDtype(name: string, dtype: DataType): DataType | undefined {
  if (name === Any || name === All) return dtype === 'bool' ? 'bool' : undefined;
  if (dtype === 'float32') return 'float32';
  if (name === Sum && dtype === 'bool') return 'int32';
  return dtype === 'int32' && name !== Mean ? 'int32' : undefined;
}

function reduce(name: string, call: GpuKernelCall, reduction: Reduction): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const dtype = x && resultDtype(name, x.dtype);
  if (x === undefined || dtype === undefined) return onStock(name, call);
  const given = (attrs['axis'] ?? attrs['reductionIndices']) as number | number[] | undefined;
  const axes = [...util.parseAxisParam(given as never, x.shape)].sort((a, b) => a - b);
  const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const resultShape = attrs['keepDims'] === true ? shape : x.shape.filter((_, axis) => !axes.includes(axis));
  const y = backend.allocate(resultShape, dtype);
  const stages = stagesOf(x.shape, axes);
  const count = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1);
  const scale = name === Mean && count > 0 ? 1 / count : 1;
  let from = x;
  stages.forEach(({ outer, reduced, inner, parts }, i) => {
    const isLast = i === stages.length - 1;
    const to = isLast ? y : backend.temporary([outer, parts, inner], dtype);
    launch(call, { from, to, word: dtype === 'float32' ? 'f32' : 'i32', reduction, scale: isLast ? scale : 1, outer, reduced, inner, parts });
    from = to;
  });
  return y;
}

/** One launch: outer × reduced × inner becomes outer × parts × inner. */
type Stage = { readonly outer: number; readonly reduced: number; readonly inner: number; readonly parts: number };

function stagesOf(shape: readonly number[], axes: readonly number[]): Stage[] {
  const stages: Stage[] = [];
  const current = [...shape];
  const size = (from: number, to?: number): number => util.sizeFromShape(current.slice(from, to));
  for (const [first, last] of groupsOf(axes).reverse()) {
    const [outer, inner] = [size(0, first), size(last + 1)];
    let reduced = size(first, last + 1);
    do {
      const parts = Math.max(1, Math.ceil(reduced / (inner === 1 ? ROW_SPAN : COLUMN_SPAN)));
      stages.push({ outer, reduced, inner, parts });
      reduced = parts;
    } while (reduced > 1);
    current.fill(1, first, last + 1);
  }
  return stages.length > 0 ? stages : [{ outer: size(0), reduced: 1, inner: 1, parts: 1 }];
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

type Launch = Stage & { readonly from: TensorInfo; readonly to: TensorInfo; readonly word: Word; readonly reduction: Reduction; readonly scale: number };

function launch({ backend }: GpuKernelCall, { from, to, word, reduction, scale, outer, reduced, inner, parts }: Launch): void {
  const start = STARTS[word][reduction];
  const tensors = { x: from, y: to };
  if (inner === 1) {
    const lanes = reduced <= 32 ? 8 : reduced <= 512 ? 32 : LANES;
    const rows = outer * parts;
    const uniforms = { rows, columns: reduced, parts, start, scale };
    backend.dispatch(rowsProgram(word, reduction, lanes, reduced % 4 === 0), { tensors, uniforms, groups: backend.spread(Math.ceil(rows / (LANES / lanes))) });
    return;
  }
  const width = inner <= 8 ? 8 : inner <= 16 ? 16 : inner <= 32 ? 32 : 64;
  const tiles = Math.ceil(inner / width);
  const uniforms = { groups: outer * parts * tiles, rows: reduced, columns: inner, parts, tiles, start, scale };
  backend.dispatch(columnsProgram(word, reduction, width), { tensors, uniforms, groups: backend.spread(outer * parts * tiles) });
}
