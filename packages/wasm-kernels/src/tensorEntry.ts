import type { backend_util, DataType, TensorInfo } from '@tensorflow/tfjs-core';
import type { Block } from './memory.ts';

/**
 * TensorEntry — what the backend keeps per tensor. CPU kernels read `values`; for a tensor in the WebAssembly heap that is a
 * typed array over its block, made on first use and again when an unshared memory has grown (which detaches old views).
 */
export type TensorEntry = {
  readonly values: backend_util.BackendValues | undefined;
  dtype: DataType;
  refCount: number;
  complexTensorInfos?: { real: TensorInfo; imag: TensorInfo };
  /** Values of a tensor made by a CPU kernel or the user, until one of our kernels needs a pointer to it. */
  host: backend_util.BackendValues | undefined;
  block: Block | undefined;
  view: HeapArray | undefined;
  /** Number of elements in the heap. */
  size: number;
  memory: WebAssembly.Memory;
};

export type HeapArray = Float32Array | Int32Array | Uint8Array;

const prototype = {
  get values(): backend_util.BackendValues | undefined {
    const entry = this as unknown as TensorEntry;
    return entry.block === undefined ? entry.host : heapView(entry);
  },
};

export function hostEntry(memory: WebAssembly.Memory, host: backend_util.BackendValues, dtype: DataType, refCount: number): TensorEntry {
  const entry = Object.create(prototype) as TensorEntry;
  entry.dtype = dtype;
  entry.refCount = refCount;
  entry.host = host;
  entry.block = undefined;
  entry.view = undefined;
  entry.size = 0;
  entry.memory = memory;
  return entry;
}

export function heapEntry(memory: WebAssembly.Memory, block: Block, size: number, dtype: DataType): TensorEntry {
  const entry = hostEntry(memory, undefined as never, dtype, 1);
  entry.block = block;
  entry.size = size;
  return entry;
}

/** heapView — the typed array over the entry's block. */
export function heapView(entry: TensorEntry): HeapArray {
  const view = entry.view;
  if (view !== undefined && (view.length === entry.size)) return view;
  const { buffer } = entry.memory;
  const { pointer } = entry.block as Block;
  if (entry.dtype === 'float32') entry.view = new Float32Array(buffer, pointer, entry.size);
  else if (entry.dtype === 'int32') entry.view = new Int32Array(buffer, pointer, entry.size);
  else entry.view = new Uint8Array(buffer, pointer, entry.size);
  return entry.view;
}
