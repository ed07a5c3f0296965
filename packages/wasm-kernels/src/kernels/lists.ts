import { UnsupportedError } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Block } from '../memory.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { ELEMENTS_PER_CHUNK, floats, type KernelCall } from './kernel.ts';

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

const sizeOf = ({ shape }: TensorInfo): number => util.sizeFromShape(shape);

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
 * chunkTable — the cut of lists of tensors into chunks of at most 16,384 elements, for kernels over lists (assembly/lists.ts).
 *
 * One row per chunk: its address in each list, its number of elements, and a number that belongs to its tensor (default 0).
 */
export function chunkTable(backend: WasmBackend, lists: readonly (readonly TensorInfo[])[], numbers?: readonly number[]): { table: Block; chunks: number } {
  const sizes = (lists[0] as readonly TensorInfo[]).map(sizeOf);
  const chunks = sizes.reduce((sum, size) => sum + Math.ceil(size / ELEMENTS_PER_CHUNK), 0);
  const pointers = lists.map((list) => list.map((info) => backend.pointer(info)));
  const width = lists.length + 2;
  const table = backend.intermediate(Math.max(1, chunks) * width * 4);
  const words = new Uint32Array(backend.runtime.memory.buffer, table.pointer, chunks * width);
  const reals = new Float32Array(words.buffer, table.pointer, chunks * width);
  let at = 0;
  sizes.forEach((size, i) => {
    for (let first = 0; first < size; first += ELEMENTS_PER_CHUNK) {
      for (const list of pointers) words[at++] = (list[i] as number) + first * 4;
      words[at++] = Math.min(ELEMENTS_PER_CHUNK, size - first);
      reals[at++] = numbers?.[i] ?? 0;
    }
  });
  return { table, chunks };
}
