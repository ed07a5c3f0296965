import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { util, type backend_util, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import { callScope, type CallScope } from './callScope.ts';
import type { Block } from './memory.ts';
import type { WasmRuntime } from './runtime.ts';
import { heapEntry, heapView, hostEntry, type TensorEntry } from './tensorEntry.ts';

/** BACKEND_NAME — under which tfjs knows this backend. tfjs splits kernel keys at underscores, so it has none. */
export const BACKEND_NAME = 'evenkeel-wasm';

let nextDataId = 0;

/**
 * WasmBackend — tfjs' CPU backend with tensors in one WebAssembly memory.
 *
 * Our kernels ask for pointers; every other kernel is the CPU backend's and reads `values`, a view on the same memory. What
 * CPU kernels make stays a JavaScript array until one of ours needs its pointer.
 */
export class WasmBackend extends MathBackendCPU {
  readonly runtime: WasmRuntime;
  private readonly kernelIndices: Record<string, number> = Object.create(null) as Record<string, number>;
  private hostBytes = 0;
  private scope: CallScope | undefined;

  constructor(runtime: WasmRuntime) {
    super();
    this.runtime = runtime;
  }

  /** allocate — a new tensor in the heap, its values undefined. */
  allocate(shape: number[], dtype: 'float32' | 'int32' | 'bool' = 'float32'): TensorInfo {
    const size = util.sizeFromShape(shape);
    const block = this.runtime.heap.allocate(size * bytesPerElement(dtype));
    const dataId = { id: nextDataId++ };
    this.data.set(dataId, heapEntry(this.runtime.memory, block, size, dtype) as never);
    this.scope?.data.push(dataId);
    return { dataId, shape, dtype };
  }

  /** intermediate — a heap block for the running kernel's own use; give it back with `release`. */
  intermediate(bytes: number): Block {
    const block = this.runtime.heap.allocate(bytes);
    this.scope?.blocks.add(block);
    return block;
  }

  release(block: Block): void {
    this.scope?.blocks.delete(block);
    this.runtime.heap.free(block);
  }

  /** temporary — `info`, to be freed when the running kernel call ends. */
  temporary(info: TensorInfo): TensorInfo {
    this.scope?.temporaries.push(info.dataId);
    return info;
  }

  /** converted — a new tensor of that dtype with the numbers of another one. */
  converted(info: TensorInfo, dtype: 'float32' | 'int32'): TensorInfo {
    const values = this.entry(info.dataId).values as ArrayLike<number>;
    return this.makeTensorInfo(info.shape, dtype, dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values));
  }

  /**
   * call — runs a kernel. What it allocated is freed if it throws, unless other threads may still be writing there.
   */
  call<T>(kernel: () => T): T {
    const outer = this.scope;
    const scope = this.scope = callScope();
    try {
      const result = kernel();
      if (outer !== undefined) for (const dataId of scope.data) outer.data.push(dataId);
      return result;
    } catch (error) {
      if (this.runtime.pool.healthy()) {
        for (const dataId of scope.data) this.disposeData(dataId, true);
        for (const block of scope.blocks) this.runtime.heap.free(block);
      }
      throw error;
    } finally {
      this.scope = outer;
      for (const dataId of scope.temporaries) this.disposeData(dataId, true);
    }
  }

  /** pointer — the address of a tensor's values, which are moved to the heap if they are not there yet. */
  pointer(info: TensorInfo): number {
    const entry = this.entry(info.dataId);
    if (entry.block === undefined) this.moveToHeap(entry);
    return (entry.block as Block).pointer;
  }

  /** pointerOrZero — `pointer`, or 0 for an input that is absent. */
  pointerOrZero(info: TensorInfo | undefined): number {
    return info === undefined ? 0 : this.pointer(info);
  }

  /** holds — whether the stored values are of this type: after a CPU kernel's cast a tensor's dtype may differ from its data's. */
  holds<D extends DataType>(info: TensorInfo | undefined, dtype: D): info is TensorInfo & { dtype: D } {
    return info !== undefined && info.dtype === dtype && this.entry(info.dataId).dtype === dtype;
  }

  /** settle — stores float32 values that a CPU kernel's cast has left under another type (see `holds`) as float32, in place. */
  settle({ dataId }: TensorInfo): void {
    const entry = this.entry(dataId);
    if (entry.dtype === 'float32') return;
    const values = Float32Array.from(entry.values as ArrayLike<number>);
    if (entry.block === undefined) this.hostBytes -= byteLength(entry.host);
    else this.runtime.heap.free(entry.block);
    Object.assign(entry, { dtype: 'float32', host: values, block: undefined, view: undefined });
    this.hostBytes += values.byteLength;
  }

  /** run — runs a kernel of assembly/ on the pool: chunks 0 … chunks − 1, with arguments as its docstring numbers them. */
  run(kernel: string, chunks: number, ...args: number[]): void {
    this.runtime.pool.run(this.kernelIndices[kernel] ??= this.runtime.pool.kernel(kernel), chunks, ...args);
  }

  private entry(dataId: object): TensorEntry {
    return this.data.get(dataId) as unknown as TensorEntry;
  }

  private moveToHeap(entry: TensorEntry): void {
    const host = entry.host as ArrayLike<number>;
    entry.block = this.runtime.heap.allocate(host.length * bytesPerElement(entry.dtype));
    entry.size = host.length;
    heapView(entry).set(host);
    this.hostBytes -= byteLength(entry.host);
    entry.host = undefined;
  }

  /** Values that lie in the heap belong to another tensor's block, which may be freed first: copy them out. */
  private own(values: backend_util.BackendValues): backend_util.BackendValues {
    const buffer = (values as Partial<Float32Array> | undefined)?.buffer;
    if (buffer === undefined) return values;
    const isHeap = buffer === this.runtime.memory.buffer || (this.runtime.shared && buffer instanceof SharedArrayBuffer);
    return isHeap ? (values as Float32Array).slice() : values;
  }

  override write(values: backend_util.BackendValues, _shape: number[], dtype: DataType): object {
    const dataId = { id: nextDataId++ };
    this.adopt(dataId, values, dtype, 1);
    this.scope?.data.push(dataId);
    return dataId;
  }

  override move(dataId: object, values: backend_util.BackendValues, _shape: number[], dtype: DataType, refCount: number): void {
    this.adopt(dataId, values, dtype, refCount);
  }

  private adopt(dataId: object, values: backend_util.BackendValues, dtype: DataType, refCount: number): void {
    const host = this.own(values);
    this.hostBytes += byteLength(host);
    this.data.set(dataId, hostEntry(this.runtime.memory, host, dtype, refCount) as never);
  }

  override readSync(dataId: object): backend_util.BackendValues {
    const entry = this.entry(dataId);
    return entry.block === undefined ? super.readSync(dataId) : heapView(entry).slice();
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const entry = this.entry(dataId);
    const { block, host } = entry;
    const released = super.disposeData(dataId, force);
    if (!released) return false;
    if (block !== undefined) this.runtime.heap.free(block);
    else this.hostBytes -= byteLength(host);
    return true;
  }

  override memory(): { unreliable: boolean; reasons: string[] } & WasmMemoryInfo {
    const { bytesInUse, peakBytes, heapBytes } = this.runtime.heap.statistics();
    return { unreliable: false, reasons: [], bytesInUse, peakBytes, heapBytes, hostBytes: this.hostBytes };
  }

  override dispose(): void {
    this.runtime.pool.dispose();
  }
}

/** WasmMemoryInfo — the backend's part of `tf.memory()`. */
export type WasmMemoryInfo = {
  /** Bytes of heap blocks in use now, and at most since the last `heap.resetPeak()`; the threads' scratch included. */
  bytesInUse: number;
  peakBytes: number;
  /** Size of the WebAssembly memory. */
  heapBytes: number;
  /** Bytes of tensors whose values are still JavaScript arrays. */
  hostBytes: number;
};

function bytesPerElement(dtype: DataType): number {
  return dtype === 'bool' ? 1 : 4;
}

function byteLength(values: backend_util.BackendValues | undefined): number {
  return (values as Partial<Float32Array> | undefined)?.byteLength ?? 0;
}
