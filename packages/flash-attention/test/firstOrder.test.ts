import { vjp } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend, randomArray } from '@evenkeel/testing';
import { dispose, tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase, type AttentionValues } from './cases.ts';

const f = Math.fround;
const [T, S, D] = [65, 67, 32];

/** One head by the loops of FlashAttention 1, in float32: keys outside, queries within, out divided in every tile. arXiv:2205.14135, algorithm 1. */
function firstOrder({ q, k, v }: AttentionValues, { rows, columns, causal }: { rows: number; columns: number; causal: boolean }) {
  const [out, sums, maxima] = [new Float32Array(T * D), new Float32Array(T), new Float32Array(T).fill(-Infinity)];
  const scale = f(1 / Math.sqrt(D));
  const tiles = (length: number, size: number): number[] => Array.from({ length: Math.ceil(length / size) }, (_, i) => i * size);
  for (const firstKey of tiles(S, columns)) {
    for (const firstQuery of tiles(T, rows)) {
      for (let i = firstQuery; i < Math.min(firstQuery + rows, T); i++) {
        const keys = Array.from({ length: Math.min(columns, S - firstKey) }, (_, n) => firstKey + n).filter((j) => !causal || j <= i + S - T);
        if (keys.length === 0) continue;
        const scores = keys.map((j) => f(range(D).reduce((dot, c) => f(dot + f(at(q, i, c) * at(k, j, c))), 0) * scale));
        const top = Math.max(...scores);
        const weights = scores.map((score) => f(Math.exp(f(score - top))));
        const before = maxima[i] as number;
        const most = Math.max(before, top);
        const [old, fresh] = [f(Math.exp(f(before - most)) * (sums[i] as number)), f(Math.exp(f(top - most)))];
        const total = f(old + f(fresh * weights.reduce((a, b) => f(a + b))));
        for (let c = 0; c < D; c++) {
          const sum = weights.reduce((all, weight, n) => f(all + f(weight * at(v, keys[n] as number, c))), 0);
          out[i * D + c] = f(f(f(old * at(out, i, c)) + f(fresh * sum)) / total);
        }
        [sums[i], maxima[i]] = [total, most];
      }
    }
  }
  return { out, lse: maxima.map((most, i) => most + Math.log(sums[i] as number)) };
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const at = (x: Float32Array, row: number, column: number): number => x[row * D + column] as number;

forEachBackend(() => {
  it.each([[7, 5], [16, 16], [64, 32]])('the loops of FlashAttention 1 in tiles of %i × %i give the same to 1e-6, and exp(scores − lse) adds up to 1', async (rows, columns) => {
    for (const causal of [false, true]) {
      const { q, k, v, values } = makeCase({ batchSize: 1, seqLen: T, kvLen: S, numHeads: 1, headDim: D, causal });
      const expected = firstOrder(values, { rows, columns, causal });
      const { out, lse } = flashAttention(q, k, v, { causal, returnLse: true });
      await expectClose(out, expected.out, { rtol: 0, atol: 1e-6 });
      await expectClose(lse, expected.lse, { rtol: 0, atol: 1e-6 });
      const found = await lse.data();
      for (const i of range(T)) {
        const keys = range(causal ? i + S - T + 1 : S);
        const scores = keys.map((j) => range(D).reduce((dot, c) => dot + at(values.q, i, c) * at(values.k, j, c), 0) / Math.sqrt(D));
        expect(Math.abs(scores.reduce((sum, score) => sum + Math.exp(score - (found[i] as number)), 0) - 1)).toBeLessThan(1e-6);
      }
      dispose([q, k, v, out, lse]);
    }
  });

  it('where all keys are one vector, dq is its multiple by what the gradients of a query\'s scores add up to: 0, with dropout too', async () => {
    const { q, k, v } = makeCase({ batchSize: 2, seqLen: 7, kvLen: 9, numHeads: 2, headDim: 4 });
    const same = tensor(Float32Array.from({ length: k.size }, (_, i) => [1, -2, 3, 0.5][i % 4] as number), k.shape);
    const dy = tensor(randomArray(q.size, { seed: 9 }), q.shape);
    for (const extra of [{}, { causal: true }, { dropout: 0.4, train: true, seed: 3 }]) {
      const { value, grads } = vjp(() => flashAttention(q, same, v, extra), [q, v], dy);
      await expectClose(grads[0]!, new Float32Array(q.size), { atol: 1e-5 });
      expect(Math.max(...(await grads[1]!.data()).map(Math.abs))).toBeGreaterThan(0.05);
      dispose([value, grads]);
    }
    dispose([q, k, v, same, dy]);
  });
});
