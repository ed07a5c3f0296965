import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { add, backend, dispose, fill, memory, scalar, slice, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { sizeClass } from '../src/bufferPool.ts';

const held = (): number => (memory() as unknown as { numBytesAllocatedInGPU: number }).numBytesAllocatedInGPU;
const inUse = (): number => (memory() as unknown as { numBytesInGPU: number }).numBytesInGPU;
/** Launches of a small kernel, handed over one by one. */
function batches(count: number): void {
  const device = backend() as unknown as { flush(): void };
  const x = scalar(1);
  for (let i = 0; i < count; i++) {
    add(x, i).dispose();
    device.flush();
  }
  x.dispose();
}

describe('sizeClass(bytes)', () => {
  it('is at least as large, at most an eighth or 16 bytes larger, and a whole number of vec4s', () => {
    for (const bytes of [0, 1, 4, 15, 16, 17, 100, 1000, 4095, 4096, 4097, 123_456, 10_000_001, 2 ** 31 + 4]) {
      const size = sizeClass(bytes);
      expect(size).toBeGreaterThanOrEqual(Math.max(bytes, 16));
      expect(size).toBeLessThanOrEqual(Math.max(16, bytes + 15, bytes * 1.125));
      expect(size % 16).toBe(0);
    }
  });
});

forEachBackend([GPU_BACKEND], () => {
  it('the pool gives memory back that nothing has used for long', () => {
    batches(400);
    const before = held();
    const tensors = Array.from({ length: 64 }, (_, i) => fill([20_000 + 3000 * i], i)); // each of a size of its own
    const most = held();
    expect(most - before).toBeGreaterThan(25e6);
    dispose(tensors);
    expect(inUse()).toBeLessThan(before + 1e6);
    expect(held()).toBe(most); // ready for the next ones
    batches(400);
    expect(held()).toBeLessThan(before + 1e5);
  });

  it.each([['one batch each', true], ['no end of a batch between them', false]])('tensors of many sizes, one alive at a time, do not add up: %s', async (_, isFlushed) => {
    batches(400);
    const device = backend() as unknown as { flush(): void };
    const before = held();
    let most = 0;
    const firsts: Tensor[] = [];
    for (let i = 0; i < 40; i++) {
      const x = fill([(4 + i) * 2 ** 18], i); // 4 MiB to 43
      firsts.push(slice(x, 7, 1));
      x.dispose();
      if (isFlushed) device.flush();
      most = Math.max(most, held());
    }
    expect(most - before).toBeLessThan(200 * 2 ** 20); // of 940
    expect(await Promise.all(firsts.map(async (first) => (await first.data())[0]))).toEqual(firsts.map((__, i) => i));
    dispose(firsts);
  });

  it('the pool serves tensors of nearly equal sizes from the same buffers', () => {
    fill([100_000], 1).dispose();
    const before = held();
    for (let i = 0; i < 50; i++) fill([100_000 - 20 * i], 1).dispose();
    expect(held()).toBe(before);
  });
});
