import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, forEachBackend, randomArray } from '@evenkeel/testing';
import { dispose, max, mean, min, sum, tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** float64 sums over the middle axis of outer × reduced × inner. */
function sums64(values: Float32Array, [outer, reduced, inner]: readonly [number, number, number]): Float64Array {
  const sums = new Float64Array(outer * inner);
  values.forEach((value, i) => { sums[Math.floor(i / (reduced * inner)) * inner + (i % inner)]! += value; });
  return sums;
}

forEachBackend([GPU_BACKEND], () => {
  describe('reductions in several stages', () => {
    it.each([[1, 300_001, 1], [3, 40_000, 1], [2, 16_385, 1], [1, 5000, 3], [1, 1537, 70], [3, 1025, 17], [1, 300_000, 2]] as const)(
      'sum, mean and max of %i × %i × %i over the middle axis', async (...shape) => {
        const [outer, reduced, inner] = shape;
        const values = randomArray(outer * reduced * inner, { seed: reduced }).map((value) => value + 1);
        const x = tensor(values, [...shape]);
        await expectNoLeak(() => sum(x, 1));
        const expected = sums64(values, shape);
        const largest = new Float32Array(outer * inner).fill(-Infinity);
        values.forEach((value, i) => {
          const at = Math.floor(i / (reduced * inner)) * inner + (i % inner);
          largest[at] = Math.max(largest[at]!, value);
        });
        const results = [sum(x, 1), mean(x, 1), max(x, 1)] as const;
        await expectClose(results[0], expected, { rtol: 3e-7 });
        await expectClose(results[1], expected.map((value) => value / reduced), { rtol: 4e-7 });
        await expectClose(results[2], largest, { rtol: 0 });
        dispose([x, ...results]);
      });

    it('sums of int32 are exact, and a NaN anywhere comes out', async () => {
      const count = 100_003;
      const x = tensor(Int32Array.from({ length: count }, (_, i) => i), [count], 'int32');
      const total = sum(x);
      expect([...await total.data()]).toEqual([((count * (count - 1)) / 2) | 0]);
      const values = new Float32Array(70_000).fill(-3);
      values[65_000] = NaN;
      const y = tensor(values);
      const results = [max(y), min(y), sum(y)];
      for (const result of results) expect([...await result.data()]).toEqual([NaN]);
      dispose([x, total, y, ...results]);
    });

    it('over an empty axis the sum is 0, the maximum −Infinity and the minimum Infinity', async () => {
      const x = tensor([], [2, 0, 3]);
      const results = [sum(x, 1), max(x, 1), min(x, 1), sum(x)] as const;
      expect(results.map(({ shape }) => shape)).toEqual([[2, 3], [2, 3], [2, 3], []]);
      const values = await Promise.all(results.map(async (result) => [...await result.data()]));
      expect(values).toEqual([Array(6).fill(0), Array(6).fill(-Infinity), Array(6).fill(Infinity), [0]]);
      dispose([x, ...results]);
    });
  });
});
