import { UNIFORM_BYTES } from '@evenkeel/core-tensor';
import type { BufferPool } from './bufferPool.ts';
import type { BindLayout } from './pipelines.ts';
import { bindGroupOf, uniformRoom } from './uniforms.ts';

/** Bind groups that are kept at most, and bytes of their uniforms. */
const MOST = 8192;
const CAPACITY = MOST * UNIFORM_BYTES;

type Entry = { readonly key: Int32Array; readonly group: GPUBindGroup; readonly next: Entry | undefined };

/** Bound — what a launch binds: buffers, how much of each where not all of it, and the first `words` of `uniforms`. */
export type Bound = {
  readonly layout: BindLayout; readonly buffers: readonly GPUBuffer[]; readonly sizes?: readonly number[]; readonly uniforms: Int32Array; readonly words: number;
};

/**
 * BindGroups — the bind groups made so far, each with its tensors and the values of its uniforms: a launch that was made before finds
 * the same again and writes nothing. One without an offset of its own costs Dawn a third less at every launch. New uniforms
 * go to the device with the batch that uses them.
 */
export class BindGroups {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #buffer: GPUBuffer;
  readonly #bytes = new Int32Array(CAPACITY / 4);
  readonly #entries = new Map<number, Entry>();
  #key = new Int32Array(256);
  #size = 0;
  /** Bytes of uniforms taken, and how many of them are on the device. */
  #used = 0;
  #written = 0;

  constructor(device: GPUDevice, pool: BufferPool) {
    this.#device = device;
    this.#pool = pool;
    this.#buffer = device.createBuffer({ label: 'uniforms', size: CAPACITY, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  }

  /** get — the bind group, or undefined if there is no room for another one: then all launches must be submitted, and `reset` called. */
  get(bound: Bound): GPUBindGroup | undefined {
    const length = this.#makeKey(bound);
    const hash = hashOf(this.#key, length);
    const first = this.#entries.get(hash);
    for (let entry = first; entry !== undefined; entry = entry.next) if (isSame(entry.key, this.#key, length)) return entry.group;
    const bytes = 4 * bound.words;
    const room = bound.layout.hasUniforms ? uniformRoom(bytes) : 0;
    if (this.#size === MOST || this.#used + room > CAPACITY) return undefined;
    const { layout, buffers, sizes, uniforms, words } = bound;
    const tensors = buffers.map((buffer, i): GPUBufferBinding => (sizes === undefined ? { buffer } : { buffer, size: sizes[i] as number }));
    const group = bindGroupOf(this.#device, layout, tensors, { buffer: this.#buffer, offset: this.#used, bytes });
    for (let i = 0; i < words; i++) this.#bytes[this.#used / 4 + i] = uniforms[i] as number;
    this.#used += room;
    this.#size += 1;
    this.#entries.set(hash, { key: this.#key.slice(0, length), group, next: first });
    return group;
  }

  /** upload — to be called before a batch is submitted. */
  upload(): void {
    if (this.#used > this.#written) this.#device.queue.writeBuffer(this.#buffer, this.#written, this.#bytes, this.#written / 4, (this.#used - this.#written) / 4);
    this.#written = this.#used;
  }

  /** forget — lets go of all bind groups; launches that wait keep theirs, and their uniforms. */
  forget(): void {
    this.#entries.clear();
    this.#size = 0;
  }

  /** reset — begins anew; no launch may be waiting. */
  reset(): void {
    this.forget();
    this.#used = this.#written = 0;
  }

  /** Layout, buffers with their sizes, and uniforms; how many words. */
  #makeKey({ layout, buffers, sizes, uniforms, words }: Bound): number {
    const length = 1 + 2 * buffers.length + words;
    if (length > this.#key.length) this.#key = new Int32Array(2 * length);
    const key = this.#key;
    let at = 0;
    key[at++] = layout.id;
    for (let i = 0; i < buffers.length; i++) {
      key[at++] = this.#pool.use(buffers[i] as GPUBuffer).id;
      key[at++] = sizes === undefined ? 0 : sizes[i] as number;
    }
    for (let i = 0; i < words; i++) key[at++] = uniforms[i] as number;
    return length;
  }
}

/** 30 bits, which V8 keeps as a number without a box. */
function hashOf(key: Int32Array, length: number): number {
  let hash = length;
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ (key[i] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash >>> 2;
}

function isSame(a: Int32Array, b: Int32Array, length: number): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
