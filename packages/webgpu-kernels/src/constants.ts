import type { TensorInfo } from '@tensorflow/tfjs-core';

/** How many are kept: a model has one or two. */
const MOST = 8;

/** Constants — numbers that kernels brought along and that stay on the device: the last few, by the identity of their ArrayBuffers. */
export class Constants {
  readonly #kept = new Map<ArrayBufferLike, TensorInfo>();

  get size(): number {
    return this.#kept.size;
  }

  /** get — the tensor of a whole buffer, made at the first time; `free` gets the one that was not asked for the longest. */
  get(buffer: ArrayBufferLike, make: (values: Float32Array) => TensorInfo, free: (info: TensorInfo) => void): TensorInfo {
    const info = this.#kept.get(buffer) ?? make(new Float32Array(buffer, 0, Math.floor(buffer.byteLength / 4)));
    this.#kept.delete(buffer);
    this.#kept.set(buffer, info);
    const [oldest] = this.#kept;
    if (this.#kept.size > MOST && oldest !== undefined) {
      this.#kept.delete(oldest[0]);
      free(oldest[1]);
    }
    return info;
  }
}
