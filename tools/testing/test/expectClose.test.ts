import { memory, tensor } from '@tensorflow/tfjs-core';
import { expectClose } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('expectClose', () => {
  it('expectClose(a, b) accepts tensors, typed arrays, numbers and nested arrays', async () => {
    const x = tensor([1, 2, 3, 4], [2, 2]);
    const before = memory().numTensors;
    await expectClose(x, [[1, 2], [3, 4]]);
    await expectClose(x, Float64Array.of(1, 2, 3, 4));
    await expectClose(1, 1 + 1e-7);
    await expectClose([x, x], [[[1, 2], [3, 4]], [[1, 2], [3, 4]]]);
    expect(memory().numTensors).toBe(before);
  });

  it('expectClose(a, b) fails with the worst index, both values and both shapes', async () => {
    const failure = expectClose(tensor([1, 2, 3, 4.5], [2, 2]), [[1, 2.1], [3, 4]]);
    await expect(failure).rejects.toThrow(/2 of 4 values[^]*worst at \[1, 1\]: got 4.5, expected 4 \(difference 0.500\)[^]*got \[2, 2\], expected \[2, 2\]/);
  });

  it('expectClose(NaN, x) holds only for NaN', async () => {
    await expectClose([NaN], [NaN]);
    await expect(expectClose([NaN], [1])).rejects.toThrow('got NaN, expected 1');
    await expect(expectClose([1], [NaN])).rejects.toThrow('got 1, expected NaN');
    await expect(expectClose([NaN], [Infinity])).rejects.toThrow('got NaN, expected Infinity');
  });

  it('expectClose(Infinity, x) holds only for the same infinity', async () => {
    await expectClose([Infinity], [Infinity]);
    await expect(expectClose([Infinity], [-Infinity])).rejects.toThrow('worst');
    await expect(expectClose([1e300], [Infinity], { rtol: 1 })).rejects.toThrow('worst');
  });

  it('expectClose(a, b) keeps rtol and atol apart', async () => {
    await expectClose([100.1], [100], { rtol: 2e-3, atol: 0 });
    await expect(expectClose([100.1], [100], { rtol: 0, atol: 0.05 })).rejects.toThrow('1 of 1');
    await expect(expectClose([9e-4], [1e-4])).rejects.toThrow('1 of 1');
  });

  it('expectClose(a, b) fails when shapes differ, also with equal sizes', async () => {
    await expect(expectClose(tensor([1, 2]), [[1, 2]])).rejects.toThrow('got [2], expected [1, 2]');
    await expect(expectClose([1, 2, 3], [1, 2])).rejects.toThrow('got [3], expected [2]');
    await expect(expectClose([[1], [1, 2]], [1])).rejects.toThrow('nested arrays must be regular');
  });
});
