import { ConfigError, ShapeError } from '@evenkeel/core-tensor';
import { attentionEntropy, headEntropy, logPartition, rootMeanSquares } from '@evenkeel/diagnostics';
import { flashAttention } from '@evenkeel/flash-attention';
import { expectClose, expectNoLeak, forEachBackend, randomTensor, readValues, type RandomArrayOptions } from '@evenkeel/testing';
import { add, clone, fill, keep, mul, ones, rsqrt, scalar, softmax, square, sum, sub, tensor, tensor1d, tensor2d, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const randomOf = (shape: readonly number[], options: RandomArrayOptions = {}): Tensor => randomTensor(shape as never, options);
const valuesOf = async (x: Tensor): Promise<Float64Array> => (await readValues(x)).data;

/** Entropies of the rows of a matrix `rows columns`, in float64. */
const entropies64 = (p: Float64Array, columns: number): Float64Array => Float64Array.from({ length: p.length / columns }, (_, i) =>
  p.subarray(i * columns, (i + 1) * columns).reduce((h, value) => (value > 0 ? h - value * Math.log(value) : h), 0));

forEachBackend(() => {
  describe('attentionEntropy(probs)', () => {
    it('is ln s of a uniform row, 0 of one that looks at one key, whatever zeros are in it', async () => {
      await expectClose(attentionEntropy(fill([2, 3, 5], 0.2)), fill([2, 3], Math.log(5)));
      await expectClose(attentionEntropy(tensor2d([[0, 1, 0], [0.5, 0, 0.5]])), tensor1d([0, Math.log(2)]));
    });

    it('agrees with a float64 oracle, at any size', async () => {
      for (const [t, s] of [[1, 1], [3, 65], [4, 130]] as const) {
        const probs = softmax(randomOf([2, t, s], { std: 3, seed: s }));
        await expectClose(attentionEntropy(probs), entropies64(await valuesOf(probs), s), { atol: 1e-5 }).catch(() => expect.fail()); // a flat oracle
      }
    });

    it('does not fall below the bound by the norm of the logits, which one row reaches', async () => {
      const [T, S] = [16, 4];
      const beta = Math.exp(-S * Math.sqrt(T / (T - 1)));
      const bound = Math.log(1 + (T - 1) * beta) + (S * Math.sqrt(T * (T - 1)) * beta) / (1 + (T - 1) * beta);
      const extremal = Float32Array.from({ length: T }, (_, i) => (i === 0 ? S * Math.sqrt((T - 1) / T) : -S / Math.sqrt(T * (T - 1))));
      expect((await valuesOf(attentionEntropy(softmax(tensor2d(extremal, [1, T])))))[0]).toBeCloseTo(bound, 4);
      const logits = randomOf([200, T], { seed: 5 });
      const rows = softmax(mul(mul(logits, S), rsqrt(sum(square(logits), -1, true)))); // of norm S
      expect(Math.min(...await valuesOf(attentionEntropy(rows)))).toBeGreaterThan(bound);
    });

    it('with a mask counts visible keys only, also for all of a batch at once', async () => {
      const probs = tensor([[[0.5, 0.5, 7], [0.25, 0.25, 0.5]]]);
      const mask = tensor2d([[1, 1, 0], [1, 1, 1]], [2, 3], 'bool');
      await expectClose(attentionEntropy(probs, { mask }), tensor2d([[Math.log(2), 1.5 * Math.log(2)]]));
    });

    it('is what a fused attention tells of itself', async () => {
      const [q, k, v] = [1, 2, 3].map((seed) => randomOf([2, 9, 3, 4], { seed, std: 2 })) as [Tensor, Tensor, Tensor];
      const told: Record<string, Tensor> = {};
      flashAttention(q as never, k as never, v as never, { causal: true, observe: (name, value) => { told[name] = keep(clone(value)); } });
      const [q64, k64] = [await valuesOf(q), await valuesOf(k)];
      const probs: number[] = [];
      for (let b = 0; b < 2; b++) for (let h = 0; h < 3; h++) for (let i = 0; i < 9; i++) {
        const at = (t: number): number => ((b * 9 + t) * 3 + h) * 4;
        const scores = Array.from({ length: 9 }, (_, j) => (j > i ? -Infinity : [0, 1, 2, 3].reduce((z, d) => z + q64[at(i) + d]! * k64[at(j) + d]!, 0) / 2));
        const weights = scores.map((z) => Math.exp(z - Math.max(...scores)));
        const total = weights.reduce((a, b2) => a + b2);
        probs.push(...weights.map((w) => w / total));
      }
      await expectClose(told['entropy']!, attentionEntropy(tensor(probs, [2, 3, 9, 9])), { atol: 1e-5, rtol: 1e-4 });
    });

    it('leaves no tensor behind and refuses what is no matrix of weights', async () => {
      const [probs, mask] = [fill([3, 5], 0.2), ones([3, 5], 'bool')];
      await expectNoLeak(() => attentionEntropy(probs, { mask }));
      expect(() => attentionEntropy(tensor1d([1]))).toThrow(new ShapeError('attentionEntropy: probs must have rank ≥ 2, got shape [1]'));
      expect(() => attentionEntropy(zeros([2, 2], 'int32'))).toThrow('probs must have dtype float32, got int32');
      expect(() => attentionEntropy(probs, { mask: ones([5, 3], 'bool') })).toThrow('mask must fit probs [3, 5], got [5, 3]');
      expect(() => attentionEntropy(probs, { mask: ones([2, 3, 5], 'bool') })).toThrow('mask must fit probs [3, 5], got [2, 3, 5]');
      expect(() => attentionEntropy(probs, { mask: ones([3, 5]) })).toThrow('mask must have dtype bool, got float32');
    });
  });

  describe('headEntropy(entropy)', () => {
    const full = (lengths: readonly number[], heads: number, batch: number): Tensor =>
      tensor(Array.from({ length: batch * heads }, () => lengths.map((keys) => Math.log(keys))).flat(), [batch, heads, lengths.length]);

    it('is 1 where every query looks at all it sees, causal or not, and 0 where each looks at one key', async () => {
      await expectClose(headEntropy(full([1, 2, 3, 4, 5], 3, 2)), tensor1d([1, 1, 1]));
      await expectClose(headEntropy(full([5, 5, 5, 5, 5], 1, 2), 'all'), tensor1d([1]));
      await expectClose(headEntropy(full([1, 2, 2, 2], 2, 1), (t) => Math.min(t + 1, 2)), tensor1d([1, 1]));
      await expectClose(headEntropy(zeros([2, 3, 7])), zeros([3]));
    });

    it('is the mean of shares over batch and queries that have a choice', async () => {
      const entropy = randomOf([3, 2, 65], { mean: 1, std: 0.1 });
      const values = await valuesOf(entropy);
      const expected = [0, 1].map((h) => {
        let total = 0;
        for (let b = 0; b < 3; b++) for (let t = 1; t < 65; t++) total += values[(b * 2 + h) * 65 + t]! / Math.log(t + 1);
        return total / (3 * 64);
      });
      await expectClose(headEntropy(entropy), tensor1d(expected));
    });

    it('leaves no tensor behind and refuses what has no heads or no choice', async () => {
      const entropy = ones([2, 3, 4]);
      await expectNoLeak(() => headEntropy(entropy));
      expect(() => headEntropy(zeros([3, 4]))).toThrow(new ShapeError('headEntropy: entropy must have rank 3, got shape [3, 4]'));
      expect(() => headEntropy(zeros([2, 3, 4], 'int32'))).toThrow('entropy must have dtype float32, got int32');
      expect(() => headEntropy(zeros([2, 3, 4]), 'some' as never)).toThrow('headEntropy: visibleKeys must be one of causal, all, got some');
      expect(() => headEntropy(zeros([2, 3, 1]))).toThrow(new ConfigError('headEntropy: visibleKeys must give 2 or more for some query, got 1 at most'));
    });
  });

  describe('logPartition(logits)', () => {
    it('gives mean and largest of ln Σ exp, without overflow, and rises by exactly c with logits + c', async () => {
      const logits = randomOf([3, 5, 65], { std: 4 });
      const values = await valuesOf(logits);
      const z = Array.from({ length: 15 }, (_, i) => {
        const row = values.subarray(65 * i, 65 * (i + 1));
        const top = Math.max(...row);
        return top + Math.log(row.reduce((total, y) => total + Math.exp(y - top), 0));
      });
      const expected = [z.reduce((a, b) => a + b) / 15, Math.max(...z)];
      await expectClose(logPartition(logits), tensor1d(expected));
      await expectClose(logPartition(add(logits, 1000)), tensor1d(expected.map((each) => each + 1000)));
    });

    it('leaves no tensor behind and refuses what are no logits', async () => {
      const logits = ones([3, 5]);
      await expectNoLeak(() => logPartition(logits));
      expect(() => logPartition(scalar(1))).toThrow('logPartition: logits must have rank ≥ 1, got shape []');
      expect(() => logPartition(zeros([3], 'int32'))).toThrow('logits must have dtype float32, got int32');
    });
  });

  describe('rootMeanSquares(xs)', () => {
    it('agrees with a float64 oracle for tensors of any size and shape', async () => {
      const xs = [[], [1], [3, 65], [130, 129], [2, 3, 4, 5]].map((shape, i) => randomOf(shape, { seed: i + 1, std: 10 ** (i - 3), mean: 1e-3 }));
      const expected = await Promise.all(xs.map(async (x) => Math.sqrt((await valuesOf(x)).reduce((total, value) => total + value * value, 0) / x.size)));
      await expectClose(rootMeanSquares(xs), tensor1d(expected), { atol: 0, rtol: 1e-5 });
    });

    it('leaves no tensor behind and refuses other dtypes', async () => {
      const xs = [ones([3]), sub(ones([2, 2]), 1)];
      await expectNoLeak(() => rootMeanSquares(xs));
      expect(() => rootMeanSquares([])).toThrow('rootMeanSquares: xs must have at least one tensor, got none');
      expect(() => rootMeanSquares([ones([1]), zeros([1], 'int32')])).toThrow(new ShapeError('rootMeanSquares: xs[1] must have dtype float32, got int32'));
    });
  });
});
