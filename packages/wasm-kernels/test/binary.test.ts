import { add, div, engine, maximum, minimum, mul, setBackend, squaredDifference, sub, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomTensor } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const OPERATIONS = { add, sub, mul, div, maximum, minimum, squaredDifference };
const SHAPES = [
  [[], []], [[5], [5]], [[3, 65], [3, 65]], [[3, 65], []], [[], [3, 65]], [[130, 3], [3]], [[3], [130, 3]], [[2, 3, 65], [1, 65]], [[1, 65], [65]],
  [[2, 3, 4], [3, 4]], [[3, 1], [1, 4]], [[3, 1], [3, 4]], [[2, 3, 4], [2, 1, 4]], [[1], [1, 1, 3]], [[0, 3], [3]], [[70_001], [70_001]], [[300, 77], [77]],
  [[4, 130, 65], [4, 1, 65]], [[65, 7, 1], [1, 7, 300]], [[2, 3, 1, 5, 1], [3, 4, 1, 65]], [[2, 1, 3, 1, 5], [1, 4, 1, 2, 5]], [[3, 0, 1], [3, 1, 4]], [[2, 20_001], [2, 1]], [[40_003, 1], [1, 3]],
];

describeVariants(() => {
  it.each(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[])('%s(a, b) equals the CPU backend for every pair of shapes', async (name) => {
    for (const [shapeA, shapeB] of SHAPES) {
      const a = randomTensor(shapeA as [number]);
      const b = randomTensor(shapeB as [number], { seed: 2 });
      const ours = OPERATIONS[name](a, b);
      await setBackend('cpu');
      const expected = OPERATIONS[name](a, b);
      const values = await expected.data();
      await setBackend('evenkeel-wasm');
      expect(ours.shape).toEqual(expected.shape);
      // The CPU backend squares in float64.
      await expectClose(ours, values as Float32Array, { rtol: name === 'squaredDifference' ? 3e-7 : 1e-7, atol: 0 });
    }
  });

  it('add, sub, mul, div, maximum, minimum and squaredDifference pass NaN and infinities through', async () => {
    const a = tensor([NaN, Infinity, -Infinity, 1, 0]);
    const b = tensor([1, -Infinity, -Infinity, NaN, 0]);
    await expectClose(add(a, b), [NaN, NaN, -Infinity, NaN, 0]);
    await expectClose(sub(a, b), [NaN, Infinity, NaN, NaN, 0]);
    await expectClose(mul(a, b), [NaN, -Infinity, Infinity, NaN, 0]);
    await expectClose(div(a, b), [NaN, NaN, NaN, NaN, NaN]);
    await expectClose(maximum(a, b), [NaN, Infinity, -Infinity, NaN, 0]);
    await expectClose(minimum(a, b), [NaN, -Infinity, -Infinity, NaN, 0]);
    await expectClose(squaredDifference(a, b), [NaN, Infinity, NaN, NaN, 0]);
  });

  it('add of int32 tensors stays int32', async () => {
    const sum = add(tensor([1, 2], [2], 'int32'), tensor([2_000_000_000, 3], [2], 'int32'));
    expect(sum.dtype).toBe('int32');
    await expectClose(sum, [2_000_000_001, 5]);
  });

  it('add of shapes that do not fit leaves nothing behind, nor does an op of the CPU backend', async () => {
    const [a, b, wrong] = [randomTensor([4, 3]), randomTensor([3]), randomTensor([5])];
    await expectNoLeak(() => engine().runKernel('Add', { a, b: wrong }) as Tensor, { throws: /broadcast/ });
    await expectNoLeak(() => maximum(a, b));
  });
});
