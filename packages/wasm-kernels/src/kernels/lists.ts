import { UnsupportedError } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Block } from '../memory.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { chunksFor, ELEMENTS_PER_CHUNK, floats, optionalFloats, type KernelCall } from './kernel.ts';

/** listOf — the input list `name` of `fn`: float32 tensors `name.0`, `name.1`, …, as many and as large as those of `like` if it is given. */
export function listOf(call: KernelCall, fn: string, name: string, like?: readonly TensorInfo[]): TensorInfo[] {
  const names: string[] = [];
  while (call.inputs[`${name}.${names.length}`] !== undefined) names.push(`${name}.${names.length}`);
  if (like !== undefined && names.length !== like.length) throw new UnsupportedError(`${fn}: ${name} must have ${like.length} tensors, got ${names.length}`);
  const found = floats(call, fn, ...names);
  return names.map((each, i) => {
    const info = found[each] as TensorInfo;
    const size = like === undefined ? undefined : sizeOf(like[i] as TensorInfo);
    if (size !== undefined && sizeOf(info) !== size) throw new UnsupportedError(`${fn}: ${each} must have ${size} elements, got ${sizeOf(info)}`);
    return info;
  });
}

/** sizeOf — the number of elements. */
export const sizeOf = ({ shape }: TensorInfo): number => util.sizeFromShape(shape);

/** writableListOf — `listOf` for tensors whose values the kernel writes over: no other tensor may share them. */
export function writableListOf(call: KernelCall, fn: string, name: string, like?: readonly TensorInfo[]): TensorInfo[] {
  const { inputs, backend } = call;
  for (let i = 0; inputs[`${name}.${i}`] !== undefined; i++) {
    const info = inputs[`${name}.${i}`] as TensorInfo;
    const shares = backend.refCount(info.dataId as object);
    if (shares !== 1) throw new UnsupportedError(`${fn}: ${name}.${i} must have values of its own, got values that ${shares} tensors share`);
    if (info.dtype === 'float32') backend.settle(info);
  }
  return listOf(call, fn, name, like);
}

/**
 * chunkTable — the cut of lists of tensors into chunks of at most 16,384 elements, for kernels over lists (assembly/).
 *
 * One row per chunk: its address in each list, its number of elements, and the numbers that belong to its tensor.
 *
 * @param numbers  lists of one number per tensor, in the order of the row.
 */
export function chunkTable(backend: WasmBackend, lists: readonly (readonly TensorInfo[])[], ...numbers: readonly (readonly number[])[]): { table: Block; chunks: number } {
  const sizes = (lists[0] as readonly TensorInfo[]).map(sizeOf);
  const chunks = sizes.reduce((sum, size) => sum + chunksFor(size), 0);
  const pointers = lists.map((list) => list.map((info) => backend.pointer(info)));
  const { table, words, reals } = tableOf(backend, chunks, lists.length + 1 + numbers.length);
  let at = 0;
  sizes.forEach((size, i) => {
    for (let first = 0; first < size; first += ELEMENTS_PER_CHUNK) {
      for (const list of pointers) words[at++] = (list[i] as number) + first * 4;
      words[at++] = Math.min(ELEMENTS_PER_CHUNK, size - first);
      for (const each of numbers) reals[at++] = each[i] as number;
    }
  });
  return { table, chunks };
}

/** tableOf — memory for a table of `rows` times `width` words, to be written at once, and released after the job. */
export function tableOf(backend: WasmBackend, rows: number, width: number): { table: Block; words: Uint32Array; reals: Float32Array } {
  const table = backend.intermediate(Math.max(1, rows) * width * 4);
  const words = new Uint32Array(backend.runtime.memory.buffer, table.pointer, rows * width);
  return { table, words, reals: new Float32Array(words.buffer, table.pointer, rows * width) };
}

/** indicesOf — 0, 1, 2, … for each tensor of a list: where a kernel finds the tensor's number in an array. */
export const indicesOf = (list: readonly unknown[]): number[] => list.map((_, i) => i);

/** numbersOf — an optional input `name.0` with one number per tensor of `list`; its address, or 0. */
export function numbersOf(call: KernelCall, fn: string, name: string, list: readonly TensorInfo[]): number {
  const info = optionalFloats(call, fn, `${name}.0`)[`${name}.0`];
  if (info !== undefined && sizeOf(info) !== list.length) throw new UnsupportedError(`${fn}: ${name}.0 must have ${list.length} elements, got ${sizeOf(info)}`);
  return call.backend.pointerOrZero(info);
}
