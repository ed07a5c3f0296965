import { GPU_BACKEND, gpuProgram, type GpuBackend } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { add, backend, dispose, engine, square, tensor1d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it, vi } from 'vitest';
import { BufferPool } from '../src/bufferPool.ts'; // by path: no device is needed to count

const MiB = 2 ** 20;

/** A pool on a device that counts alone, and what became of its buffers; `waiting`: whether commands wait that cannot be handed over. */
function fakePool({ waiting = false } = {}) {
  const destroyed: number[] = [];
  const device = { limits: { maxBufferSize: 2 ** 32, maxStorageBufferBindingSize: 2 ** 31 - 4 }, createBuffer: ({ size }: { size: number }) => ({ size, destroy: () => void destroyed.push(size / MiB) }) } as unknown as ConstructorParameters<typeof BufferPool>[0];
  const pool: BufferPool = new BufferPool(device, {
    handOver: () => {
      if (!waiting) pool.submitted();
      return !waiting;
    },
    onDestroy: () => {},
  });
  const passing = (sizes: readonly number[], isSubmitted = true): void => sizes.forEach((size) => {
    pool.releaseBuffer(pool.acquireBuffer(size * MiB, 8));
    if (isSubmitted) pool.submitted();
  });
  return { pool, destroyed, passing };
}

describe('BufferPool', () => {
  it('makes no buffer that is larger than can be bound, where that is no power of two either', () => {
    const { pool } = fakePool();
    for (const bytes of [2 ** 31 - 2000, 2 ** 31 - 20, 2 ** 31 - 16]) expect(pool.acquireBuffer(bytes, 8).size).toBe(2 ** 31 - 16);
    expect(pool.acquireBuffer(2 ** 29 + 4, 8).size).toBe(2 ** 29 + 2 ** 26);
  });

  it('keeps free buffers up to half as much again as was used at once, and gives those back first that were released first', () => {
    const { pool, destroyed, passing } = fakePool();
    passing([40, 44, 48, 52, 56, 60]);
    expect(pool.numBytesUsed).toBe(0);
    expect(pool.numBytesAllocated).toBeLessThanOrEqual((1.5 * 60 + 60) * MiB);
    expect(destroyed).toEqual([40, 44, 48, 52, 56]);
  });

  it('keeps 64 MiB however little is used, and counts what is used only lately', () => {
    const { pool, destroyed, passing } = fakePool();
    passing([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(destroyed).toEqual([]);
    passing([256]);
    expect(destroyed).toEqual([]);
    for (let i = 0; i < 210; i++) passing([1]); // the 256 are long ago, though not yet idle
    expect(destroyed).toContain(256);
    expect(pool.numBytesAllocated).toBeLessThanOrEqual(64 * MiB);
  });

  it('hands over what waits and gives back what is too much before it asks for more, unless what waits cannot be handed over', () => {
    const sizes = Array.from({ length: 30 }, (_, i) => 40 + 4 * i);
    const { pool, passing } = fakePool();
    passing(sizes, false);
    expect(pool.numBytesAllocated).toBeLessThan(5 * 160 * MiB);
    const stuck = fakePool({ waiting: true });
    stuck.passing(sizes, false);
    expect(stuck.destroyed).toEqual([]);
  });
});

type Gpu = GpuBackend & { device: GPUDevice };

const copy = gpuProgram({ name: 'copy', bindings: { x: 'read f32', y: 'write f32' }, workgroupSize: 1, main: 'y[index] = x[index];' });

/** Tensors of one size that are freed in another order in each step, as garbage of a tidy may be. */
function step(inputs: readonly Tensor[], i: number): void {
  const gpu = backend() as unknown as Gpu;
  const copies = inputs.map((x) => {
    const y = gpu.allocate([1]);
    gpu.dispatch(copy, { tensors: { x, y }, groups: [1] });
    return engine().makeTensorFromTensorInfo(y);
  });
  const orderOf = (place: number): number => ((place + 1) * (i + 1)) % 7;
  dispose([...copies.keys()].sort((a, b) => orderOf(a) - orderOf(b)).map((place) => copies[place] as Tensor));
}

forEachBackend([GPU_BACKEND], () => {
  it('equal steps get equal buffers, in whatever order they free them: no bind group is made after the first steps, also while values are read', async () => {
    const inputs = tidy(() => [1, 2, 3, 4, 5].map((value) => square(tensor1d([value]))));
    const { device } = backend() as unknown as Gpu;
    for (let i = 0; i < 3; i++) step(inputs, i);
    const made = vi.spyOn(device, 'createBindGroup');
    for (let i = 0; i < 300; i++) {
      step(inputs, i);
      const total = add(inputs[0]!, inputs[1]!);
      await total.data();
      total.dispose();
    }
    const count = made.mock.calls.length;
    made.mockRestore();
    dispose(inputs);
    expect(count).toBeLessThanOrEqual(1); // the one of `add`
  });
});
