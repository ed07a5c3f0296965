import { seedKey, threefry2x32 } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { attention64, checkOpGrad, expectClose, forEachBackend, type AttentionSizes64 } from '@evenkeel/testing';
import { dispose, ones, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { keepFactors, makeCase } from './cases.ts';

const sizes: AttentionSizes64 = { batchSize: 2, seqLen: 5, kvLen: 6, numHeads: 2, headDim: 4, causal: true };
const acting = { causal: true, dropout: 0.3, train: true, seed: 12345 } as const;

/** (P∘Z/(1−p)) v; Z of `b h t s` from the seed's bits, as documented. P is normalised before dropout. */
const dropped64 = (q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>): Float64Array =>
  attention64(q, k, v, { ...sizes, keep: keepFactors(acting.seed, acting.dropout, 2 * 2 * 5 * 6) }).out;

forEachBackend((backend) => {
  it('flashAttention(q, k, v, { dropout }) drops normalised weights by the bits of the seed', async () => {
    const { q, k, v, values } = makeCase(sizes);
    const y = flashAttention(q, k, v, acting);
    await expectClose(y, dropped64(values.q, values.k, values.v), { atol: 1e-5 });
    dispose([q, k, v, y]);
  });

  it('the gradients of flashAttention with dropout match finite differences: backward draws the mask of forward', async () => {
    const { q, k, v } = makeCase(sizes);
    await checkOpGrad<'q' | 'k' | 'v'>({
      op: (p) => flashAttention(p.q, p.k, p.v, acting),
      oracle64: (p) => dropped64(p.q, p.k, p.v),
      inputs: { q, k, v },
    });
    dispose([q, k, v]);
  });

  it('flashAttention(q, k, v, { dropout, returnLse }) leaves lse as it is without dropout', async () => {
    const { q, k, v } = makeCase(sizes);
    const [dropped, plain] = [flashAttention(q, k, v, { ...acting, returnLse: true }), flashAttention(q, k, v, { causal: true, returnLse: true })];
    await expectClose(dropped.lse, plain.lse, { rtol: 1e-6 });
    dispose([q, k, v, dropped, plain]);
  });

  it('flashAttention(q, k, v, { dropout }) without train, or with dropout 0, is bit-equal to no dropout', async () => {
    const { q, k, v } = makeCase(sizes);
    const plain = flashAttention(q, k, v, { causal: true });
    const [evaluated, none] = [flashAttention(q, k, v, { ...acting, train: false }), flashAttention(q, k, v, { ...acting, dropout: 0 })];
    await expectClose(evaluated, plain, { rtol: 0, atol: 0 });
    await expectClose(none, plain, { rtol: 0, atol: 0 });
    dispose([q, k, v, plain, evaluated, none]);
  });

  it('flashAttention(q, k, v, { seed }) repeats itself with one seed and differs with another', async () => {
    const { q, k, v } = makeCase(sizes);
    const [a, b, c] = [acting, acting, { ...acting, seed: 12346 }].map((options) => flashAttention(q, k, v, options)) as [Tensor, Tensor, Tensor];
    const slow = attentionReference(q, k, v, acting);
    await expectClose(b, a, { rtol: 0, atol: 0 });
    await expectClose(slow, a, { atol: 1e-6 });
    expect(Array.from(await c.data())).not.toEqual(Array.from(await a.data()));
    dispose([q, k, v, a, b, c, slow]);
  });

  it.each([0.1, 0.5, 0.9])('flashAttention(q, k, v, { dropout: %d }) keeps its share of the weights within 3σ', async (rate) => {
    // With q = 0 every weight is 1/s, and with v = 1 the result is the number of kept weights of the row over s·(1 − p).
    const [B, T, H, S] = [1, 64, 4, 128];
    const [q, k, v] = [zeros([B, T, H, 2]), ones([B, S, H, 2]), ones([B, S, H, 2])];
    const y = flashAttention(q, k, v, { dropout: rate, train: true, seed: 7 });
    const values = Array.from(await y.data());
    const kept = (values.reduce((total, value) => total + value, 0) / values.length) * (1 - rate);
    expect(Math.abs(kept - (1 - rate))).toBeLessThan(3 * Math.sqrt((rate * (1 - rate)) / (B * T * H * S)));
    dispose([q, k, v, y]);
  });

  if (backend === 'evenkeel-wasm') {
    it('flashAttention(q, k, v, { dropout }) goes on with new bits past 2³² and 2³³ weights', async () => {
      // Query i sees keys i − 7 … i, all with weight 1/8, and value j is the unit vector j % 8: the result shows each weight.
      const [T, D, rate, seed] = [100_000, 8, 0.5, 2 ** 40 + 5];
      const [q, k] = [zeros([1, T, 1, D]), zeros([1, T, 1, D])];
      const v = tensor(Float32Array.from({ length: T * D }, (_, i) => (Math.floor(i / D) % D === i % D ? 1 : 0)), [1, T, 1, D]);
      const y = flashAttention(q, k, v, { causal: true, window: [7, 0], dropout: rate, train: true, seed });
      const values = await y.data();
      for (const i of [10, 42_950, 60_001, 85_900, 99_999]) { // weights i·T + j up to 10¹⁰
        for (let j = i - 7; j <= i; j++) {
          const block = Math.floor((i * T + j) / 2);
          const bits = threefry2x32(...seedKey(seed), block >>> 0, Math.floor(block / 2 ** 32))[(i * T + j) % 2]!;
          expect(values[i * D + (j % D)]).toBeCloseTo(bits >= rate * 2 ** 32 ? 1 / 4 : 0, 6);
        }
      }
      dispose([q, k, v, y]);
    });
  }
});
