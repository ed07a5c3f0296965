import { currentNumber, UNIFORM_BYTES, type GpuDispatch, type GpuProgram } from '@evenkeel/core-tensor';
import type { BindLayout } from './pipelines.ts';

/** Bytes of uniforms that one batch of commands may have. */
const CAPACITY = 1024 * UNIFORM_BYTES;

/**
 * UniformArena — the uniforms of all launches of a batch in one buffer, written to the device once, before the batch is
 * submitted. Every launch reads its own through an offset, so the bind group of its tensors serves again.
 */
export class UniformArena {
  readonly buffer: GPUBuffer;
  readonly #bytes = new ArrayBuffer(CAPACITY);
  readonly #floats = new Float32Array(this.#bytes);
  readonly #integers = new Int32Array(this.#bytes);
  readonly #device: GPUDevice;
  #used = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.buffer = device.createBuffer({ label: 'uniforms', size: CAPACITY, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  }

  hasRoomFor(bytes: number): boolean {
    return this.#used + aligned(bytes) <= CAPACITY;
  }

  /** write — stores the uniforms of a launch; returns their offset in bytes. */
  write(program: GpuProgram, values: NonNullable<GpuDispatch['uniforms']>): number {
    const offset = this.#take(4 * program.uniforms.length);
    writeUniforms(program, values, this.#floats, this.#integers, offset / 4);
    return offset;
  }

  /** writeBytes — stores uniforms that are laid out already. */
  writeBytes(bytes: Uint8Array): number {
    const offset = this.#take(bytes.length);
    new Uint8Array(this.#bytes, offset).set(bytes);
    return offset;
  }

  /** upload — writes to the device what was stored since the last time; what is stored next begins at the start again. */
  upload(): void {
    if (this.#used > 0) this.#device.queue.writeBuffer(this.buffer, 0, this.#bytes, 0, this.#used);
    this.#used = 0;
  }

  #take(bytes: number): number {
    const offset = this.#used;
    this.#used += aligned(bytes);
    return offset;
  }
}

/** bindGroupOf — tensors and, where the layout has them, uniforms in `uniforms`, of which each launch names the offset. */
export function bindGroupOf(device: GPUDevice, { layout, hasUniforms }: BindLayout, tensors: readonly GPUBufferBinding[], uniforms: GPUBuffer): GPUBindGroup {
  const bound = hasUniforms ? [...tensors, { buffer: uniforms, size: UNIFORM_BYTES }] : tensors;
  return device.createBindGroup({ layout, entries: bound.map((resource, binding) => ({ binding, resource })) });
}

/** writeUniforms — the values of a launch in the order of the program's, one word each. */
export function writeUniforms(
  { name, uniforms }: GpuProgram, values: NonNullable<GpuDispatch['uniforms']>, floats: Float32Array, integers: Int32Array, start: number,
): void {
  for (let i = 0; i < uniforms.length; i++) {
    const { name: field, type } = uniforms[i] as GpuProgram['uniforms'][number];
    const given = values[field];
    if (given === undefined) throw new Error(`dispatch: uniforms of ${name} must have ${field}, got ${Object.keys(values).join(', ')}`);
    const value = currentNumber(given);
    if (type === 'f32') floats[start + i] = value;
    else integers[start + i] = value; // u32 wraps into the same bits
  }
}

const aligned = (bytes: number): number => Math.ceil(bytes / UNIFORM_BYTES) * UNIFORM_BYTES;
