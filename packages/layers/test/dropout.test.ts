import { foldSeed, randomBits, rematerialise, valueAndGrad } from '@evenkeel/core-tensor';
import { dropout } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { dispose, mul, ones, square, sum, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** Element i is kept, and scaled by 1/(1 − rate), iff its word of the seed's bits is at least rate·2³². */
function dropout64(x: ArrayLike<number>, rate: number, seed: number): Float64Array {
  const bits = randomBits(seed, x.length);
  return Float64Array.from(x, (value, i) => (bits[i]! >= rate * 2 ** 32 ? value / (1 - rate) : 0));
}

/** Seeds whose upper word is 0 and is not. */
const SEEDS = [0, 12345, 2 ** 32 - 1, 2 ** 32 + 7, 2 ** 53 - 1];

forEachBackend(() => {
  it.each(SEEDS)('dropout(x, { seed: %i }) keeps exactly the elements that the seed says', async (seed) => {
    for (const shape of [[1], [3], [65], [13, 10], [2, 3, 5, 7]]) {
      const x = randomTensor(shape as [number]);
      const y = dropout(x, { rate: 0.3, seed, train: true });
      expect(y.shape).toEqual(shape);
      await expectClose(y, dropout64(await x.data(), 0.3, seed), { rtol: 1e-6 });
      dispose([x, y]);
    }
  });

  it.each([0.1, 0.5, 0.9])('dropout(x, { rate: %d }) keeps its share within 3σ and the mean', async (rate) => {
    const count = 65 * 130;
    const x = ones([count]);
    const y = dropout(x, { rate, seed: 5, train: true });
    const values = Array.from(await y.data());
    const kept = values.filter((value) => value !== 0).length / count;
    expect(Math.abs(kept - (1 - rate))).toBeLessThan(3 * Math.sqrt((rate * (1 - rate)) / count));
    dispose([x, y]);
  });

  it('dropout(x) without train, or with rate 0, gives a new tensor equal to x', async () => {
    const x = randomTensor([3, 5]);
    for (const options of [{ rate: 0.5 }, { rate: 0.5, train: false, seed: 1 }, { rate: 0, train: true }]) {
      const y = dropout(x, options);
      expect(y).not.toBe(x);
      await expectClose(y, x, { rtol: 0, atol: 0 });
      dispose(y);
    }
    dispose(x);
  });

  it('the gradient of dropout drops the elements that the forward pass dropped', async () => {
    const x = randomTensor([5, 13]) as Tensor;
    await checkOpGrad<'x'>({ op: (p) => dropout(p.x, { rate: 0.4, seed: 9, train: true }), oracle64: (p) => dropout64(p.x, 0.4, 9), inputs: { x } });
    dispose(x);
  });

  it('the second derivative of Σ dropout(x)³ is 6·dropout(x)·mask²', async () => {
    const x = randomTensor([33]) as Tensor;
    const options = { rate: 0.4, seed: 9, train: true };
    const cubes = (p: { x: Tensor }) => {
      const y = dropout(p.x, options);
      return sum(mul(y, square(y)));
    };
    const { value, grads } = valueAndGrad((outer: { x: Tensor }) => sum(valueAndGrad(cubes, outer).grads.x), { x });
    const [kept, values] = [dropout64(new Float32Array(33).fill(1), 0.4, 9), await x.data()];
    await expectClose(grads.x, kept.map((k, i) => 6 * k ** 3 * values[i]!), { rtol: 1e-4 });
    dispose([x, value, grads.x]);
  });

  it('rematerialise(dropout) draws the same elements in both passes', async () => {
    const x = randomTensor([65]) as Tensor;
    const params = { scale: ones([65]) as Tensor };
    const fn = (z: Tensor, p: { scale: Tensor }) => square(dropout(mul(z, p.scale), { rate: 0.5, seed: foldSeed(3, 'remat'), train: true }));
    const [plain, again] = [valueAndGrad((p: typeof params) => sum(fn(x, p)), params), valueAndGrad((p: typeof params) => sum(rematerialise(fn)(x, p)), params)];
    await expectClose(again.grads.scale, plain.grads.scale, { rtol: 0, atol: 0 });
    dispose([x, params, plain, again]);
  });

  it('dropout(x) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const x = randomTensor([3, 4]) as Tensor;
    await expectNoLeak(() => dropout(x, { rate: 0.5, seed: 1, train: true }));
    await expectNoLeak(() => dropout(x, { rate: 0.5 }));
    await expectNoLeak(() => dropout(x, { rate: 0.5, train: true }), { throws: 'dropout: seed must be given when train is true, got undefined' });
    await expectNoLeak(() => valueAndGrad((p: { x: Tensor }) => sum(dropout(p.x, { rate: 0.5, seed: 1, train: true })), { x }));
    dispose(x);
  });
});

describe('dropout', () => {
  it('dropout(x, { rate: 1 }) and wrong seeds are named', () => {
    const [x, integers] = [zeros([2]), zeros([2], 'int32')];
    expect(() => dropout(x, { rate: 1 })).toThrow('dropout: rate must be in [0, 1), got 1');
    expect(() => dropout(x, { rate: NaN })).toThrow('dropout: rate must be in [0, 1), got NaN');
    expect(() => dropout(x, { rate: 0.5, train: true, seed: -1 })).toThrow('seed must be a safe integer ≥ 0, got -1');
    expect(() => dropout(integers, { rate: 0.5 })).toThrow('dropout: x must have dtype float32, got int32');
    dispose([x, integers]);
  });
});
