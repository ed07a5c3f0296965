import { cast, equal, greater, greaterEqual, less, lessEqual, notEqual, setBackend, tensor, where, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomIntegers, randomTensor } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { cpuCalls } from './cpuCalls.ts';
import { describeVariants } from './variants.ts';

const COMPARISONS = { equal, notEqual, less, lessEqual, greater, greaterEqual };
const SHAPES = [
  [[], []], [[5], [5]], [[3, 65], []], [[], [3, 65]], [[130, 3], [3]], [[2, 130, 65], [2, 1, 65]], [[65, 7, 1], [1, 7, 30]], [[0, 3], [3]], [[1], [1, 1]], [[98_304], [98_304]],
  [[4, 1], []],
] as [number[], number[]][];

/** Small whole numbers, so that some are equal, and a NaN. */
const draw = (shape: number[], seed: number): Tensor =>
  tensor(Float32Array.from(randomIntegers(shape.reduce((a, b) => a * b, 1), 3, seed), (value, i) => (i === 1 ? NaN : value)), shape);

describeVariants(() => {
  it.each(Object.entries(COMPARISONS))('%s(a, b) equals the CPU backend for every pair of shapes', async (_, op) => {
    for (const [shapeA, shapeB] of SHAPES) {
      const [a, b] = [draw(shapeA, 1), draw(shapeB, 2)];
      const { result: ours, names } = cpuCalls(() => op(a, b));
      await setBackend('cpu');
      const expected = op(a, b);
      const values = await expected.data();
      await setBackend('evenkeel-wasm');
      expect([names, ours.shape, ours.dtype]).toEqual([[], expected.shape, 'bool']);
      await expectClose(Array.from(await ours.data(), Number), Array.from(values, Number), { rtol: 0, atol: 0 });
    }
  });

  it('where(condition, a, b) takes each from its side, NaN and infinities too', async () => {
    for (const size of [1, 3, 65, 130, 40_003]) {
      const [a, b] = [randomTensor([size]), randomTensor([size], { seed: 2 })];
      const [x, y] = [await a.data(), await b.data()];
      const { result, names } = cpuCalls(() => where(less(a, b), a, b));
      expect(names).toEqual([]);
      await expectClose(result, (x as Float32Array).map((value, i) => Math.min(value, y[i]!)), { rtol: 0, atol: 0 });
    }
    await expectClose(where(tensor([true, false, true]), tensor([NaN, NaN, -Infinity]), tensor([1, 2, 3])), [NaN, 2, -Infinity]);
    await expectClose(where(tensor([true, false]), tensor([[1, 2], [3, 4]]), tensor([[5, 6], [7, 8]])), [[1, 6], [3, 8]]);
  });

  it('cast(bool → float32) gives 0 and 1', async () => {
    for (const size of [1, 3, 65, 130]) {
      const truths = randomIntegers(size, 2);
      const { result, names } = cpuCalls(() => cast(tensor(Uint8Array.from(truths), [size], 'bool'), 'float32'));
      expect(names).toEqual([]);
      await expectClose(result, truths, { rtol: 0, atol: 0 });
    }
  });

  it('comparisons, where and cast add one tensor and free the rest', async () => {
    const [a, b] = [randomTensor([4, 3]), randomTensor([4, 1])];
    await expectNoLeak(() => less(a, b));
    const condition = less(a, b);
    await expectNoLeak(() => where(condition, a, a));
    await expectNoLeak(() => cast(condition, 'float32'));
  });
});
