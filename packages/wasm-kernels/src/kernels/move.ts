import { backend_util, Concat, Fill, OnesLike, Pack, SplitV, Unpack, util, ZerosLike, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { chunksFor, listOnCpu, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';

/** Kernels that move whole blocks of float32 values, or fill; rearrange.ts has those that move by strides. */
export const moveKernels: readonly WasmKernel[] = [
  { name: SplitV, run: split },
  { name: Concat, run: (call) => concat(Concat, call, (shape, axis) => shape[axis] as number) },
  { name: Pack, run: (call) => concat(Pack, call, () => 1) },
  { name: Unpack, run: unpack },
  { name: ZerosLike, run: (call) => fillLike(ZerosLike, call, 0) },
  { name: OnesLike, run: (call) => fillLike(OnesLike, call, 1) },
  { name: Fill, run: fill },
];

const BYTES_PER_CHUNK = 1 << 16;

/** copyBlocks — `count` blocks of `bytes` bytes from one regular pattern to another. */
function copyBlocks(backend: WasmBackend, from: number, to: number, count: number, bytes: number, fromStride: number, toStride: number): void {
  if (count === 0 || bytes === 0) return;
  const perChunk = Math.max(1, Math.floor(BYTES_PER_CHUNK / bytes));
  backend.run('copyBlocks', Math.ceil(count / perChunk), from, to, count, bytes, fromStride, toStride, perChunk);
}

/** The number of slices that stand before `axis`, and the bytes of one element of it. */
function around(shape: readonly number[], axis: number): { outer: number; inner: number } {
  const size = (from: number, to?: number): number => util.sizeFromShape(shape.slice(from, to));
  return { outer: size(0, axis), inner: 4 * size(axis + 1) };
}

/** Part of `x` along one axis, from index `begin` on. */
function part(backend: WasmBackend, x: TensorInfo, axis: number, begin: number, shape: number[], length: number): TensorInfo {
  const y = backend.allocate(shape);
  const { outer, inner } = around(x.shape, axis);
  copyBlocks(backend, backend.pointer(x) + begin * inner, backend.pointer(y), outer, length * inner, (x.shape[axis] as number) * inner, length * inner);
  return y;
}

function split(call: KernelCall): TensorInfo[] {
  const { inputs: { x }, attrs, backend } = call;
  if (!backend.holds(x, 'float32')) return listOnCpu(SplitV, call);
  const axis = util.parseAxisParam(attrs.axis as number, x.shape)[0] as number;
  const sizes = backend_util.prepareSplitSize(x as never, attrs.numOrSizeSplits as number[], axis);
  const fits = sizes.every((size) => size >= 0) && sizes.reduce((sum, size) => sum + size, 0) === x.shape[axis];
  if (!fits) return listOnCpu(SplitV, call); // throws, with tfjs' own message
  let begin = 0;
  return sizes.map((size) => {
    const piece = part(backend, x, axis, begin, x.shape.map((length, i) => (i === axis ? size : length)), size);
    begin += size;
    return piece;
  });
}

function unpack(call: KernelCall): TensorInfo[] {
  const { inputs: { value }, attrs, backend } = call;
  if (!backend.holds(value, 'float32')) return listOnCpu(Unpack, call);
  const axis = ((attrs.axis as number) + value.shape.length) % value.shape.length;
  const shape = value.shape.filter((_, i) => i !== axis);
  return Array.from({ length: value.shape[axis] as number }, (_, i) => part(backend, value, axis, i, shape, 1));
}

/** Concat and Pack: each input is written into its stripe of the result. `lengthOf`: how wide that stripe is along the axis. */
function concat(name: string, call: KernelCall, lengthOf: (shape: number[], axis: number) => number): TensorInfo {
  const { attrs, backend } = call;
  const inputs = Object.values(call.inputs) as TensorInfo[];
  if (!inputs.every((x) => backend.holds(x, 'float32'))) return onCpu(name, call);
  const first = inputs[0] as TensorInfo;
  const rank = first.shape.length + (name === Pack ? 1 : 0);
  const axis = ((attrs.axis as number) + rank) % rank;
  const lengths = inputs.map(({ shape }) => lengthOf(shape, axis));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const shape = name === Pack ? first.shape.toSpliced(axis, 0, total) : first.shape.with(axis, total);
  const same = inputs.every((x, i) => x.shape.length === first.shape.length && x.shape.every((length, at) => length === first.shape[at] || (name === Concat && at === axis && length === lengths[i])));
  if (!same) return onCpu(name, call); // throws, with tfjs' own message
  const y = backend.allocate(shape);
  const { outer, inner } = around(shape, axis);
  let to = backend.pointer(y);
  inputs.forEach((x, i) => {
    const bytes = (lengths[i] as number) * inner;
    copyBlocks(backend, backend.pointer(x), to, outer, bytes, bytes, total * inner);
    to += bytes;
  });
  return y;
}

function fillLike(name: string, call: KernelCall, value: number): TensorInfo {
  const { inputs: { x }, backend } = call;
  return backend.holds(x, 'float32') ? filled(backend, x.shape, value) : onCpu(name, call);
}

function fill(call: KernelCall): TensorInfo {
  const { shape, value, dtype } = call.attrs;
  const isFloat = typeof value === 'number' && (dtype === undefined || dtype === null || dtype === 'float32');
  return isFloat ? filled(call.backend, shape as number[], value) : onCpu(Fill, call);
}

/** filled — a new tensor of one value. */
export function filled(backend: WasmBackend, shape: number[], value: number): TensorInfo {
  const y = backend.allocate(shape);
  const size = util.sizeFromShape(shape);
  backend.run('fill', chunksFor(size), backend.pointer(y), size, value);
  return y;
}
